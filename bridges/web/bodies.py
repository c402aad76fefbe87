"""The body of a POST: JSON or a form, bounded in size, fields and time."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import Request

from bridges.http_server import read_body
from broker.protocol.errors import IpcError

BODY_BYTES = 4 * 1024 * 1024
BODY_S = 20.0
_FIELDS = 50


async def fields_of(request: Request) -> dict[str, Any]:
    """The fields of a JSON object or of a form. Raises IpcError ``bad_request``, ``too_large``, ``idle_timeout``."""
    body = await read_body(request, BODY_BYTES, BODY_S)
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json":
        return _object(body)
    if kind == "application/x-www-form-urlencoded":
        return _form(body)
    raise IpcError("bad_request", detail="The body must be a JSON object or a form")


def _object(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        raise IpcError("bad_request", detail="The body is no JSON") from None
    if not isinstance(value, dict):
        raise IpcError("bad_request", detail="The body must be a JSON object")
    return value


def _form(body: bytes) -> dict[str, Any]:
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=_FIELDS, errors="strict")
    except ValueError:
        raise IpcError("bad_request", detail="The form can't be read") from None
    return dict(pairs)
