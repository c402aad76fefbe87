"""What a parse gives: one frozen dataclass an intent, and the question to ask where it is unsure.

Confidence: 1 if words, names and separator all stood there; 0.1 less for a send without a separator and for a misspelt
command word, 0.2 less for a name that is only near a registered one. ``Unknown`` has 0.4 with a question and 0 without.
"""

from dataclasses import dataclass, field
from typing import Any

Span = tuple[int, int]
"""Start and end in characters of the text given to ``parse``: ``text[start:end]``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What to ask back. ``would_be`` is the command that a yes would mean; None where words are missing."""

    text: str
    would_be: "Command | None" = None
    candidates: tuple[str, ...] = ()
    """The registered names nearest in spelling to those that are not, if any is near."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """The base of all: how sure the reading is (0 to 1), and where in the text each slot stands. The span of ``to`` goes from
    the first name to the end of the last; every other span holds the slot's value and nothing else."""

    confidence: float = 1.0
    spans: dict[str, Span] = field(default_factory=dict, compare=False)
    did_you_mean: str | None = None
    question: Question | None = None
    intent = "unknown"

    def slots(self) -> dict[str, Any]:
        """Slot names to values, as RULES.md lists them."""
        return {}

    def byte_spans(self, text: str) -> dict[str, Span]:
        """The spans in bytes of the text as UTF-8."""

        def size(end: int) -> int:
            return len(text[:end].encode("utf-8", "surrogatepass"))

        return {slot: (size(start), size(end)) for slot, (start, end) in self.spans.items()}

    def answer(self) -> dict[str, Any]:
        """The line that ``--batch`` prints: intent, slots and did_you_mean only."""
        line: dict[str, Any] = {"intent": self.intent, **self.slots()}
        if self.did_you_mean is not None:
            line["did_you_mean"] = self.did_you_mean
        return line


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown(Command):
    intent = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Named(Command):
    name: str

    def slots(self) -> dict[str, Any]:
        return {"name": self.name}


@dataclass(frozen=True, slots=True, kw_only=True)
class Register(_Named):
    intent = "register"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rename(_Named):
    intent = "rename"


@dataclass(frozen=True, slots=True, kw_only=True)
class Send(Command):
    to: tuple[str, ...]
    content: str
    asking: bool = False
    """The verb was ``ask``: an answer is wanted."""
    intent = "send"

    def slots(self) -> dict[str, Any]:
        return {"to": list(self.to), "content": self.content}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Said(Command):
    content: str

    def slots(self) -> dict[str, Any]:
        return {"content": self.content}


@dataclass(frozen=True, slots=True, kw_only=True)
class Broadcast(_Said):
    intent = "broadcast"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply(_Said):
    intent = "reply"


@dataclass(frozen=True, slots=True, kw_only=True)
class Forward(Command):
    to: tuple[str, ...]
    intent = "forward"

    def slots(self) -> dict[str, Any]:
        return {"to": list(self.to)}


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareFile(Command):
    to: tuple[str, ...]
    path: str
    intent = "share_file"

    def slots(self) -> dict[str, Any]:
        return {"to": list(self.to), "path": self.path}


@dataclass(frozen=True, slots=True, kw_only=True)
class AutocheckStart(Command):
    minutes: int
    intent = "autocheck_start"

    def slots(self) -> dict[str, Any]:
        return {"minutes": self.minutes}


@dataclass(frozen=True, slots=True, kw_only=True)
class AutocheckStop(Command):
    intent = "autocheck_stop"


@dataclass(frozen=True, slots=True, kw_only=True)
class AutocheckStatus(Command):
    intent = "autocheck_status"


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchAgent(Command):
    name: str
    event: str
    intent = "watch_agent"

    def slots(self) -> dict[str, Any]:
        return {"name": self.name, "event": self.event}


@dataclass(frozen=True, slots=True, kw_only=True)
class Check(Command):
    intent = "check"


@dataclass(frozen=True, slots=True, kw_only=True)
class ListInstances(Command):
    intent = "list"


@dataclass(frozen=True, slots=True, kw_only=True)
class Whoami(Command):
    intent = "whoami"


@dataclass(frozen=True, slots=True, kw_only=True)
class Help(Command):
    intent = "help"
