"""A model for real hosts, on loopback: it keeps what it was asked and when, and does as it is told.

It answers Anthropic's Messages API (Claude Code), OpenAI's Responses API (Codex CLI) and Chat Completions (most others), and
Gemini's generateContent (Gemini CLI). A request counts once its body has arrived whole: from then on the model knows what is
in it. Requests of the main conversation, which offer tools, are kept; others (titles, summaries) get the text.

Without an order it answers with a line of text. ``order`` makes the next answer a call of a tool. A ``script`` decides for
each request, for example by the session that asks.
"""

import json
import sys
import threading
import time
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from bench.hosts.model_dialects import DIALECTS, Order, told

_ERROR = b'{"type": "error", "error": {"type": "api_error", "message": "out of order", "code": 400, "status": "INVALID"}}'


class Request:
    """One request of a host: ``body`` as it was sent, ``told`` what it says of the conversation, ``at_s`` when it was here.

    ``at_s`` is of ``time.monotonic``. ``number`` counts from one.
    """

    __slots__ = ("at_s", "body", "number", "told")

    def __init__(self, number: int, body: dict[str, Any], at_s: float) -> None:
        self.number = number
        self.body = body
        self.at_s = at_s
        self.told = told(body)


class ServiceError(Exception):
    """What a script raises to have the request answered with an error of the service; the argument is the HTTP status."""


class RecordingModel:
    """Use as a context manager; ``url`` is what the hosts take as the API's address."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.script: Callable[[Request], Sequence[Order]] = self._ordered
        self.think_s = 0.0
        """Seconds from a request to its answer."""
        self._orders: list[Sequence[Order]] = []
        self._before: dict[int, Callable[[], object]] = {}
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "RecordingModel":
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def order(self, tool: str, arguments: dict[str, Any]) -> None:
        """The next answer calls this tool."""
        self.order_together((tool, arguments))

    def order_together(self, *orders: Order) -> None:
        """The next answer calls these tools at once."""
        with self._lock:
            self._orders.append(orders)

    def before(self, number: int, work: Callable[[], object]) -> None:
        """Do this before the answer to that request of the main conversation, counted from one."""
        self._before[number] = work

    def texts(self) -> list[str]:
        """All that the model was told, request by request."""
        return [request.told for request in self.requests]

    def saw(self, text: str) -> int:
        """In how many requests the text was."""
        return sum(text in told for told in self.texts())

    def first_with(self, text: str) -> Request | None:
        """The first request that held the text."""
        return next((request for request in self.requests if text in request.told), None)

    def following(self, body: dict[str, Any]) -> Sequence[Order]:
        """Keep the request. Returns the tools that its answer calls; none for an answer of text."""
        if not body.get("tools"):
            return ()
        at_s = time.monotonic()
        with self._lock:
            request = Request(len(self.requests) + 1, body, at_s)
            self.requests.append(request)
            work = self._before.pop(request.number, None)
        if work is not None:
            work()
        if self.think_s:
            time.sleep(self.think_s)
        return self.script(request)

    def _ordered(self, _request: Request) -> Sequence[Order]:
        with self._lock:
            return self._orders.pop(0) if self._orders else ()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Hosts that are killed reset their connections; anything else is an error of ours, and is shown."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


def _handler(model: RecordingModel) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            """Quiet."""

        def do_GET(self) -> None:
            self._send(404, "application/json", b'{"error": {"message": "none"}}')

        do_HEAD = do_GET

        def do_POST(self) -> None:
            size = int(self.headers.get("Content-Length") or 0)
            raw = self.rfile.read(size)
            if len(raw) < size:  # its host was killed
                self.close_connection = True
                return
            if "count_tokens" in self.path or "countTokens" in self.path:
                self._send(200, "application/json", b'{"input_tokens": 100, "totalTokens": 100}')
                return
            for part, answer in DIALECTS.items():
                if part in self.path:
                    try:
                        kind, content = answer(json.loads(raw), self.path, model.following)
                    except ServiceError as e:
                        self._send(e.args[0], "application/json", _ERROR)
                    else:
                        self._send(200, kind, content)
                    return
            self.do_GET()

        def _send(self, status: int, kind: str, content: bytes) -> None:
            try:
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(content)
            except OSError:  # the host does not wait for it any more
                self.close_connection = True

    return Handler
