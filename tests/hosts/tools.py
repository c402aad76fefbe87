"""The MCP server of a host's session, spoken to line by line."""

import json
import subprocess
from typing import Any

from tests.hosts.agent import Agent
from tests.shell import IPC


class Tools:
    """The MCP server as the host runs it."""

    def __init__(self, agent: Agent, **env: str) -> None:
        self.process = subprocess.Popen(
            [*IPC, "mcp"],
            cwd=agent.project,
            env={**agent.env, **env},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        client = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
        self._number = 0
        self._ask("initialize", client)
        self._write({"method": "notifications/initialized"})

    def _write(self, message: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
        self.process.stdin.flush()

    def _ask(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        self._number += 1
        self._write({"id": self._number, "method": method, "params": params})
        assert self.process.stdout is not None
        for line in self.process.stdout:
            reply = json.loads(line)
            if reply.get("id") == self._number:
                result: dict[str, Any] = reply["result"]
                return result
        raise AssertionError("the server ended")

    def close(self) -> None:
        """The host ends, and with it both ends of the pipes."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(20)

    def call(self, tool: str, **arguments: Any) -> str:
        """The result's text."""
        return str(self._ask("tools/call", {"name": tool, "arguments": arguments})["content"][0]["text"])
