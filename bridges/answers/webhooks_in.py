"""Webhooks in: a delivery that its secret's holder signed becomes mail from ``webhook-SOURCE``, once.

The delivery's id is the mail's message id, so the broker takes it once. The generic form is signed with its time and refused
when that is off by five minutes; GitHub's form has no time, so there an old delivery is stopped by its id alone.
"""

import hashlib
import json
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

from starlette.responses import JSONResponse, Response

from bridges.answers.webhook_settings import Webhook
from bridges.fence import one_line
from bridges.webhook_signatures import check_generic, check_github
from broker.client.aio import AsyncConnection
from broker.home.files import owner_key
from broker.home.logs import Log
from broker.home.settings import Settings
from broker.protocol.errors import CATALOGUE

BODY_BYTES = 1024 * 1024
BODY_S = 20.0
_POST_S = 8.0
"""GitHub gives up after 10 s."""
_ID_LENGTH = 64
_FIELDS = 8
_FULL_S, _AWAY_S = 60.0, 10.0
"""When a sender may try again: a full mailbox, a broker that is away."""
_FULL = frozenset({"mailbox_full", "storage_full", "too_many_mailboxes"})
_AWAY = frozenset({"unavailable", "timeout", "storage_locked", "overloaded"})
_PING = "ping"


def check(webhook: Webhook, headers: Mapping[str, str], body: bytes) -> str:
    """The delivery's id. Raises WrongSignature."""
    if webhook.form == "github":
        return check_github(webhook.secret, headers, body)
    return check_generic(webhook.secret, headers, body, time.time())


def message_of(webhook: Webhook, headers: Mapping[str, str], delivery: str, body: bytes) -> dict[str, Any]:
    """The mail's text and data. The text is the sender's, word for word; of GitHub's a line stands above it."""
    text = body.decode("utf-8", "replace")
    data: dict[str, Any] = {"webhook": webhook.name, "delivery": delivery[:200]}
    if webhook.form == "generic":
        return {"content": text, "data": data}
    if headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        text = _payload(text)
    event = headers.get("x-github-event", "")[:64]
    return {"content": f"{_heading(event, text)}\n\n{text}", "data": {**data, "event": event}}


def _payload(form: str) -> str:
    """The form's payload; the form itself where it has none."""
    try:
        return parse_qs(form, max_num_fields=_FIELDS).get("payload", [form])[0]
    except ValueError:
        return form


def _heading(event: str, text: str) -> str:
    """Such as ``pull_request opened in octo/repo by octocat``, as far as the payload says so."""
    try:
        payload = json.loads(text)
    except (ValueError, RecursionError):
        payload = {}
    parts = [event or "event", _of(payload, "action")]
    for word, *way in (("in", "repository", "full_name"), ("by", "sender", "login")):
        if found := _of(payload, *way):
            parts += [word, found]
    return " ".join(part for part in parts if part)


def _of(payload: Any, *way: str) -> str:
    for key in way:
        payload = payload.get(key) if isinstance(payload, dict) else None
    return one_line(payload)[:200] if isinstance(payload, str) else ""


class WebhooksIn:
    """Deliveries, on their way to the broker."""

    def __init__(self, settings: Settings, broker: AsyncConnection, log: Log) -> None:
        self._owner = owner_key(settings.home)
        self._broker = broker
        self._log = log

    async def deliver(self, webhook: Webhook, headers: Mapping[str, str], delivery: str, body: bytes) -> Response:
        """The answer to a delivery whose signature was right. Raises IpcError."""
        if webhook.form == "github" and headers.get("x-github-event") == _PING:
            return JSONResponse({"status": "pong"})
        reply = await self._broker.request(
            {
                "action": "post",
                "session_token": self._owner,
                "source": webhook.name,
                "to_id": webhook.to,
                "message": message_of(webhook, headers, delivery, body),
                "message_id": message_id(delivery),
                "land": webhook.land,
            },
            _POST_S,
        )
        if reply.get("status") == "ok":
            taken = "duplicate" if reply.get("duplicate") else "delivered"
            self._log.info("webhook_taken", source=webhook.name, delivery=delivery[:_ID_LENGTH], taken=taken)
            return JSONResponse({"status": taken})
        return self._refused(webhook, delivery, str(reply.get("code", "internal")), str(reply.get("message", "")))

    def _refused(self, webhook: Webhook, delivery: str, code: str, why: str) -> Response:
        """What the sender is told says nothing of who is here."""
        self._log.warning("webhook_refused", source=webhook.name, delivery=delivery[:_ID_LENGTH], code=code, detail=why)
        if code in _FULL or code in _AWAY:
            wait_s = _FULL_S if code in _FULL else _AWAY_S
            return JSONResponse({"status": "full" if code in _FULL else "away"}, 503, {"Retry-After": f"{wait_s:.0f}"})
        if code == "id_conflict":
            return JSONResponse({"status": "conflict", "detail": "this delivery's id was taken with another body"}, 409)
        return JSONResponse({"status": "refused"}, 413 if code == "too_large" else 502 if code in CATALOGUE else 500)


def message_id(delivery: str) -> str:
    """The delivery's id, or its hash where a message id can't be so long."""
    if len(delivery) <= _ID_LENGTH and delivery.isascii() and delivery.isprintable():
        return delivery
    return hashlib.sha256(delivery.encode("utf-8", "surrogateescape")).hexdigest()
