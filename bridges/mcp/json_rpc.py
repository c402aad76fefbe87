"""JSON-RPC messages as objects and lines, for what is read before the SDK has it."""

from __future__ import annotations

from broker.protocol import plain_json as json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PARSE_ERROR, INVALID_REQUEST = -32700, -32600


def parsed(line: bytes) -> dict[str, Any] | None:
    """The object on a line that is surely what any other parser reads there, too; None for every other line."""
    try:
        value = json.loads(line, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict) or (b"\\u" in line and has_half_a_pair(value)):
        return None
    return value


def _refuse(constant: str) -> Any:
    raise ValueError(constant)  # NaN and Infinity, which are no JSON


def is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def to_line(message: dict[str, Any]) -> bytes:
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def request_key(number: Any) -> str:
    """The same text for one JSON-RPC id in every process; 1 and "1" differ."""
    return json.dumps(number)


def cancelled(message: dict[str, Any]) -> str | None:
    """The key of the request that a message gives up; None if it gives up none."""
    if message.get("method") != "notifications/cancelled" or "id" in message:
        return None
    params = message.get("params")
    return request_key(params.get("requestId") if isinstance(params, dict) else None)


def refused(line: bytes) -> bytes:
    """The answer to a line that is no message, with the line's id if it has one."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return error_line(None, PARSE_ERROR, "Not JSON")
    number = value.get("id") if isinstance(value, dict) else None
    if isinstance(number, bool) or not isinstance(number, (int, str)):
        number = None
    if number is None or value.get("method") != "tools/call" or not has_half_a_pair(value):
        return error_line(number, INVALID_REQUEST, "Not a JSON-RPC message")
    text = "The arguments hold half of a surrogate pair, which is no character. Next: leave it out."
    result = {"content": [{"type": "text", "text": text}], "isError": True, "resultType": "complete"}
    return json.dumps({"jsonrpc": "2.0", "id": number, "result": result}).encode() + b"\n"


def failed_call(number: Any, text: str) -> bytes:
    """The answer to a ``tools/call`` that nobody could make, as a result that the model reads."""
    result = {"content": [{"type": "text", "text": text}], "isError": True}
    return json.dumps({"jsonrpc": "2.0", "id": number, "result": result}).encode() + b"\n"


def has_half_a_pair(value: Any) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except (UnicodeEncodeError, RecursionError):
        return True
    return False


def error_line(number: Any, code: int, text: str) -> bytes:
    error = {"jsonrpc": "2.0", "id": number, "error": {"code": code, "message": text}}
    return json.dumps(error).encode() + b"\n"
