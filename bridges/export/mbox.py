"""mbox: mail as other mail programs read it, quoted as mboxrd (a line that begins with ``>*From `` gets one ``>`` more).

A message's text is the payload without its last line break. What no mail line can hold as it is (a NUL, a carriage return, a
line of more than 998 bytes) is base64. Addresses end in ``agent-ipc.invalid``, which no mail server knows.
"""

import re
from base64 import encodebytes
from datetime import datetime
from email.header import Header
from email.message import Message as Mail
from email.policy import compat32
from email.utils import format_datetime, formataddr
from typing import Any

import orjson

from broker.protocol.addresses import site_of

_DOMAIN = "agent-ipc.invalid"
_POLICY = compat32.clone(mangle_from_=False)
"""The policies with structured headers take 2 ms a message, and all that is structured here is ours."""
_LINE_BYTES = 998
_FROM = re.compile(rb"^(>*From )", re.MULTILINE)
_SUBJECT_CHARS = 72


def entry(row: dict[str, Any], origin: str) -> bytes:
    """One message as it stands in the file."""
    when = datetime.fromisoformat(row["timestamp"])
    to = [row["group"]] if row.get("group") else [one["name"] for one in row["readers"] if one["name"] is not None]
    begun_by = [i for i in dict.fromkeys((row["thread"], row.get("reply_to"))) if i is not None and i != row["id"]]
    text, message = row["message"]["content"], row["message"]
    mail = Mail(policy=_POLICY)
    mail["From"] = formataddr((row["from"], address(row["from"])))
    if to:
        mail["To"] = ", ".join(formataddr((name, address(name))) for name in to)
    mail["Date"] = format_datetime(when)
    mail["Subject"] = Header(subject(text), "us-ascii" if text.isascii() else "utf-8", header_name="Subject").encode()
    mail["Message-ID"] = message_id(row["id"], origin)
    if row.get("reply_to") is not None:
        mail["In-Reply-To"] = message_id(row["reply_to"], origin)
    if begun_by:
        mail["References"] = " ".join(message_id(i, origin) for i in begun_by)
    mail["Agent-IPC-Thread"] = row["thread"]
    mail["Agent-IPC-Land"] = row["land"]
    if row.get("missing"):
        mail["Agent-IPC-Missing"] = "the file with the whole text is gone"
    mail["MIME-Version"] = "1.0"
    if "data" in message:
        mail.add_header("Content-Type", "multipart/mixed")
        mail.attach(with_text(Mail(policy=_POLICY), text))
        mail.attach(data_part(message["data"]))
    else:
        with_text(mail, text)
    head = f"From {address(row['from'])} {when:%a %b} {when.day:2d} {when:%H:%M:%S %Y}\n".encode()
    return head + _FROM.sub(rb">\1", mail.as_bytes()) + b"\n"


def address(name: str) -> str:
    """``bob@rome`` is ``bob@rome.agent-ipc.invalid``; everyone (``*``) is ``all``."""
    local, host = name.partition("@")[0].replace("*", "all"), site_of(name).replace("*", "all")
    return f"{local}@{host}.{_DOMAIN}" if host else f"{local}@{_DOMAIN}"


def message_id(number: str, origin: str) -> str:
    return f"<{number}.{origin}@{_DOMAIN}>"


def subject(text: str) -> str:
    """The first line that says something."""
    first = next((line for line in text[:4000].splitlines() if line.strip()), "")
    words = "".join(c for c in " ".join(first.split()) if c.isprintable())
    dots = "..." if text.isascii() else "…"
    return words if len(words) <= _SUBJECT_CHARS else words[: _SUBJECT_CHARS - len(dots)] + dots


def with_text(part: Mail, text: str) -> Mail:
    """A part of a mail, or a whole one, with this text."""
    raw = text.encode() + b"\n"
    plain = b"\0" not in raw and b"\r" not in raw and max(map(len, raw.split(b"\n"))) <= _LINE_BYTES
    part["Content-Type"] = 'text/plain; charset="utf-8"'
    part["Content-Transfer-Encoding"] = "8bit" if plain else "base64"
    part.set_payload((raw if plain else encodebytes(raw)).decode("ascii", "surrogateescape"))
    return part


def data_part(data: Any) -> Mail:
    part = Mail(policy=_POLICY)
    part["Content-Type"] = "application/json"
    part["Content-Transfer-Encoding"] = "base64"
    part["Content-Disposition"] = 'attachment; filename="data.json"'
    part.set_payload(encodebytes(orjson.dumps(data)).decode("ascii"))
    return part
