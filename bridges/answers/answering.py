"""What a link's token lets a person answer: looked up at the broker, shown, and decided by a POST alone.

    token --read--> question --overview: still open?--> reply with the question's own answer id --> the broker takes it once
                    permission --overview: still waits?--> permission_decide                     --> the broker decides once

A broker that is killed in between has taken the answer or not. Either way the same request is sent again under the same id, so
nothing is answered twice, and nothing is ever answered without a person's POST.
"""

import asyncio
import time
from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from bridges.answer_tokens import AnswerToken, answer_id, read
from bridges.answers.confirm_pages import permission_page, question_page, said
from bridges.person import Person
from broker.client.aio import AsyncConnection
from broker.home.files import answer_key, owner_key
from broker.home.message_files import locate, original
from broker.home.settings import Settings
from broker.protocol.errors import IpcError, RemoteError

_SHOWN_CHARS = 200_000
_GONE = frozenset({"id_conflict", "unknown_message", "not_answerable"})
"""What a reply meets that comes too late: another answer came a moment before, or the question was taken back."""


class AnsweredAlready(Exception):
    """What the token names is answered, withdrawn or over."""


class Answering:
    """Questions and permissions, as the holder of a token sees and decides them."""

    def __init__(self, settings: Settings, broker: AsyncConnection) -> None:
        self._settings = settings
        self._key = answer_key(settings.home)
        self._person = Person(broker, settings, owner_key(settings.home))
        self._one_at_a_time = asyncio.Lock()

    def read(self, token: str) -> AnswerToken:
        """Raises TokenForged, TokenLate."""
        return read(self._key, token, time.time())

    async def show(self, token: AnswerToken) -> Response:
        """The page that asks. It decides nothing. Raises AnsweredAlready, IpcError."""
        row = await self._found(token)
        if token.kind == "permission":
            return permission_page(row["name"], row["host"], row["tool"], row["shown"])
        return question_page(row["from"], await self._whole(token.id, row), row.get("buttons", ()))

    async def decide(self, token: AnswerToken, form: Mapping[str, str]) -> Response:
        """Take the answer of a form. Raises AnsweredAlready, IpcError."""
        async with self._one_at_a_time:  # of two links to one question the second finds it answered
            row = await self._found(token)
            if token.kind == "permission":
                return await self._permit(token, row, form.get("decision", ""))
            return await self._answer(token, row, form)

    async def _permit(self, token: AnswerToken, row: dict[str, Any], decision: str) -> Response:
        if decision not in ("allow", "deny"):
            raise IpcError("bad_request", detail="Choose one of the two buttons")
        try:
            await self._person.permission_decide(token.id, decision)
        except RemoteError as e:
            if e.code == "permission_over":
                raise AnsweredAlready from None
            raise
        done = "allowed" if decision == "allow" else "denied"
        return said(f"You {done} it", f"The host of {row['name']} has been told.", 200)

    async def _answer(self, token: AnswerToken, row: dict[str, Any], form: Mapping[str, str]) -> Response:
        text = form.get("answer", "").strip()
        if "button" in form:
            numbered = {str(n): one for n, one in enumerate(row.get("buttons", ()))}
            if form["button"] not in numbered:
                raise IpcError("bad_request", detail="The question has no such button")
            text = numbered[form["button"]]
        if not text:
            raise IpcError("bad_request", detail="The answer is empty. Go back, and write one or press a button.")
        await self._person.session()
        if row["to"] != self._person.name:
            raise IpcError(
                "bad_request", detail=f"{row['to']} was asked, and you are {self._person.name}: answer where {row['to']} is"
            )
        try:
            await self._person.reply(token.id, text, message_id=answer_id(token.id))
        except RemoteError as e:
            if e.code in _GONE:
                raise AnsweredAlready from None
            raise
        return said("Your answer is on its way", f"{row['from']} gets it with its next look at its mail.", 200)

    async def _found(self, token: AnswerToken) -> dict[str, Any]:
        """The row of overview of what the token names. Raises AnsweredAlready where it is answered or over."""
        rows = (await self._person.own("overview")).get(f"{token.kind}s", ())
        row: dict[str, Any] | None = next((row for row in rows if str(row["id"]) == token.id), None)
        if row is None:
            raise AnsweredAlready
        return row

    async def _whole(self, question_id: str, row: dict[str, Any]) -> str:
        """The question's whole text."""
        reply = await self._person.own("letters", letter_id=question_id)
        found = next(iter(reply["messages"]), {"message": {"content": row["content"]}})
        text = await asyncio.to_thread(self._file_of, found) or str(found["message"]["content"])
        if len(text) > _SHOWN_CHARS:
            text = f"{text[:_SHOWN_CHARS]}\n[{len(text) - _SHOWN_CHARS:,} more characters: read them at the page]"
        return text

    def _file_of(self, found: dict[str, Any]) -> str:
        """The text of a large message; empty for another."""
        file: dict[str, Any] = found.get("file") or {}
        path = locate(file["path"], self._settings) if file else None
        whole = None if path is None else original(path, file["sha256"])
        return "" if whole is None else whole.decode("utf-8", "replace")
