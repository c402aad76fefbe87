"""The forms in which three hosts speak with their model: what a request told it, and an answer of text or of one tool call."""

import json
import time
from collections.abc import Callable
from typing import Any

ANSWER = "FAKE-OK"
Order = tuple[str, dict[str, Any]]
"""A tool, by the name that the host gave it, and its arguments. Codex CLI's MCP tools: ``mcp__ipc__send``."""
_CONVERSATION = ("messages", "input", "contents")
"""Where the three keep what the model is told."""


def told(body: dict[str, Any]) -> str:
    """All that a request tells the model of the conversation, as JSON."""
    return json.dumps(next(body[key] for key in _CONVERSATION if key in body), ensure_ascii=False)


Next = Callable[[dict[str, Any]], Order | None]


def _events(events: list[dict[str, Any]]) -> tuple[str, bytes]:
    """Server-sent events, each named by its type."""
    return "text/event-stream", "".join(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n" for e in events).encode()


def _messages(body: dict[str, Any], _path: str, following: Next) -> tuple[str, bytes]:
    order = following(body)
    number = time.time_ns()
    if order is None:
        block: dict[str, Any] = {"type": "text", "text": ANSWER}
        empty: dict[str, Any] = {"type": "text", "text": ""}
        delta = {"type": "text_delta", "text": ANSWER}
    else:
        block = {"type": "tool_use", "id": f"toolu_{number}", "name": order[0], "input": order[1]}
        empty = {**block, "input": {}}
        delta = {"type": "input_json_delta", "partial_json": json.dumps(order[1])}
    stop = "end_turn" if order is None else "tool_use"
    whole = {
        "id": f"msg_{number}",
        "type": "message",
        "role": "assistant",
        "model": "fake",
        "content": [block],
        "stop_reason": stop,
        "stop_sequence": None,
        "usage": {"input_tokens": 10, "output_tokens": 5},
    }
    if not body.get("stream"):
        return "application/json", json.dumps(whole).encode()
    return _events(
        [
            {"type": "message_start", "message": {**whole, "content": [], "stop_reason": None}},
            {"type": "content_block_start", "index": 0, "content_block": empty},
            {"type": "content_block_delta", "index": 0, "delta": delta},
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": {"stop_reason": stop}, "usage": {"output_tokens": 5}},
            {"type": "message_stop"},
        ]
    )


def _called(body: dict[str, Any], tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """A call in the form in which the request offers the tool: some of Codex's take bare text."""
    if any(one.get("name") == tool and one.get("type") == "custom" for one in body["tools"]):
        return {"type": "custom_tool_call", "name": tool, "input": arguments["input"]}
    space, _, name = tool.rpartition("__") if tool.startswith("mcp__") else ("", "", tool)
    call = {"type": "function_call", "name": name, "arguments": json.dumps(arguments)}
    return {**call, "namespace": space} if space else call


def _responses(body: dict[str, Any], _path: str, following: Next) -> tuple[str, bytes]:
    order = following(body)
    number = time.time_ns()
    item: dict[str, Any]
    if order is None:
        text = {"type": "output_text", "text": ANSWER, "annotations": []}
        item = {"type": "message", "role": "assistant", "id": f"m{number}", "status": "completed", "content": [text]}
    else:
        item = {"id": f"f{number}", "call_id": f"c{number}", **_called(body, *order)}
    usage = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}
    details = {"input_tokens_details": None, "output_tokens_details": None}
    return _events(
        [
            {"type": "response.created", "response": {"id": f"r{number}"}},
            {"type": "response.output_item.done", "output_index": 0, "item": item},
            {"type": "response.completed", "response": {"id": f"r{number}", "usage": {**usage, **details}}},
        ]
    )


def _generate(body: dict[str, Any], path: str, following: Next) -> tuple[str, bytes]:
    order = following(body)
    part = {"text": ANSWER} if order is None else {"functionCall": {"name": order[0], "args": order[1]}}
    candidate = {"content": {"role": "model", "parts": [part]}, "finishReason": "STOP", "index": 0}
    usage = {"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2}
    reply = json.dumps({"candidates": [candidate], "usageMetadata": usage, "modelVersion": "fake"})
    if "stream" in path:
        return "text/event-stream", f"data: {reply}\r\n\r\n".encode()
    return "application/json", reply.encode()


DIALECTS: dict[str, Callable[[dict[str, Any], str, Next], tuple[str, bytes]]] = {
    "/v1/messages": _messages,
    "/responses": _responses,
    "enerateContent": _generate,
}
