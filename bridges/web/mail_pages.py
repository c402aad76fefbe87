"""Pages of mail: conversations, one chat, one message, an agent's mail, search, and the form to write."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from bridges.plurals import number_of
from bridges.view.agents import agents_of
from bridges.view.conversations import Bubble, bubbles, hits, talks
from bridges.web.big_text import LETTER_CHARS, letter, whole_text
from bridges.web.desk import ROWS, Desk, Seen, before, look, page_after, show
from bridges.web.template_filters import clipped, size_in_page
from broker.protocol.errors import IpcError

TALK_LETTERS, CHAT_LETTERS = 100, 50
"""Messages that a list of conversations looks at, and that a chat shows."""
CHAT_BYTES = 110_000
"""Bytes of others' text in one page."""
_CHAT_CHARS, _RECEIPTS = 4000, 8


async def conversations(request: Request, desk: Desk) -> Response:
    query = request.query_params
    name, group = query.get("name", "").strip(), query.get("group", "")
    wanted: dict[str, Any] = {"name": name} if name else {"group": group} if group else {}
    seen = await look(desk)
    found = await _letters(desk, **wanted, **before(request), short=True, limit=TALK_LETTERS)
    title = f"Mail to {group}" if group else "Conversations"
    return show(
        request,
        seen,
        "conversations.html",
        title,
        talks=talks(found["messages"]),
        next_page=page_after(request, before=found.get("next", "")),
        name=name,
        known=seen.names,
    )


async def _letters(desk: Desk, **fields: Any) -> dict[str, Any]:
    """The reply to ``letters``; nothing for a name that nobody has."""
    try:
        return await desk.ask("letters", **fields)
    except IpcError as error:
        if error.code not in ("unknown_name", "unknown_recipient", "bad_request") or "name" not in fields:
            raise
        return {"messages": [], "more": False}


def _chat(found: dict[str, Any], person: str) -> list[Bubble]:
    """A chat that fits into its page, however long the messages are: the newest are shown the most of."""
    left, shown = CHAT_BYTES, []
    for bubble in reversed(bubbles(found["messages"], person)):
        text = clipped(bubble.text, max(200, min(_CHAT_CHARS, left // 2)))
        left -= size_in_page(text)
        cut = bubble.cut or text != bubble.text
        shown.append(bubble._replace(text=text, cut=cut, receipts=bubble.receipts[:_RECEIPTS]))
    return shown[::-1]


async def _chat_page(request: Request, desk: Desk, seen: Seen, title: str, **wanted: str) -> Response:
    found = await desk.ask("letters", **wanted, **before(request), steps=True, limit=CHAT_LETTERS)
    chat = _chat(found, seen.person)
    mine = [bubble for bubble in chat if seen.person in bubble.to]
    names = list(dict.fromkeys(name for bubble in chat for name in (bubble.sender, *bubble.to)))
    newest = not request.query_params.get("before")
    return show(
        request,
        seen,
        "thread.html",
        title or _named(names),
        bubbles=chat,
        about=number_of(len(chat), "message") + (" on this page" if found["more"] or not newest else ""),
        next_page=page_after(request, before=found.get("next", "")),
        newest=newest,
        last=mine[-1] if mine and mine[-1].sender != "system" else None,
        partners=[name for name in names if name not in (seen.person, "system")][:20],
    )


def _named(names: list[str]) -> str:
    return " and ".join(names) if len(names) < 3 else f"{', '.join(names[:3])} and {len(names) - 3} more"


async def thread(request: Request, desk: Desk) -> Response:
    return await _chat_page(request, desk, await look(desk), "", thread=request.path_params["thread"])


async def pair(request: Request, desk: Desk) -> Response:
    name, peer = request.path_params["name"], request.path_params["peer"]
    return await _chat_page(request, desk, await look(desk), f"{name} and {peer}", name=name, peer=peer)


async def message(request: Request, desk: Desk) -> Response:
    seen = await look(desk)
    one = await _one(request, desk, steps=True)
    text = await asyncio.to_thread(whole_text, one, desk.settings)
    (shown,) = bubbles([one], seen.person)
    kept = shown.text if text is None else text
    large = one.get("file") is not None and text is not None
    made = await asyncio.to_thread(letter, kept) if large else None
    return show(
        request,
        seen,
        "message.html",
        f"Message {shown.id}",
        b=shown._replace(receipts=shown.receipts[:ROWS]),
        letter=made,
        text=clipped(kept, LETTER_CHARS),
        cut=size_in_page(kept) > 2 * LETTER_CHARS or len(kept) > LETTER_CHARS,
        size=len(kept.encode("utf-8", "replace")),
        missing=text is None,
        to_me=seen.person in one["to"] and one["from"] != "system",
    )


async def message_text(request: Request, desk: Desk) -> Response:
    """The whole text, as text and nothing else."""
    one = await _one(request, desk)
    text = await asyncio.to_thread(whole_text, one, desk.settings)
    return PlainTextResponse(str(one["message"]["content"]) if text is None else text)


async def _one(request: Request, desk: Desk, **fields: Any) -> dict[str, Any]:
    found = await desk.ask("letters", letter_id=request.path_params["message"], **fields)
    if not found["messages"]:
        raise IpcError("unknown_message", id=request.path_params["message"])
    first: dict[str, Any] = found["messages"][0]
    return first


async def search(request: Request, desk: Desk) -> Response:
    q = request.query_params.get("q", "").strip()[:500]
    seen = await look(desk)
    found: dict[str, Any] = {"messages": []}
    if q:
        found = await desk.ask("letters", query=q, short=True, limit=CHAT_LETTERS, **before(request))
    next_page = page_after(request, before=found.get("next", ""))
    return show(
        request,
        seen,
        "search.html",
        "Search",
        q=q,
        found=hits(found["messages"]),
        behind=found.get("behind"),
        next_page=next_page,
    )


async def agent(request: Request, desk: Desk) -> Response:
    name = request.path_params["name"]
    seen = await look(desk)
    found = await _letters(desk, name=name, **before(request), steps=True, limit=CHAT_LETTERS)
    pauses = [(one["name"], one.get("other")) for one in seen.overview["pauses"]]
    pairs = {other if one == name else one for one, other in pauses if other and name in (one, other)}
    peers = {n for m in found["messages"] for n in (m["from"], *([] if m.get("group") else m["to"]))} | pairs
    return show(
        request,
        seen,
        "agent.html",
        name,
        name=name,
        line=next((line for line in agents_of(seen.overview, seen.needs) if line.name == name), None),
        paused=(name, None) in pauses,
        pairs=pairs,
        peers=sorted(peers - {name, "system"})[:20],
        claims=[claim for claim in seen.overview["claims"] if claim["holder"] == name][:20],
        bubbles=_chat(found, seen.person),
        next_page=page_after(request, before=found.get("next", "")),
    )


async def write(request: Request, desk: Desk) -> Response:
    seen = await look(desk)
    rows = seen.overview["agents"]
    others = sum(not row.get("unclaimed") and row["id"] != seen.person for row in rows)
    everyone = number_of(others, "registered agent")
    to = request.query_params.get("to", "")
    return show(request, seen, "write.html", "Write", to=to, known=seen.names, everyone=everyone)
