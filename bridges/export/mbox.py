"""mbox: mail as other mail programs read it, quoted as mboxrd (a line that begins with ``>*From `` gets one ``>`` more).

A message's text is the payload without its last line break. What no mail line can hold as it is (a NUL, a carriage return, a
line of more than 998 bytes) is base64. Addresses end in ``agent-ipc.invalid``, which no mail server knows.
"""

import re
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import EmailPolicy
from typing import Any

import orjson

from broker.protocol.addresses import site_of

_DOMAIN = "agent-ipc.invalid"
_POLICY = EmailPolicy(linesep="\n", max_line_length=78, cte_type="8bit", mangle_from_=False)
_LINE_BYTES = 998
_FROM = re.compile(rb"^(>*From )", re.MULTILINE)
_SUBJECT_CHARS = 72


def entry(row: dict[str, Any], origin: str) -> bytes:
    """One message as it stands in the file."""
    when = datetime.fromisoformat(row["timestamp"])
    mail = EmailMessage(policy=_POLICY)
    mail["From"] = address(row["from"])
    to = [row["group"]] if row.get("group") else [one["name"] for one in row["readers"] if one["name"] is not None]
    if to:
        mail["To"] = [address(name) for name in to]
    mail["Date"] = when
    mail["Subject"] = subject(row["message"]["content"])
    mail["Message-ID"] = message_id(row["id"], origin)
    if row.get("reply_to") is not None:
        mail["In-Reply-To"] = message_id(row["reply_to"], origin)
    begun_by = [i for i in dict.fromkeys((row["thread"], row.get("reply_to"))) if i is not None and i != row["id"]]
    if begun_by:
        mail["References"] = " ".join(message_id(i, origin) for i in begun_by)
    mail["Agent-IPC-Thread"] = row["thread"]
    mail["Agent-IPC-Land"] = row["land"]
    if row.get("missing"):
        mail["Agent-IPC-Missing"] = "the file with the whole text is gone"
    set_text(mail, row["message"]["content"])
    if "data" in row["message"]:
        mail.add_attachment(orjson.dumps(row["message"]["data"]), "application", "json", filename="data.json")
    sender = mail["From"].addresses[0].addr_spec
    head = f"From {sender} {when:%a %b} {when.day:2d} {when:%H:%M:%S %Y}\n".encode()
    return head + _FROM.sub(rb">\1", mail.as_bytes()) + b"\n"


def address(name: str) -> Address:
    """``bob@rome`` is ``bob@rome.agent-ipc.invalid``."""
    site = site_of(name)
    return Address(
        name, name.partition("@")[0].replace("*", "all"), f"{site.replace('*', 'all')}.{_DOMAIN}" if site else _DOMAIN
    )


def message_id(number: str, origin: str) -> str:
    return f"<{number}.{origin}@{_DOMAIN}>"


def subject(text: str) -> str:
    """The first line that says something."""
    first = next((line for line in text[:4000].splitlines() if line.strip()), "")
    words = "".join(c for c in " ".join(first.split()) if c.isprintable())
    return words if len(words) <= _SUBJECT_CHARS else words[: _SUBJECT_CHARS - 1] + "…"


def set_text(mail: EmailMessage, text: str) -> None:
    raw = text.encode() + b"\n"
    if b"\0" in raw or b"\r" in raw or max(map(len, raw.split(b"\n"))) > _LINE_BYTES:
        mail.set_content(raw, "text", "plain", cte="base64", params={"charset": "utf-8"})
    else:
        mail.set_content(raw.decode(), cte="8bit")
