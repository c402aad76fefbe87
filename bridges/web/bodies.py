"""The body of a POST: JSON or a form, bounded in size, fields and time."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import ClientDisconnect, Request

from broker.protocol.errors import IpcError

BODY_BYTES = 4 * 1024 * 1024
BODY_S = 20.0
_FIELDS = 50


async def fields_of(request: Request) -> dict[str, Any]:
    """The fields of a JSON object or of a form. Raises IpcError ``bad_request``, ``too_large``, ``idle_timeout``."""
    try:
        async with asyncio.timeout(BODY_S):
            body = await _whole(request)
    except TimeoutError:
        raise IpcError("idle_timeout", limit=BODY_S) from None
    except ClientDisconnect:
        raise IpcError("bad_request", detail="The request ended before its body did") from None
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json":
        return _object(body)
    if kind == "application/x-www-form-urlencoded":
        return _form(body)
    raise IpcError("bad_request", detail="The body must be a JSON object or a form")


async def _whole(request: Request) -> bytes:
    parts, size = [], 0
    declared = request.headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and int(declared[:20]) > BODY_BYTES:
        raise IpcError("too_large", what="The body", size=int(declared[:20]), limit=BODY_BYTES)
    async for part in request.stream():
        size += len(part)
        if size > BODY_BYTES:
            raise IpcError("too_large", what="A body", size=size, limit=BODY_BYTES)
        parts.append(part)
    return b"".join(parts)


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
