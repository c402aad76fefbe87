"""The pages: one function each, from the broker's replies to a template. They change nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from bridges.web.rendering import rendered

Ask = Callable[..., Awaitable[dict[str, Any]]]
"""``await ask("overview")``: the broker's reply to an action of the owner's. Raises IpcError."""


async def now(_request: Request, ask: Ask) -> Response:
    status = await ask("status")
    return rendered("now.html", title="Now", instances=status["instances"])


ROUTES: list[tuple[str, Callable[[Request, Ask], Awaitable[Response]]]] = [("/", now)]
"""Path (Starlette's form) and function of each page. All are GET, for who is signed in."""
