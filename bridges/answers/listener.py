"""The second listener's routes: links by which a person answers, and webhooks. Nothing of the page is here.

GET   /a/TOKEN       shows what is asked, and decides nothing: previews, prefetches and scanners open links, too
POST  /a/TOKEN       decides, once
POST  /hook/SOURCE   a webhook, if its signature is right

A stranger learns nothing: an unknown path, an unknown source and a forged token get the same answer.
"""

import ipaddress
import math
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from bridges.answer_tokens import AnswerToken, TokenForged, TokenLate
from bridges.answers.answering import AnsweredAlready, Answering
from bridges.answers.confirm_pages import said
from bridges.answers.rates import Rate
from bridges.answers.webhook_settings import Webhook
from bridges.answers.webhooks_in import BODY_BYTES, BODY_S, WebhooksIn, check
from bridges.http_server import read_body
from bridges.webhook_signatures import WrongSignature
from broker.home.logs import Log
from broker.protocol.errors import IpcError, RemoteError

FORM_BYTES = 64 * 1024
_FIELDS = 8
_AGAIN_S = 10.0
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
Handler = Callable[[Request], Awaitable[Response]]


class AnswersListener:
    """The application: routes, and what stands before them."""

    def __init__(
        self, hosts: frozenset[str], answering: Answering, webhooks: dict[str, Webhook], deliveries: WebhooksIn, log: Log
    ) -> None:
        self._hosts = hosts
        self._answering = answering
        self._webhooks = webhooks
        self._deliveries = deliveries
        self._log = log
        self._strangers = Rate(20, 0.5, 200, 5)
        self._holders = Rate(30, 0.5, 200, 5)
        self._sources = Rate(120, 2, 500, 20)
        self._app = Starlette(
            routes=[
                Route("/a/{token}", self._answer, methods=["GET", "POST"]),
                Route("/hook/{source}", self._hook, methods=["POST"]),
            ],
            exception_handlers={HTTPException: self._unknown, IpcError: _failed, TokenLate: _late, AnsweredAlready: _over},
        )
        self._app.router.redirect_slashes = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        answer = self._turned_away(request)
        await (self._app if answer is None else answer)(scope, receive, send)

    def _turned_away(self, request: Request) -> Response | None:
        """Who comes by another name, by another method, from another page, or too often from his own address."""
        if host_of(request.headers.get("host", "")) not in self._hosts:
            return said("Not here", "This listener is not reached by that name (web_hosts).", 421)
        if request.method not in ("GET", "HEAD", "POST"):
            return said("Not here", "There is nothing here for that method.", 405)
        origin = request.headers.get("origin")
        if origin is not None and request.method == "POST" and host_of(origin.partition("://")[2]) not in self._hosts:
            return said("Not from there", "Another page may not answer for you.", 403)
        address = _address(request)
        if not is_loopback(address) and (wait_s := self._strangers.own_wait_s(address)) > 0:
            return _too_often(wait_s)
        return None

    async def _answer(self, request: Request) -> Response:
        token = self._token(request)
        if isinstance(token, Response):
            return token
        if (wait_s := self._holders.take(f"{token.kind}:{token.id}")) > 0:
            return _too_often(wait_s)
        if request.method != "POST":
            return await self._answering.show(token)
        body = await read_body(request, FORM_BYTES, BODY_S)
        try:
            form = dict(parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=_FIELDS))
        except ValueError:
            raise IpcError("bad_request", detail="The form can't be read") from None
        answer = await self._answering.decide(token, form)
        self._log.info("answered", kind=token.kind, of=token.id)
        return answer

    def _token(self, request: Request) -> AnswerToken | Response:
        try:
            return self._answering.read(request.path_params["token"])
        except TokenForged:
            return self._stranger(request)

    async def _hook(self, request: Request) -> Response:
        webhook = self._webhooks.get(request.path_params["source"])
        if webhook is None:
            return self._stranger(request)
        body = await read_body(request, BODY_BYTES, BODY_S)
        try:
            delivery = check(webhook, request.headers, body)
        except WrongSignature as e:
            self._log.refusal("webhook_forged", source=webhook.name, address=_address(request), detail=str(e))
            wait_s = self._strangers.take(_address(request))
            return _too_often(wait_s) if wait_s > 0 else JSONResponse({"status": "forged", "detail": str(e)}, 401)
        if (wait_s := self._sources.take(webhook.name)) > 0:
            return _too_often(wait_s)
        return await self._deliveries.deliver(webhook, request.headers, delivery, body)

    def _stranger(self, request: Request) -> Response:
        """Forged and unknown are alike, and each costs."""
        wait_s = self._strangers.take(_address(request))
        return _too_often(wait_s) if wait_s > 0 else said("Nothing here", "This link was never valid.", 404)

    async def _unknown(self, request: Request, _error: Exception) -> Response:
        return self._stranger(request)


def host_of(header: str) -> str:
    """The name in a Host header or an origin, without its port."""
    name = header.strip().lower()
    if name.startswith("["):
        return name[1:].partition("]")[0]
    return name.partition(":")[0].rstrip(".")


def hosts_of(web_hosts: str) -> frozenset[str]:
    """The names under which the listener is reached: the setting's, and this machine's own."""
    return frozenset({*_LOOPBACK, *(host_of(one) for one in web_hosts.split(",") if one.strip())})


def is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def _address(request: Request) -> str:
    return request.client.host if request.client is not None else ""


def _too_often(wait_s: float) -> Response:
    return said("Too often", f"Try again in {math.ceil(wait_s)} s.", 429, math.ceil(wait_s))


async def _late(_request: Request, _error: Exception) -> Response:
    return said(
        "This link has ended", "Links live for a few hours at most. The page and the terminal view still take your answer.", 410
    )


async def _over(_request: Request, _error: Exception) -> Response:
    return said("This is over", "It was answered already, taken back, or waited too long. Nothing was changed now.", 410)


async def _failed(_request: Request, error: Any) -> Response:
    """The broker is away, or refuses. Nothing of it is shown but the sentence."""
    if not isinstance(error, RemoteError) and error.code in ("unavailable", "timeout"):
        return said("Not now", "The service does not answer. Nothing was lost: try again.", 503, _AGAIN_S)
    status = error.kind.http if error.kind.http >= 400 else 500
    sentence = error.text if error.code == "bad_request" else f"{error}"  # its hint is for those who write a client
    return said("That did not work", sentence, status)
