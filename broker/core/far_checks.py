"""What another site may say, checked: its word is signed by that site, and is of any form and size that it likes."""

from typing import Any, NamedTuple

import msgpack

from broker.core.values import read_land
from broker.protocol.addresses import EVERY, is_address, is_site
from broker.protocol.essentials import LANDINGS
from broker.protocol.names import NAME_LENGTH, SYSTEM, is_name, is_webhook

UID_LENGTH, REASON_LENGTH = 64, 200
_NAMES = 1000
"""Names that one letter may go to at a site."""
_LONGEST_TTL_S, _LONGEST_WAIT_S, _YEAR_2200_S = 31_536_000.0, 604_800.0, 7_258_118_400.0
_HOPS = 1000.0


class Malformed(Exception):
    """A body that no broker makes."""


class Reference(NamedTuple):
    """A letter as sites name it. ``name``: who wrote it, where that site is the one that speaks."""

    site: str
    uid: str
    name: str | None


class LetterOptions(NamedTuple):
    """What a letter says beside its text."""

    land: int
    ttl_s: float | None
    deadline_s: float | None
    """Of a question: seconds that are left."""
    written_s: float
    answers: Reference | None
    thread: Reference | None
    person: bool
    extra: dict[str, Any]


def text(value: object, most: int) -> str:
    """A text without what is no character, which no database takes."""
    if not isinstance(value, str) or not 0 < len(value) <= most or not encodable(value):
        raise Malformed(f"a text of 1 to {most} characters is missing")
    return value


def encodable(value: object) -> bool:
    try:
        msgpack.packb(value)
    except (UnicodeEncodeError, ValueError, TypeError, OverflowError):
        return False
    return True


def message(body: dict[str, Any]) -> dict[str, Any]:
    """Text and data. Their limits are this broker's, and no fault of the writer's."""
    found = {"content": body.get("content"), "data": body.get("data")}
    if not (isinstance(found["content"], str) and encodable(found)):
        raise Malformed("a letter without text")
    return found


def line(value: object) -> str:
    """A reason, on one line."""
    return " ".join(text(value, REASON_LENGTH).split())


def number(value: object, low: float, high: float) -> float:
    """A number, moved into its bounds."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value:
        raise Malformed("a number is missing")
    return float(min(max(value, low), high))


def name(value: object) -> str:
    found = text(value, NAME_LENGTH)
    if not is_name(found):
        raise Malformed("no name")
    return found


def sender_name(value: object) -> str:
    """A name, or ``*`` for what a site passes on to everyone. Notices and webhooks are of the reader's own broker alone."""
    found = EVERY if value == EVERY else name(value)
    if found.lower() == SYSTEM or is_webhook(found):
        raise Malformed("no site speaks for the service, or for what comes in by a webhook")
    return found


def party(value: object) -> str:
    """A name or an address: readers see it in a message's heading, beside what their own broker says."""
    if isinstance(value, str) and (is_name(value) or is_address(value)):
        return value
    raise Malformed("a name or an address is missing")


def names(value: object) -> list[str]:
    if not isinstance(value, list) or not 0 < len(value) <= _NAMES:
        raise Malformed("names are missing")
    return list(dict.fromkeys(text(one, NAME_LENGTH) for one in value))


def reference(value: object) -> Reference | None:
    if value is None:
        return None
    if not isinstance(value, dict) or not is_site(value.get("site")):
        raise Malformed("a letter is named by site and uid")
    writer = value.get("name")
    return Reference(value["site"], text(value.get("uid"), UID_LENGTH), None if writer is None else sender_name(writer))


def options_of(body: dict[str, Any]) -> LetterOptions:
    """The fields of a letter that few have."""
    land = body.get("land", "tool")
    if land not in LANDINGS:
        raise Malformed("no landing")
    extra: dict[str, Any] = {}
    if body.get("hops") is not None:
        extra["hops"] = int(number(body["hops"], 0.0, _HOPS))
    if body.get("group") is not None:
        extra["group"] = party(body["group"])
    first = body.get("forwarded")
    if first is not None:
        if not isinstance(first, dict):
            raise Malformed("who wrote it first is missing")
        writer, uid = party(first.get("from")), text(first.get("id"), UID_LENGTH)
        extra["forwarded"] = {"from": writer, "id": uid, "at": number(first.get("at"), 0.0, _YEAR_2200_S)}
    question, deadline_s = body.get("question"), None
    if question is not None:
        deadline_s = number(question.get("deadline_s") if isinstance(question, dict) else None, 0.0, _LONGEST_WAIT_S)
    ttl_s = None if body.get("ttl_s") is None else number(body["ttl_s"], 1.0, _LONGEST_TTL_S)
    written_s = number(body.get("at"), 0.0, _YEAR_2200_S)
    named = reference(body.get("reply_to")), reference(body.get("thread"))
    return LetterOptions(read_land({"land": land}), ttl_s, deadline_s, written_s, *named, body.get("person") is True, extra)
