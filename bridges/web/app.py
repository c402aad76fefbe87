"""The page's routes.

GET   the pages (bridges.web.pages), /static, /events, /metrics, /healthz, /readyz: they change nothing
POST  /sign-in, /sign-out, and what the person does (bridges.web.acts)
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from bridges.person import Person
from bridges.web import pages, samples
from bridges.web.acts import ACTS, act_of
from bridges.web.bodies import fields_of
from bridges.web.desk import Desk
from bridges.web.events import ASK_DOWN_S, ASK_S, MOST_PAGES, Feed
from bridges.web.guard import Guard, plain, trouble, wants_json
from bridges.web.links import take_link
from bridges.web.metrics import all_metrics, exposed
from bridges.web.rendering import STATIC, rendered
from bridges.web.sign_ins import SIGNED_IN_S, SignIns
from broker.client.aio import AsyncConnection
from broker.home.logs import Log
from broker.home.settings import Settings
from broker.protocol.actions import ACTIONS
from broker.protocol.errors import IpcError, RemoteError
from broker.protocol.rows import Access

_PING_S = 2.0
BY_BEARER = "Show the bearer token that ipc web --metrics-token prints.\n"
_FOR_GOOD = "public, max-age=31536000, immutable"
_OLD_LINK = "This link was used already, or is older than 60 s. Type: ipc web"


class Page:
    """The application, and all that its routes share."""

    def __init__(self, settings: Settings, port: int, broker: AsyncConnection, key: str, log: Log) -> None:
        self.settings = settings
        self.port = port
        self.feed = Feed(broker, key)
        self.person = Person(broker, settings, key)
        self.samples = samples.empty()
        self._arriving: asyncio.Task[None] | None = None
        self._broker = broker
        self._key = key
        self._sign_ins = SignIns(str(settings.home))
        routes = [
            Route("/sign-in", self._sign_in_page, methods=["GET"]),
            Route("/sign-in", self._sign_in, methods=["POST"]),
            Route("/sign-out", self._sign_out, methods=["POST"]),
            Route("/static/{tag}/{name}", self._static, methods=["GET"]),
            *(Route(f"/act/{name}", act_of(name, self.person), methods=["POST"]) for name in ACTS),
            Route("/events", self._events, methods=["GET"]),
            Route("/healthz", self._health, methods=["GET"]),
            Route("/readyz", self._ready, methods=["GET"]),
            Route("/metrics", self._metrics, methods=["GET"]),
            *(Route(path, self._page(show), methods=["GET"]) for path, show in pages.ROUTES),
        ]
        handlers: dict[Any, Any] = {IpcError: _on_error, HTTPException: _on_http_error}
        self.guard = Guard(Starlette(routes=routes, exception_handlers=handlers), str(settings.home), port, self._sign_ins, log)

    async def ask(self, action: str, **fields: Any) -> dict[str, Any]:
        """The broker's reply to a request, as the owner where the action is the owner's. Raises IpcError."""
        if action == "overview":
            return await self.feed.overview()
        body: dict[str, Any] = {"action": action, **fields}
        if action in ACTIONS and ACTIONS[action].access == Access.OWNER:
            body["session_token"] = self._key
        reply = await self._broker.request(body, ASK_DOWN_S if self.feed.is_up is False else ASK_S)
        if reply.get("status") != "ok":
            raise RemoteError(reply)
        return reply

    def _page(self, show: Callable[[Request, Desk], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            return await show(request, self)

        return endpoint

    # signing in

    async def _sign_in_page(self, _request: Request) -> Response:
        return rendered("sign_in.html", title="Sign in")

    async def _sign_in(self, request: Request) -> Response:
        token = (await fields_of(request)).get("token")
        if not isinstance(token, str) or not take_link(str(self.settings.home), token.strip().rpartition("#")[2]):
            raise IpcError("bad_request", detail=_OLD_LINK)
        answer = JSONResponse({"status": "ok"}) if wants_json(request) else RedirectResponse("/", 303)
        cookie = self._sign_ins.add(request.scope["uid"])
        answer.set_cookie(self.guard.cookie_name, cookie, max_age=SIGNED_IN_S, httponly=True, samesite="strict")
        self._arriving = asyncio.ensure_future(self._arrive())
        return answer

    async def _arrive(self) -> None:
        """Take the person's name, so that agents see who there is to ask. Without a broker the first act does it."""
        with contextlib.suppress(IpcError):
            await self.person.session()

    async def _sign_out(self, request: Request) -> Response:
        self._sign_ins.remove(self.guard.cookie(request))
        answer = RedirectResponse("/sign-in", 303)
        answer.delete_cookie(self.guard.cookie_name, httponly=True, samesite="strict")
        return answer

    # what is no page

    async def _static(self, request: Request) -> Response:
        file = STATIC.get(request.path_params["name"])
        if file is None or file.path != request.url.path:
            return plain(404, "There is no such file.")
        return Response(file.content, media_type=file.media_type, headers={"Cache-Control": _FOR_GOOD})

    async def _events(self, request: Request) -> Response:
        if request.method == "HEAD":  # it has no end to wait for
            return Response(media_type="text/event-stream")
        if len(self.feed) >= MOST_PAGES:
            return plain(503, f"{MOST_PAGES} pages are open already.")
        return StreamingResponse(self.feed.stream(), media_type="text/event-stream")

    async def _health(self, _request: Request) -> Response:
        """This process lives."""
        return plain(200, "ok")

    async def _ready(self, _request: Request) -> Response:
        """The broker answers."""
        try:
            reply = await self._broker.request({"action": "ping"}, _PING_S)
        except IpcError as error:
            return plain(503, error.text)
        return plain(200, "ok") if reply.get("status") == "ok" else plain(503, str(reply.get("message")))

    async def _metrics(self, request: Request) -> Response:
        """For who shows the bearer token, or is signed in."""
        if not self.guard.shows_bearer(request) and not self.guard.is_signed_in(request):
            return Response(BY_BEARER, 401, {"WWW-Authenticate": "Bearer"}, "text/plain")
        overview = status = None
        with contextlib.suppress(IpcError):
            overview, status = await self.ask("overview"), await self.ask("status")
        told = all_metrics(self.settings.home, overview, status, len(self.feed))
        content, kind = exposed(told, request.headers.get("accept", ""))
        return Response(content, headers={"Content-Type": kind})


async def _on_error(request: Request, error: IpcError) -> Response:
    return trouble(request, error)


async def _on_http_error(request: Request, error: HTTPException) -> Response:
    if error.status_code == 404 and not wants_json(request):
        title, text = "There is no such page", "Nothing is at this address."
        return rendered("trouble.html", 404, title=title, text=text, hint="", back="/")
    return plain(error.status_code, error.detail)
