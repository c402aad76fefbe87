"""A model for real hosts, on loopback: it keeps what it was asked, and does as it is told.

It answers Anthropic's Messages API (Claude Code), OpenAI's Responses API (Codex CLI) and Gemini's generateContent (Gemini
CLI). Requests of the main conversation, which offer tools, are kept in ``asked``. Without an order it answers with a line of
text; ``order`` makes the next answer a call of a tool.
"""

import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ANSWER = "FAKE-OK"
Order = tuple[str, dict[str, Any]]
_CONVERSATION = ("messages", "input", "contents")
"""Where the three keep what the model is told."""


class FakeModel:
    """Use as a context manager; ``url`` is what the hosts take as the API's address."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self._orders: list[Order] = []
        self._before: dict[int, Callable[[], None]] = {}
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "FakeModel":
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def order(self, tool: str, arguments: dict[str, Any]) -> None:
        """The next answer calls this tool."""
        with self._lock:
            self._orders.append((tool, arguments))

    def before(self, number: int, work: Callable[[], None]) -> None:
        """Do this before the answer to that request of the main conversation, counted from one."""
        self._before[number] = work

    def texts(self) -> list[str]:
        """All that the model was told, request by request."""
        with self._lock:
            told = [next(body[key] for key in _CONVERSATION if key in body) for body in self.asked]
        return [json.dumps(one, ensure_ascii=False) for one in told]

    def saw(self, text: str) -> int:
        """In how many requests the text was."""
        return sum(text in told for told in self.texts())

    def _next(self, body: dict[str, Any]) -> Order | None:
        """What to answer: a tool to call, or None for the text."""
        if not body.get("tools"):
            return None
        with self._lock:
            self.asked.append(body)
            work = self._before.pop(len(self.asked), None)
        if work is not None:
            work()
        with self._lock:
            return self._orders.pop(0) if self._orders else None

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        model = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None:
                """Quiet."""

            def do_GET(self) -> None:
                self._send(404, "application/json", b'{"error": {"message": "none"}}')

            do_HEAD = do_GET

            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if "count_tokens" in self.path or "countTokens" in self.path:
                    self._send(200, "application/json", b'{"input_tokens": 100, "totalTokens": 100}')
                    return
                for part, answer in _DIALECTS.items():
                    if part in self.path:
                        kind, content = answer(json.loads(raw), self.path, model._next)
                        self._send(200, kind, content)
                        return
                self.do_GET()

            def _send(self, status: int, kind: str, content: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(content)

        return Handler


Next = Callable[[dict[str, Any]], Order | None]


def _events(events: list[dict[str, Any]]) -> tuple[str, bytes]:
    """Server-sent events, each named by its type."""
    return "text/event-stream", "".join(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n" for e in events).encode()


def _messages(body: dict[str, Any], _path: str, following: Next) -> tuple[str, bytes]:
    order = following(body)
    number = time.time_ns()
    if order is None:
        block: dict[str, Any] = {"type": "text", "text": ANSWER}
        empty, delta = {"type": "text", "text": ""}, {"type": "text_delta", "text": ANSWER}
    else:
        block = {"type": "tool_use", "id": f"toolu_{number}", "name": order[0], "input": order[1]}
        empty, delta = {**block, "input": {}}, {"type": "input_json_delta", "partial_json": json.dumps(order[1])}
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


def _responses(body: dict[str, Any], _path: str, following: Next) -> tuple[str, bytes]:
    order = following(body)
    number = time.time_ns()
    item: dict[str, Any]
    if order is None:
        text = {"type": "output_text", "text": ANSWER, "annotations": []}
        item = {"type": "message", "role": "assistant", "id": f"m{number}", "status": "completed", "content": [text]}
    else:
        call = {"name": order[0], "arguments": json.dumps(order[1])}
        item = {"type": "function_call", "id": f"f{number}", "call_id": f"c{number}", **call}
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


_DIALECTS: dict[str, Callable[[dict[str, Any], str, Next], tuple[str, bytes]]] = {
    "/v1/messages": _messages,
    "/responses": _responses,
    "enerateContent": _generate,
}
