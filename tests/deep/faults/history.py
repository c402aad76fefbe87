"""What was asked and answered, and what must follow from it. Every door's traffic is written into one ``History``.

A message's text begins with its key ``SENDER-TO-N.``, so a delivery tells by itself who wrote it, to whom, and in which
order. The rules, each a kind of problem:

    lost       a send was answered ``ok`` and the mail never came, not even when all was quiet
    duplicate  one send was delivered under two of the broker's ids
    after_ack  mail came in answer to a check that began after its acknowledgement was confirmed
    order      two messages of one sender to one recipient were handed out the wrong way round
    wrong_box  mail came to a mailbox that it was not sent to
    forged     mail that nobody wrote, or under another's name, or changed on the way
    refused    a send was refused and delivered all the same
"""

import hashlib
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from broker.protocol.names import SYSTEM

EVERYONE = "ALL"
RULES = ("lost", "duplicate", "after_ack", "order", "wrong_box", "forged", "refused")


@dataclass(slots=True)
class Send:
    """One send: ``state`` is open, ok, refused or unknown (no answer came: it may be stored or not)."""

    sender: str
    recipients: frozenset[str]
    number: int
    text: str
    state: str = "open"


@dataclass(frozen=True, slots=True)
class Problem:
    """A broken rule, with what is needed to look for it."""

    rule: str
    detail: str


@dataclass(slots=True)
class Mailbox:
    """What one recipient has been given."""

    ids: dict[str, str] = field(default_factory=dict)
    """Key to the broker's id."""
    confirmed: dict[str, int] = field(default_factory=dict)
    """The broker's id to the nanosecond at which its acknowledgement was known to be done."""
    newest: dict[str, int] = field(default_factory=dict)
    """Sender to the number of its newest message handed out for the first time."""


class History:
    """Thread-safe. ``names`` are all agents, so that a broadcast's recipients are known."""

    def __init__(self, names: list[str]) -> None:
        self.names = names
        self.counts: Counter[str] = Counter()
        self.problems: list[Problem] = []
        self._lock = threading.Lock()
        self._sends: dict[str, Send] = {}
        self._boxes = {name: Mailbox() for name in names}
        self._numbers: Counter[str] = Counter()

    def begin(self, sender: str, to: str, padding: str = "") -> tuple[str, str]:
        """(key, text) of the sender's next message."""
        with self._lock:
            self._numbers[sender] += 1
            number = self._numbers[sender]
            key = f"{sender}-{to}-{number}"
            recipients = frozenset(self.names) - {sender} if to == EVERYONE else frozenset({to})
            text = f"{key}. {padding}"
            self._sends[key] = Send(sender, recipients, number, text)
            return key, text

    def end(self, key: str, state: str) -> None:
        """How the send ended: ok, refused or unknown."""
        with self._lock:
            self._sends[key].state = state
            self.counts[f"sends {state}"] += 1

    def delivered(self, mailbox: str, asked_ns: int, messages: list[dict[str, Any]]) -> None:
        """Messages, in the wire's form, that a check begun at ``asked_ns`` brought."""
        with self._lock:
            for message in messages:
                if message["from"] == SYSTEM:
                    self.counts["notices"] += 1
                else:
                    self._deliver(mailbox, asked_ns, message)

    def _deliver(self, mailbox: str, asked_ns: int, m: dict[str, Any]) -> None:
        self.counts["deliveries"] += 1
        box, content = self._boxes[mailbox], m["message"]["content"]
        key = content.partition(".")[0]
        send = self._sends.get(key)
        if send is None or send.sender != m["from"] or not _intact(send, m):
            self._note("forged", f"{mailbox} got {content[:80]!r} from {m['from']}")
            return
        if mailbox not in send.recipients:
            self._note("wrong_box", f"{mailbox} got {key}")
        if send.state == "refused":
            self._note("refused", f"{mailbox} got {key}")
        if box.ids.setdefault(key, m["id"]) != m["id"]:
            self._note("duplicate", f"{mailbox} got {key} as {box.ids[key]} and {m['id']}")
        if box.confirmed.get(m["id"], asked_ns) < asked_ns:
            self._note("after_ack", f"{mailbox} got {key} again")
        if m.get("redelivered"):
            self.counts["redeliveries"] += 1
        elif send.number < box.newest.get(send.sender, 0):
            self._note("order", f"{mailbox} got {key} after number {box.newest[send.sender]}")
        else:
            box.newest[send.sender] = send.number

    def acked(self, mailbox: str, ids: list[str]) -> None:
        """The broker has confirmed these acknowledgements."""
        with self._lock:
            now_ns = time.monotonic_ns()
            for message_id in ids:
                self._boxes[mailbox].confirmed.setdefault(message_id, now_ns)
            self.counts["acknowledged"] += len(ids)

    def finish(self) -> None:
        """All mailboxes have been emptied: whatever was promised and has not come is lost."""
        with self._lock:
            for key, send in self._sends.items():
                if send.state != "ok":
                    continue
                for name in send.recipients:
                    if key not in self._boxes[name].ids:
                        self._note("lost", f"{name} never got {key}")

    def _note(self, rule: str, detail: str) -> None:
        self.problems.append(Problem(rule, detail))


def _intact(send: Send, m: dict[str, Any]) -> bool:
    """The text is the sender's to the letter; a large one is in its file."""
    content, file = m["message"]["content"], m.get("file") or (m["message"].get("data") or {})
    path = file.get("path") or file.get("large_message_file")
    if path is None:
        return bool(content == send.text)
    whole = Path(path).read_bytes().partition(b"\n---\n\n")[2]
    named = file.get("sha256") or hashlib.sha256(whole).hexdigest()  # MCP names the file only
    return whole == send.text.encode() and hashlib.sha256(whole).hexdigest() == named
