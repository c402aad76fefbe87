"""JSON lines: a head, one object a message, and an end that says how many there are. docs/leave.md has the fields.

Nothing that a file says is believed before it was checked here: ``messages`` gives each line as an import request, or the
reason why it is none.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import IO, Any, NamedTuple

import orjson

from broker.protocol.actions import ACTIONS
from broker.protocol.addresses import is_address
from broker.protocol.errors import IpcError
from broker.protocol.mail_rows import READER_STATES
from broker.protocol.names import is_name

FORMAT, VERSION = "agent-ipc mail", 1
LINE_BYTES = 100 * 1024 * 1024
"""The longest line: a text of 16 MiB whose every byte is an escape."""
_DEPTH = 64
_PAST = ("forwarded", "question", "hops", "resends")


class Message(NamedTuple):
    """A line that can be imported. ``refs`` are the old ids that its request is still to be given the new ones of."""

    line: int
    id: int
    request: dict[str, Any]
    refs: dict[str, int]


class Bad(NamedTuple):
    """A line that can't, and why."""

    line: int
    reason: str


class NotOurs(Exception):
    """The file is no export of ours, or of a version that this program does not know."""


def head(origin: str, at: str) -> bytes:
    return _line({"format": FORMAT, "version": VERSION, "origin": origin, "at": at})


def line(row: dict[str, Any]) -> bytes:
    return _line(row)


def end(count: int) -> bytes:
    return _line({"end": True, "messages": count})


def _line(value: dict[str, Any]) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE)


def read_head(file: IO[bytes]) -> str:
    """The origin in the first line. Raises NotOurs."""
    try:
        said = orjson.loads(file.readline(LINE_BYTES))
    except ValueError:
        said = None
    if not isinstance(said, dict) or said.get("format") != FORMAT:
        raise NotOurs(f"its first line does not say that it is {FORMAT!r}")
    version, origin = said.get("version"), said.get("origin")
    if version != VERSION:
        raise NotOurs(f"it is of version {str(version)[:20]}, and this program reads {VERSION}: upgrade agent-ipc")
    if not isinstance(origin, str) or not (0 < len(origin) <= 32 and origin.isascii() and origin.isalnum()):
        raise NotOurs("its first line has no origin")
    return origin


def messages(file: IO[bytes]) -> Iterator[Message | Bad]:
    """The lines behind the head. The last may be bad for want of an end."""
    number, before, count, ended = 1, 0, 0, False
    while raw := file.readline(LINE_BYTES):
        number += 1
        if len(raw) >= LINE_BYTES and not raw.endswith(b"\n"):
            yield Bad(number, f"it is longer than {LINE_BYTES >> 20} MiB")
            while raw and not raw.endswith(b"\n"):
                raw = file.readline(LINE_BYTES)
            continue
        if ended:
            yield Bad(number, "it is behind the end")
            continue
        try:
            row = _object(raw)
            if row.get("end") is True:
                ended = True
                if row.get("messages") != count:
                    yield Bad(number, f"the end counts {str(row.get('messages'))[:20]} messages, and there are {count}")
                continue
            count += 1
            message = read(number, row)
            if message.id <= before:
                raise ValueError(f"its id {message.id} is not above the one before")
        except ValueError as e:
            yield Bad(number, str(e))
        else:
            before = message.id
            yield message
    if not ended:
        yield Bad(number + 1, "the file ends without its last line: it was cut")


def _object(raw: bytes) -> dict[str, Any]:
    try:
        row = orjson.loads(raw)
    except orjson.JSONDecodeError as e:
        raise ValueError(f"it is no JSON: {e.msg}") from None
    if not isinstance(row, dict):
        raise ValueError("it is no object")
    return row


def read(number: int, row: dict[str, Any]) -> Message:
    """The import request of a message's line. Raises ValueError with the reason."""
    message = _typed(row, "message", dict)
    if _too_deep(message):
        raise ValueError(f"its data is nested deeper than {_DEPTH}")
    body: dict[str, Any] = {"action": "import", "from_id": _name(row.get("from"), "from"), "message": message}
    body["readers"] = [one for reader in _typed(row, "readers", list) if (one := _reader(reader)) is not None]
    body["timestamp"], body["message_id"] = _time(row.get("timestamp"), "timestamp"), "-"
    for field in ("group", "land"):
        if row.get(field) is not None:
            body[field] = row[field]
    past = {field: row[field] for field in _PAST if row.get(field) is not None}
    if isinstance(past.get("forwarded"), dict):
        first = past["forwarded"]
        past["forwarded"] = {"from": first.get("from"), "id": first.get("id"), "at": _time(first.get("timestamp"), "forwarded")}
    if isinstance(past.get("question"), dict):
        past["question"] = {"deadline": _time(past["question"].get("deadline"), "deadline")}
    if past:
        body["past"] = past
    old = _id(row, "id")
    body["was"] = str(old)
    try:
        ACTIONS["import"].check(body)
    except IpcError as e:
        raise ValueError(e.text) from None
    if not isinstance(message.get("content"), str):
        raise ValueError("its message has no text in content")
    return Message(number, old, body, {f: _id(row, f) for f in ("thread", "reply_to", "supersedes") if row.get(f) is not None})


def _typed(row: dict[str, Any], field: str, kind: type) -> Any:
    value = row.get(field)
    if not isinstance(value, kind):
        raise ValueError(f"its {field} is no {'object' if kind is dict else 'list'}")
    return value


def _id(row: dict[str, Any], field: str) -> int:
    value = row.get(field)
    if not isinstance(value, str) or not (value.isascii() and value.isdigit() and len(value) < 19):
        raise ValueError(f"its {field} is no number as text")
    return int(value)


def _name(value: Any, field: str) -> str:
    if not isinstance(value, str) or not (is_name(value) or is_address(value)):
        raise ValueError(f"its {field} is no name")
    return value


def _time(value: Any, field: str) -> float:
    try:
        when = datetime.fromisoformat(value)
        if when.tzinfo is None:
            raise ValueError
        return when.timestamp()
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"its {field} is no ISO 8601 time with an offset") from None


def _reader(row: Any) -> dict[str, Any] | None:
    """A reader as the request has it; None for one whose mailbox was gone."""
    if not isinstance(row, dict) or row.get("state") not in READER_STATES:
        raise ValueError(f"the state of a reader is none of {', '.join(READER_STATES)}")
    if row.get("name") is None:
        return None
    reader = {"name": _name(row["name"], "reader"), "state": row["state"]}
    reader |= {field: row[field] for field in ("evidence", "why") if row.get(field) is not None}
    return reader if row.get("at") is None else {**reader, "at": _time(row["at"], "at")}


def _too_deep(value: Any, depth: int = -1) -> bool:
    """``depth`` begins below the message itself, whose data may be so deep."""
    if not isinstance(value, (dict, list)):
        return False
    inside = value.values() if isinstance(value, dict) else value
    return depth >= _DEPTH or any(_too_deep(one, depth + 1) for one in inside)
