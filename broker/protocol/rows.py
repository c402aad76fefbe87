"""What a row of the table of actions holds: who may make the request, its fields, what its reply holds.

Plain classes without dataclasses, enum or typing: programs that live for one request read bounds from here.
"""

from __future__ import annotations

from broker.protocol.errors import IpcError
from broker.protocol.essentials import STORES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_TYPE_WORDS = {str: "text", int: "a whole number", float: "a number", list: "a list", dict: "an object", bool: "a boolean"}


class Access:
    """Who may make a request."""

    ANYONE = "anyone who can reach the socket"
    SESSION = "the holder of a session token, as itself"
    OWNER = "the OS user that owns the data folder, by the owner key in it"


class Field:
    """One field of a request. ``low`` and ``high`` bound a number, or the length of a text or list."""

    __slots__ = ("choices", "default", "doc", "high", "low", "name", "required", "types")

    def __init__(
        self,
        name: str,
        types: tuple[type, ...],
        doc: str,
        required: bool = False,
        low: int | None = None,
        high: int | None = None,
        choices: tuple[str, ...] = (),
        default: Any = None,
    ) -> None:
        self.name = name
        self.types = types
        self.doc = doc if default is None else f"{doc} (default {default})"
        self.required = required
        self.low = low
        self.high = high
        self.choices = choices
        self.default = default
        """What a request without the field means, where that is a number or one of the choices."""

    @property
    def most(self) -> int:
        """The upper bound, of a field that has one."""
        assert self.high is not None
        return self.high

    def check(self, value: Any) -> None:
        """Raise ``bad_request`` unless the value has one of the types and lies within the bounds."""
        if not isinstance(value, self.types) or (isinstance(value, bool) and bool not in self.types):
            wanted = " or ".join(_TYPE_WORDS[t] for t in self.types)
            raise IpcError("bad_request", detail=f"Field {self.name} must be {wanted}")
        if self.choices and value not in self.choices:
            raise IpcError("bad_request", detail=f"Field {self.name} must be one of {', '.join(self.choices)}")
        if self.low is None and self.high is None:
            return
        size = value if isinstance(value, (int, float)) else len(value)  # type: ignore[arg-type]  # text or list
        if (self.low is not None and not size >= self.low) or (self.high is not None and not size <= self.high):
            what = "" if isinstance(value, (int, float)) else "length of "
            word = "" if self.low is None or self.high is None else "from "
            raise IpcError("bad_request", detail=f"The {what}field {self.name} must be {word}{self.bounds()}")

    def bounds(self) -> str:
        """``1 to 3,600``, ``at most 200``, ``from 1``, the choices, or nothing."""
        if self.choices:
            return ", ".join(self.choices)
        if self.low is None:
            return "" if self.high is None else f"at most {self.high:,}"
        return f"from {self.low:,}" if self.high is None else f"{self.low:,} to {self.high:,}"


class Action:
    """One row: what a client may ask for.

    ``reply`` names the fields of an ``ok`` reply beside ``status`` and ``id``, each as ``name`` or ``name: what it is``;
    one that ends in ``?`` is there where it applies.
    """

    __slots__ = ("access", "delivers", "doc", "fields", "here", "long", "name", "note", "reply", "sends", "slow")

    def __init__(
        self,
        name: str,
        access: str,
        fields: tuple[Field, ...],
        reply: tuple[str, ...],
        doc: str,
        *,
        note: str = "",
        delivers: bool = False,
        long: bool = False,
        slow: bool = False,
        here: bool = False,
    ) -> None:
        self.name = name
        self.access = access
        self.fields = fields
        self.reply = reply
        self.doc = doc
        self.note = note
        """What the reply's fields don't say."""
        self.sends = name in STORES
        """It stores mail. It takes a ``message_id`` and counts against the rate limit."""
        self.delivers = delivers
        """The ``messages`` of its reply are on lease. The door that shows them acknowledges them."""
        self.long = long
        """Its reply may be many times as long as the request."""
        self.slow = slow
        """It reads the archive. It runs when nobody waits for anything else, one at a time."""
        self.here = here
        """It is taken at the broker's own sockets alone, not at the TCP port nor from other machines."""

    def check(self, request: dict[str, Any]) -> None:
        """Raise ``bad_request`` for a missing field or one of the wrong type or size."""
        for field in self.fields:
            value = request.get(field.name)
            if value is not None:
                field.check(value)
            elif field.required:
                raise IpcError("bad_request", detail=f"{self.name} needs the field {field.name}")

    def reply_fields(self) -> tuple[frozenset[str], frozenset[str]]:
        """Names of the reply's fields: those that are always there, and those that are where they apply."""
        names = [one.partition(":")[0] for one in self.reply]
        sometimes = frozenset(name.removesuffix("?") for name in names if name.endswith("?"))
        return frozenset(name for name in names if not name.endswith("?")), sometimes

    def field(self, name: str) -> Field:
        """The field of that name. Raises StopIteration where the action has none."""
        return next(field for field in self.fields if field.name == name)
