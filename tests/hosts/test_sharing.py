"""Hooks and MCP tools of one host's session are one instance."""

import json
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from tests.conftest import Service
from tests.hosts.conftest import IPC, Agent


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


@pytest.fixture
def tools(processes: list[Any]) -> Callable[..., Tools]:
    def start(agent: Agent, **env: str) -> Tools:
        server = Tools(agent, **env)
        processes.append(server.process)
        return server

    return start


@pytest.mark.parametrize("host", ["claude", "codex"])
def test_the_tools_are_the_instance_that_the_hooks_registered(shared: Service, tag: str, tools: Any, host: str) -> None:
    """Claude Code tells its servers the session; of the others we know the process."""
    agent = Agent(shared, host, f"web{tag}")
    agent.start()
    server = tools(agent, **({"CLAUDE_CODE_SESSION_ID": agent.session} if host == "claude" else {}))
    with shared.connect("bob") as bob:
        bob.send(f"web{tag}", "for the tools")
        assert "for the tools" in server.call("check")
        bob.send(f"web{tag}", "for the hooks")
        assert "for the hooks" in agent.context("PostToolUse")
        server.call("rename", new_id=f"web{tag}-2")
        bob.send(f"web{tag}-2", "after the rename")
        assert f"1 new message for web{tag}-2." in agent.context("PostToolUse")


def test_hooks_follow_the_name_that_the_agent_takes_by_its_tools(shared: Service, tag: str, tools: Any) -> None:
    agent = Agent(shared, project=f"web{tag}")
    agent.start()
    server = tools(agent, CLAUDE_CODE_SESSION_ID=agent.session)
    server.call("register", instance_id=f"fred{tag}")
    with shared.connect("bob") as bob:
        bob.send(f"fred{tag}", "hello")
    assert f"1 new message for fred{tag}." in agent.context("UserPromptSubmit")
