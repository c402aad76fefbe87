"""What the person does at the page: ``POST /act/NAME``, JSON or a plain form.

    send               to, content, land?, thread?          forward        message, to, note?
    reply              message, content, land?              pause          name, other?, on
    ask                to, content, land?, deadline_s?      dead_forward   dead, to?
    broadcast          content, land?                       dead_forget    ids
    ack                ids                                  permission_decide  permission, decision

``message_id`` may go with what stores mail: the same one twice is stored once. JSON is answered with the broker's reply. A form
is answered with 303 to its field ``back``, a path of ours; an error with a page that says what to do.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from bridges.fence import one_line
from bridges.person import Person
from bridges.web.bodies import fields_of
from bridges.web.guard import trouble, wants_json
from broker.protocol.errors import IpcError

_WORDS = {"true": True, "on": True, "1": True, "false": False, "off": False, "0": False}
Value = Callable[[str, Any], Any]


def _refused(name: str, what: str) -> IpcError:
    return IpcError("bad_request", detail=f"Field {name} must be {what}")


def text(name: str, value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise _refused(name, "text")
    return value


def ids(name: str, value: Any) -> list[str]:
    """A list in JSON; in a form with commas between."""
    found = value.split(",") if isinstance(value, str) else value
    if not isinstance(found, list) or not found or not all(isinstance(one, str) and one.strip() for one in found):
        raise _refused(name, "a list of ids")
    return [one.strip() for one in found]


def truth(name: str, value: Any) -> bool:
    found = value if isinstance(value, bool) else _WORDS.get(value) if isinstance(value, str) else None
    if found is None:
        raise _refused(name, "true or false")
    return found


def number(name: str, value: Any) -> float:
    try:
        return float(value) if isinstance(value, (str, int, float)) else float("")
    except (ValueError, OverflowError):
        raise _refused(name, "a number") from None


_LANDS: dict[str, Value] = {"land": text, "message_id": text}
ACTS: dict[str, tuple[Callable[..., Any], dict[str, Value], dict[str, Value]]] = {
    "send": (Person.send, {"to": text, "content": text}, {**_LANDS, "thread": text}),
    "reply": (Person.reply, {"message": text, "content": text}, _LANDS),
    "ask": (Person.ask, {"to": text, "content": text}, {**_LANDS, "deadline_s": number}),
    "broadcast": (Person.broadcast, {"content": text}, _LANDS),
    "forward": (Person.forward, {"message": text, "to": text}, {"note": text, "message_id": text}),
    "ack": (Person.ack, {"ids": ids}, {}),
    "pause": (Person.pause, {"name": text, "on": truth}, {"other": text}),
    "dead_forward": (Person.dead_forward, {"dead": text}, {"to": text, "message_id": text}),
    "dead_forget": (Person.dead_forget, {"ids": ids}, {}),
    "permission_decide": (Person.permission_decide, {"permission": text, "decision": text}, {}),
}
"""By name: the person's method, the fields that it needs, those that it takes."""


def arguments(act: str, fields: dict[str, Any]) -> dict[str, Any]:
    """The fields of a request as the method takes them. What is empty counts as not given. Raises ``bad_request``."""
    _method, needed, taken = ACTS[act]
    given = {name: value for name, value in fields.items() if name != "back" and value not in ("", None)}
    if unknown := sorted(given.keys() - needed.keys() - taken.keys()):
        raise IpcError("bad_request", detail=f"{act} takes no field {one_line(unknown[0])[:64]}")
    if missing := [name for name in needed if name not in given]:
        raise IpcError("bad_request", detail=f"{act} needs the field {missing[0]}")
    kinds = {**needed, **taken}
    return {name: kinds[name](name, value) for name, value in given.items()}


def place_back(value: Any) -> str:
    """A path of this page to go to after a form; ``/`` for anything else."""
    local = isinstance(value, str) and value.startswith("/") and not value.startswith(("//", "/\\"))
    return value if local and value.isprintable() and "\\" not in value else "/"


def act_of(name: str, person: Person) -> Callable[[Request], Awaitable[Response]]:
    """The endpoint of one act."""

    async def endpoint(request: Request) -> Response:
        fields = await fields_of(request)
        back = place_back(fields.get("back"))
        try:
            reply = await ACTS[name][0](person, **arguments(name, fields))
        except IpcError as error:
            return trouble(request, error, back)
        return JSONResponse({"status": "ok", **reply}) if wants_json(request) else RedirectResponse(back, 303)

    return endpoint
