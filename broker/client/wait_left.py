"""A request that is made again asks for the rest of its wait.

Its maker counts from the first time. With the whole wait anew the broker would be silent beyond the maker's patience.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def wait_left(body: dict[str, Any], passed_s: float) -> dict[str, Any]:
    """The request as it is made ``passed_s`` seconds after the first time."""
    wait_s = body.get("wait_s")
    if isinstance(wait_s, bool) or not isinstance(wait_s, (int, float)) or passed_s <= 0:
        return body
    return {**body, "wait_s": max(0, wait_s - passed_s)}
