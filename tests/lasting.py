"""Requests to the TCP door in its two forms: one a connection, and a line each on a lasting one."""

import json
from typing import Any

from tests.conftest import Service


def register(service: Service, *names: str) -> list[str]:
    return [service.register(name) for name in names]


def send(service: Service, token: str, who: str, to: str, content: str = "hello", **fields: Any) -> dict[str, Any]:
    message = {"content": content}
    return service.ask({"action": "send", "from_id": who, "to_id": to, "message": message, "session_token": token, **fields})


def check(service: Service, token: str, who: str) -> dict[str, Any]:
    return service.ask({"action": "check", "instance_id": who, "session_token": token})


class Lasting:
    """A lasting connection: a request a line, a reply a line."""

    def __init__(self, service: Service) -> None:
        self.socket = service.tcp()
        self.file = self.socket.makefile("rwb")

    def write(self, *requests: dict[str, Any]) -> None:
        self.file.write(b"".join(json.dumps(r).encode() + b"\n" for r in requests))
        self.file.flush()

    def read(self) -> dict[str, Any]:
        line = self.file.readline()
        assert line.endswith(b"\n"), line
        reply: dict[str, Any] = json.loads(line)
        return reply

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        self.write(request)
        return self.read()

    def close(self) -> None:
        self.file.close()
        self.socket.close()
