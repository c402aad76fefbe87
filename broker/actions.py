"""The one table of requests: name, fields with types and limits, who may make it.

Doors, the reference page, the tests and the core's dispatch are made from this table; a new action is one row here, one
handler in ``broker.core`` and one test. Field names are the same at every door.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Any

from broker.errors import IpcError


class Access(Enum):
    """Who may make a request."""

    ANYONE = "anyone who can reach the socket"
    SESSION = "the holder of a session token, as itself"
    OWNER = "the OS user that owns the data folder, by the owner key in it"


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a request: its name, its types, whether it must be there, its bounds, what it means."""

    name: str
    types: tuple[type, ...]
    doc: str
    required: bool = False
    low: float | None = None
    high: float | None = None
    """Bounds of a number, or of the length of a text or list."""

    def check(self, value: Any) -> None:
        """Raise ``bad_request`` unless the value has one of the types and lies within the bounds."""
        if not isinstance(value, self.types) or (isinstance(value, bool) and bool not in self.types):
            wanted = " or ".join(_TYPE_WORDS[t] for t in self.types)
            raise IpcError("bad_request", detail=f"Field {self.name} must be {wanted}")
        if self.low is None and self.high is None:
            return
        size = value if isinstance(value, (int, float)) else len(value)  # type: ignore[arg-type]  # text or list
        if (self.low is not None and not size >= self.low) or (self.high is not None and not size <= self.high):
            what = "" if isinstance(value, (int, float)) else "length of "
            raise IpcError("bad_request", detail=f"The {what}field {self.name} must be from {self.low:g} to {self.high:g}")


_TYPE_WORDS = {str: "text", int: "a whole number", float: "a number", list: "a list", dict: "an object", bool: "a boolean"}


@dataclass(frozen=True, slots=True)
class Action:
    """One row: what a client may ask for."""

    name: str
    access: Access
    fields: tuple[Field, ...]
    reply: str
    sends: bool = False
    """It stores mail: it counts against the rate limit."""

    def check(self, request: dict[str, Any]) -> None:
        """Raise ``bad_request`` for a missing field or one of the wrong type or size."""
        for field in self.fields:
            value = request.get(field.name)
            if value is not None:
                field.check(value)
            elif field.required:
                raise IpcError("bad_request", detail=f"{self.name} needs the field {field.name}")


_YEAR_2200_S = 7_258_118_400
_MESSAGE = Field("message", (dict,), '{"content": text, "data": any JSON value, optional}', required=True)
_MESSAGE_ID = Field("message_id", (str,), "made by the client; sent twice, stored once", low=1, high=64)
_FROM = Field("from_id", (str,), "optional; must be the session's own name")
_INSTANCE = Field("instance_id", (str,), "optional; must be the session's own name")
_IDS = Field("ids", (list,), "ids of messages of the session's mailbox", required=True, low=0, high=10_000)
_LIMIT = Field("limit", (int,), "at most so many messages", low=1, high=10_000)
_MAX_BYTES = Field("max_bytes", (int,), "stop before the texts together exceed this", low=1, high=64 * 1024 * 1024)

_ROWS = (
    Action(
        "register",
        Access.ANYONE,
        (
            Field("instance_id", (str,), "the name to take", required=True),
            Field("auth_token", (str,), "hex SHA-256 of NAME:SHARED_SECRET where a secret is set"),
            Field("peer_uid", (int,), "set by a door when its other end is another OS user than ours", low=0, high=2**32),
        ),
        "session_token, message, queued",
    ),
    Action(
        "send",
        Access.SESSION,
        (_FROM, Field("to_id", (str,), "the recipient's name", required=True), _MESSAGE, _MESSAGE_ID),
        "message, message_id, outcome; duplicate, did_you_mean where they apply",
        sends=True,
    ),
    Action("broadcast", Access.SESSION, (_FROM, _MESSAGE, _MESSAGE_ID), "message, message_id, count; duplicate", sends=True),
    Action(
        "check",
        Access.SESSION,
        (
            _INSTANCE,
            Field("wait_s", (int, float), "wait so long for mail if there is none", low=0, high=3600),
            _LIMIT,
            _MAX_BYTES,
        ),
        "messages: [{id, from, to, timestamp, message, redelivered?, file?}], more",
    ),
    Action("ack", Access.SESSION, (_INSTANCE, _IDS), "acked: how many left the mailbox"),
    Action(
        "release",
        Access.SESSION,
        (_INSTANCE, Field("ids", (list,), "as for ack; without it everything on lease", low=0, high=10_000)),
        "released: how many went back to the mailbox",
    ),
    Action(
        "subscribe",
        Access.SESSION,
        (_INSTANCE, Field("window", (int,), "at most so many unacknowledged pushes", low=1, high=10_000)),
        "pushes with this request's id follow: {push: mail, id, messages}",
    ),
    Action("unsubscribe", Access.SESSION, (_INSTANCE,), "no more pushes"),
    Action("list", Access.SESSION, (), "instances: [{id, last_seen}]"),
    Action(
        "rename",
        Access.SESSION,
        (
            Field("old_id", (str,), "optional; must be the session's own name"),
            Field("new_id", (str,), "the new name", required=True),
        ),
        "message",
    ),
    Action("whoami", Access.SESSION, (), "instance_id, queued, registered_at"),
    Action("ping", Access.ANYONE, (), "pid, version"),
    Action("status", Access.ANYONE, (), "counts, limits and settings of the broker; no mail"),
    Action(
        "import",
        Access.OWNER,
        (
            Field("from_id", (str,), "who wrote it", required=True),
            Field("to_id", (str,), "whose mail it is", required=True),
            _MESSAGE,
            Field("message_id", (str,), "makes a repeated import harmless", required=True, low=1, high=64),
            Field("timestamp", (int, float), "Unix seconds when it was written", required=True, low=0, high=_YEAR_2200_S),
        ),
        "duplicate: true where it was imported before",
    ),
)

ACTIONS: dict[str, Action] = {row.name: row for row in _ROWS}
