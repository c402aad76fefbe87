"""What stands before every request of the page: who asks, by which name, from which page, and what every answer says.

    connection --> another OS user? --> Host --> method, Origin --> cookie --> the page's routes

The order is the rule: a stranger learns nothing, whatever he shows. Each request is judged anew, by the kernel's word on its
connection, so a cookie that leaked to another user opens nothing.
"""

from __future__ import annotations

import socket
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bridges.peers import Peers
from bridges.web.metrics_token import is_right
from bridges.web.rendering import rendered
from bridges.web.sign_ins import SignIns
from broker.home.logs import Log
from broker.protocol.errors import IpcError

CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS = {
    "Content-Security-Policy": CONTENT_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # "no-referrer" would have browsers send "Origin: null" with our own forms; nothing goes to other sites by this one either
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
METHODS = ("GET", "HEAD", "POST")
BY_TOKEN = ("/metrics", "/healthz", "/readyz")
"""What another OS user may ask with the right bearer token: Prometheus is often one."""
UNSIGNED = ("/sign-in", *BY_TOKEN)
"""What the owner's OS user may ask without a cookie, beside static files. ``/metrics`` looks at the cookie itself."""
SIGN_IN = "Sign in first: type ipc web in a terminal, and open the link that it prints."
NOT_YOURS = "This page belongs to another user of this machine."
NOT_TOLD = "The page can't tell which user of this machine you are, so it shows you nothing. Open it on this machine itself."


class Connected:
    """The application as one connection asks it: the request's scope says which socket it came by."""

    def __init__(self, app: Any, connected: socket.socket) -> None:
        self._app = app
        self._connected = connected

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app({**scope, "connected": self._connected}, receive, send)


class Guard:
    """The outermost layer of the application, and the one broad catch of this process."""

    def __init__(self, app: ASGIApp, home: str, port: int, sign_ins: SignIns, log: Log) -> None:
        self._app = app
        self._home = home
        self._hosts = tuple(f"{name}:{port}" for name in ("127.0.0.1", "localhost", "[::1]"))
        self._sign_ins = sign_ins
        self._log = log
        self.peers = Peers()
        self.cookie_name = f"ipc-page-{port}"
        """The port is in the name, since browsers keep one jar for all ports of a host."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return

        started = False

        async def answer(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                headers.update(HEADERS)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        request = Request(scope, receive)
        refusal = self._judge(request)
        if refusal is not None:
            await refusal(scope, receive, answer)
            return
        try:
            await self._app(scope, receive, answer)
        except Exception as error:  # the browser gets a reference, the log the rest
            ref = self._log.exception(error, door="web", path=request.url.path)
            if not started:
                await trouble(request, IpcError("internal", ref=ref))(scope, receive, answer)

    def _judge(self, request: Request) -> Response | None:
        """The answer to a request that is refused; None for one that may pass."""
        path = request.url.path
        peer = self.peers(request.scope["connected"])
        if peer.verdict != "ours" and not (path in BY_TOKEN and self.shows_bearer(request)):
            self._log.refusal("user_refused", uid=peer.uid)
            return plain(403, NOT_YOURS if peer.verdict == "foreign" else NOT_TOLD)
        if one_header(request, "host") not in self._hosts:
            self._log.refusal("host_refused", host=one_header(request, "host")[:100])
            return plain(403, f"This page answers only at http://{self._hosts[0]}.")
        if request.method not in METHODS:
            return plain(405, "The page takes GET and POST.")
        if request.method == "POST" and one_header(request, "origin") != f"http://{one_header(request, 'host')}":
            self._log.refusal("origin_refused", origin=one_header(request, "origin")[:100])
            return plain(403, "Only a page of this service may ask for changes.")
        request.scope["uid"] = peer.uid
        if path in UNSIGNED or path.startswith("/static/") or self.is_signed_in(request):
            return None
        if wants_json(request):
            return JSONResponse({"status": "error", "code": "sign_in", "message": SIGN_IN}, 401)
        if request.method == "POST" or path == "/events":
            return plain(401, SIGN_IN)
        return rendered("sign_in.html", 401, title="Sign in")

    def is_signed_in(self, request: Request) -> bool:
        cookie = self.cookie(request)
        return bool(cookie) and self._sign_ins.knows(cookie, request.scope["uid"])

    def cookie(self, request: Request) -> str:
        """Ours among those of whatever else was ever at 127.0.0.1, of any form."""
        return request.cookies.get(self.cookie_name, "")

    def shows_bearer(self, request: Request) -> bool:
        scheme, _, token = one_header(request, "authorization").partition(" ")
        return scheme.lower() == "bearer" and is_right(self._home, token.strip())


def one_header(request: Request, name: str) -> str:
    """A header that stands there once; else empty."""
    values = request.headers.getlist(name)
    return values[0] if len(values) == 1 else ""


def plain(status: int, text: str) -> Response:
    return PlainTextResponse(text + "\n", status)


def wants_json(request: Request) -> bool:
    kind = request.headers.get("content-type", "").partition(";")[0].strip()
    return kind == "application/json" or "application/json" in request.headers.get("accept", "")


def trouble(request: Request, error: IpcError, back: str = "/") -> Response:
    """An error, as JSON for a script and as a page for a person."""
    if wants_json(request):
        return JSONResponse(error.to_wire(), error.kind.http)
    title = "The broker is not there" if error.code in ("unavailable", "timeout") else "That did not work"
    return rendered("trouble.html", error.kind.http, title=title, text=error.text, hint=error.hint, back=back)
