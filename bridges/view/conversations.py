"""Mail as talk: a list of threads, and one thread as a chat, of the reply to ``letters``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from bridges.fence import one_line, visible
from bridges.view.times import moment
from bridges.way_of_mail import step_words

__all__ = ["Bubble", "Hit", "Receipt", "Talk", "bubbles", "hits", "opening", "talks"]

_TOGETHER_S = 300.0
"""Messages of one sender closer than this stand under one name."""
_OPENING_CHARS = 140
_UNREAD = ("stored", "pushed")


class Talk(NamedTuple):
    """A thread, as far as the page of letters holds it."""

    thread: str
    names: tuple[str, ...]
    """Who writes and who is written to, in the order of their first part."""
    group: str
    messages: int
    last_at: str
    last_from: str
    opening: str
    """How its first message in the page begins."""
    latest: str
    """How its last one begins."""
    pair: tuple[str, str] | None
    """The two whose talk this is, where it holds several threads of one message each."""


class Hit(NamedTuple):
    """A message that a search found."""

    id: str
    sender: str
    to: tuple[str, ...]
    group: str
    at: str
    text: str
    """The part with the words, visible."""


class Receipt(NamedTuple):
    """How far a message came with one reader."""

    to: str
    words: str
    """Its last step, such as ``in context``."""
    step: str
    at: str
    why: str
    steps: tuple[tuple[str, str], ...]
    """(words, ISO 8601 or empty) of each step, where the reply has them."""


class Bubble(NamedTuple):
    """One message of a chat."""

    id: str
    sender: str
    to: tuple[str, ...]
    group: str
    at: str
    text: str
    """Visible. Of a large message this is its summary."""
    data: Any
    land: str
    side: str
    """``left``, or ``right``: the person's, or the second of two who talk."""
    new_day: bool
    continues: bool
    """The message before is the same sender's, to the same readers, of the last minutes."""
    reply_to: str
    quote: str
    """How the message begins that it answers, where that is not the one before."""
    file: dict[str, Any] | None
    cut: bool
    """The text goes on; ask for it by ``letter_id``."""
    receipts: tuple[Receipt, ...]
    thread: str
    unread: bool
    """It is for the person, who has not read it."""


def opening(text: str, limit_chars: int = _OPENING_CHARS) -> str:
    """The first line with words of a text."""
    line = next((one for one in text.split("\n") if one.strip()), "")
    shown = one_line(line[: limit_chars + 1].strip())
    return f"{shown[:limit_chars]}…" if len(line) > limit_chars or len(shown) > limit_chars else shown


def talks(messages: Sequence[dict[str, Any]]) -> list[Talk]:
    """The threads of a page of letters (newest first), that with the newest message first.

    Messages of two agents that belong to no longer thread are one talk: most agents do not answer in threads.
    """
    threads: dict[str, list[dict[str, Any]]] = {}
    for m in messages:
        threads.setdefault(m["thread"], []).append(m)
    found: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for thread, held in threads.items():
        m = held[0]
        alone = len(held) == 1 and len(m["to"]) == 1 and not m.get("group")
        found.setdefault(tuple(sorted((m["from"], m["to"][0]))) if alone else (thread,), []).extend(held)
    return [_talk(key, held[::-1]) for key, held in found.items()]


def _talk(key: tuple[str, ...], found: list[dict[str, Any]]) -> Talk:
    names = dict.fromkeys(name for m in found for name in (m["from"], *(() if m.get("group") else m["to"])))
    first, last = found[0], found[-1]
    return Talk(
        first["thread"], tuple(names), first.get("group", ""), len(found), last["timestamp"], last["from"],
        opening(first["message"]["content"]), opening(last["message"]["content"]),
        (key[0], key[1]) if len(key) == 2 and len(found) > 1 else None,
    )  # fmt: skip


def hits(messages: Sequence[dict[str, Any]]) -> list[Hit]:
    """What a search found, in its order."""
    return [
        Hit(
            m["id"], m["from"], tuple(m["to"]), m.get("group", ""), m["timestamp"],
            visible(m.get("snippet") or m["message"]["content"]),
        )
        for m in messages
    ]  # fmt: skip


def bubbles(messages: Sequence[dict[str, Any]], person_name: str = "") -> list[Bubble]:
    """A page of letters (newest first) as a chat, oldest first."""
    ordered = list(messages)[::-1]
    by_id = {m["id"]: m for m in ordered}
    senders = list(dict.fromkeys(m["from"] for m in ordered))
    right = person_name if person_name in senders else senders[1] if len(senders) == 2 else ""
    found = []
    before: dict[str, Any] | None = None
    for m in ordered:
        found.append(_bubble(m, before, by_id, right, person_name))
        before = m
    return found


def _bubble(
    m: dict[str, Any], before: dict[str, Any] | None, by_id: dict[str, dict[str, Any]], right: str, person_name: str
) -> Bubble:
    new_day = before is None or before["timestamp"][:10] != m["timestamp"][:10]
    same = before is not None and (before["from"], before["to"]) == (m["from"], m["to"])
    gap_s = moment(m["timestamp"]) - moment(before["timestamp"]) if before else 0.0
    reply_to = m.get("reply_to", "")
    answered = by_id.get(reply_to) if before is None or before["id"] != reply_to else None
    return Bubble(
        id=m["id"],
        sender=m["from"],
        to=tuple(m["to"]),
        group=m.get("group", ""),
        at=m["timestamp"],
        text=visible(m["message"]["content"]),
        data=m["message"].get("data"),
        land=m.get("land", ""),
        side="right" if m["from"] == right else "left",
        new_day=new_day,
        continues=same and not new_day and gap_s < _TOGETHER_S,
        reply_to=reply_to,
        quote=opening(answered["message"]["content"]) if answered else "",
        file=m.get("file"),
        cut=bool(m.get("cut")),
        receipts=tuple(_receipt(row) for row in m.get("receipts", ())),
        thread=m["thread"],
        unread=any(row["to"] == person_name and row["step"] in _UNREAD for row in m.get("receipts", ())),
    )


def _receipt(row: dict[str, Any]) -> Receipt:
    steps = tuple((one_line(step_words(step)), step.get("at", "")) for step in row.get("steps", ()))
    last = {**row["steps"][-1], **row} if row.get("steps") else row
    return Receipt(row["to"], one_line(step_words(last)), row["step"], row.get("at", ""), one_line(row.get("why", "")), steps)
