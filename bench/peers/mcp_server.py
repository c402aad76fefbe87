"""An MCP server on standard input and output, as a host of an agent starts it."""

import json
import subprocess
from dataclasses import dataclass
from typing import Any

from bench.peers.place import Failed

_HELLO = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "bench", "version": "1"}}


@dataclass(frozen=True, slots=True)
class Told:
    """What a model reads of a server."""

    instructions: str
    tools: list[dict[str, Any]]

    def text(self) -> str:
        return "\n".join([self.instructions, *(json.dumps(tool, ensure_ascii=False) for tool in self.tools)])


def begin(process: "subprocess.Popen[str]") -> Told:
    """Initialize, and list the tools, as every host does. Raises Failed."""
    instructions = _ask(process, 1, "initialize", _HELLO).get("instructions") or ""
    _write(process, {"jsonrpc": "2.0", "method": "notifications/initialized"})
    return Told(instructions, _ask(process, 2, "tools/list", {})["tools"])


def call(process: "subprocess.Popen[str]", tool: str, arguments: dict[str, Any]) -> None:
    """Call a tool. Raises Failed."""
    answer = _ask(process, 3, "tools/call", {"name": tool, "arguments": arguments})
    if answer.get("isError"):
        raise Failed(f"{tool}: {str(answer)[:200]}")


def _ask(process: "subprocess.Popen[str]", number: int, method: str, parameters: dict[str, Any]) -> dict[str, Any]:
    _write(process, {"jsonrpc": "2.0", "id": number, "method": method, "params": parameters})
    assert process.stdout is not None
    while line := process.stdout.readline():
        answer = json.loads(line)
        if answer.get("id") == number:
            if "result" not in answer:
                raise Failed(f"{method}: {str(answer.get('error'))[:200]}")
            result: dict[str, Any] = answer["result"]
            return result
    raise Failed(f"{method}: the server ended")


def _write(process: "subprocess.Popen[str]", message: dict[str, Any]) -> None:
    assert process.stdin is not None
    process.stdin.write(json.dumps(message) + "\n")
    process.stdin.flush()
