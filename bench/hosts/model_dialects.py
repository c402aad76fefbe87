"""The forms in which hosts speak with their model: what a request told it, and an answer of text or of tool calls."""

import json
import time
from collections.abc import Callable, Sequence
from typing import Any

ANSWER = "FAKE-OK"
Order = tuple[str, dict[str, Any]]
"""A tool, by the name that the host gave it, and its arguments. Codex CLI's MCP tools: ``mcp__ipc__send``."""
_CONVERSATION = ("messages", "input", "contents")
"""Where they keep what the model is told."""


def told(body: dict[str, Any]) -> str:
    """All that a request tells the model of the conversation, as JSON."""
    return json.dumps(next(body[key] for key in _CONVERSATION if key in body), ensure_ascii=False)


Following = Callable[[dict[str, Any]], Sequence[Order]]
"""Keeps a request, and says which tools its answer calls: none for an answer of text."""


def _events(events: list[dict[str, Any]]) -> tuple[str, bytes]:
    """Server-sent events, each named by its type."""
    return "text/event-stream", "".join(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n" for e in events).encode()


def _messages(body: dict[str, Any], _path: str, following: Following) -> tuple[str, bytes]:
    orders = following(body)
    stop = "tool_use" if orders else "end_turn"
    blocks = [_used(order) for order in orders] or [{"type": "text", "text": ANSWER}]
    whole = {
        "id": f"msg_{time.time_ns()}",
        "type": "message",
        "role": "assistant",
        "model": "fake",
        "content": blocks,
        "stop_reason": stop,
        "stop_sequence": None,
        "usage": {"input_tokens": 10, "output_tokens": 5},
    }
    if not body.get("stream"):
        return "application/json", json.dumps(whole).encode()
    events: list[dict[str, Any]] = [{"type": "message_start", "message": {**whole, "content": [], "stop_reason": None}}]
    for index, block in enumerate(blocks):
        events += _streamed(index, block)
    events.append({"type": "message_delta", "delta": {"stop_reason": stop}, "usage": {"output_tokens": 5}})
    return _events([*events, {"type": "message_stop"}])


def _used(order: Order) -> dict[str, Any]:
    return {"type": "tool_use", "id": f"toolu_{time.time_ns()}", "name": order[0], "input": order[1]}


def _streamed(index: int, block: dict[str, Any]) -> list[dict[str, Any]]:
    """A block of an answer as three events."""
    empty, delta = {**block, "text": ""}, {"type": "text_delta", "text": block.get("text")}
    if block["type"] == "tool_use":
        empty = {**block, "input": {}}
        delta = {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
    return [
        {"type": "content_block_start", "index": index, "content_block": empty},
        {"type": "content_block_delta", "index": index, "delta": delta},
        {"type": "content_block_stop", "index": index},
    ]


def _called(body: dict[str, Any], tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """A call in the form in which the request offers the tool: some of Codex's take bare text."""
    number = time.time_ns()
    ids = {"id": f"f{number}", "call_id": f"c{number}"}
    if any(one.get("name") == tool and one.get("type") == "custom" for one in body["tools"]):
        return {"type": "custom_tool_call", **ids, "name": tool, "input": arguments["input"]}
    space, _, name = tool.rpartition("__") if tool.startswith("mcp__") else ("", "", tool)
    call = {"type": "function_call", **ids, "name": name, "arguments": json.dumps(arguments)}
    return {**call, "namespace": space} if space else call


def _responses(body: dict[str, Any], _path: str, following: Following) -> tuple[str, bytes]:
    items = [_called(body, *order) for order in following(body)]
    number = time.time_ns()
    text = {"type": "output_text", "text": ANSWER, "annotations": []}
    said: dict[str, Any] = {
        "type": "message",
        "role": "assistant",
        "id": f"m{number}",
        "status": "completed",
        "content": [text],
    }
    details = {"input_tokens_details": None, "output_tokens_details": None}
    usage: dict[str, Any] = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2, **details}
    done: list[dict[str, Any]] = [
        {"type": "response.output_item.done", "output_index": index, "item": item} for index, item in enumerate(items or [said])
    ]
    return _events(
        [
            {"type": "response.created", "response": {"id": f"r{number}"}},
            *done,
            {"type": "response.completed", "response": {"id": f"r{number}", "usage": usage}},
        ]
    )


def _generate(body: dict[str, Any], path: str, following: Following) -> tuple[str, bytes]:
    parts = [{"functionCall": {"name": tool, "args": arguments}} for tool, arguments in following(body)]
    content: dict[str, Any] = {"role": "model", "parts": parts or [{"text": ANSWER}]}
    candidate = {"content": content, "finishReason": "STOP", "index": 0}
    usage = {"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2}
    reply = json.dumps({"candidates": [candidate], "usageMetadata": usage, "modelVersion": "fake"})
    if "stream" in path:
        return "text/event-stream", f"data: {reply}\r\n\r\n".encode()
    return "application/json", reply.encode()


def _completion(body: dict[str, Any], _path: str, following: Following) -> tuple[str, bytes]:
    """The Chat Completions API of OpenAI, which most of the other hosts speak with any model."""
    number = time.time_ns()
    calls = [
        {"index": i, "id": f"call_{number}_{i}", "type": "function", "function": {"name": tool, "arguments": json.dumps(given)}}
        for i, (tool, given) in enumerate(following(body))
    ]
    said = {"role": "assistant", **({"content": None, "tool_calls": calls} if calls else {"content": ANSWER})}
    ends = "tool_calls" if calls else "stop"
    head = {"id": f"chatcmpl-{number}", "created": number // 10**9, "model": body.get("model", "fake")}
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
    if not body.get("stream"):
        choice = {"index": 0, "message": said, "finish_reason": ends}
        whole = {**head, "object": "chat.completion", "choices": [choice], "usage": usage}
        return "application/json", json.dumps(whole).encode()
    head["object"] = "chat.completion.chunk"
    chunks: list[dict[str, Any]] = [
        {**head, "choices": [{"index": 0, "delta": said, "finish_reason": None}]},
        {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": ends}]},
        {**head, "choices": [], "usage": usage},
    ]
    return "text/event-stream", "".join(f"data: {piece}\n\n" for piece in [*map(json.dumps, chunks), "[DONE]"]).encode()


DIALECTS: dict[str, Callable[[dict[str, Any], str, Following], tuple[str, bytes]]] = {
    "/v1/messages": _messages,
    "/responses": _responses,
    "/chat/completions": _completion,
    "enerateContent": _generate,
}
