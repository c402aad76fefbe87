"""Agents as hosts start them: a relay process of their own project folder, and its MCP client."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client

from tests.conftest import Service
from tests.fenced import mail_in

COMMAND = [sys.executable, "-m", "bridges.mcp"]


def opener(service: Service, home: Path) -> Callable[..., Any]:
    @asynccontextmanager
    async def open_agent(name: str | None, folder: str | None = None, mode: str = "auto", **env: str) -> Any:
        project = project_folder(home, folder or name or "none")
        environment = {**service.env, "PATH": os.environ["PATH"], "CLAUDE_PROJECT_DIR": str(project), **env}
        target = StdioServerParameters(command=COMMAND[0], args=COMMAND[1:], env=environment, cwd=str(project))
        with anyio.fail_after(40):
            async with Client(stdio_client(target), mode=mode) as client:
                if name is not None:
                    await ok(client, "register", instance_id=name)
                yield client

    return open_agent


def project_folder(home: Path, name: str) -> Path:
    project = home / "projects" / name
    project.mkdir(parents=True, exist_ok=True)
    return project


async def ok(client: Any, tool: str, **arguments: Any) -> dict[str, Any]:
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content[0].text
    if result.structured_content is None:  # mail is text and nothing else
        return {"text": result.content[0].text, "messages": mail_in(result.content[0].text)}
    value: dict[str, Any] = result.structured_content
    return value


async def error(client: Any, tool: str, **arguments: Any) -> str:
    result = await client.call_tool(tool, arguments)
    assert result.is_error
    text: str = result.content[0].text
    assert "Traceback" not in text
    return text


async def text_of(client: Any, tool: str, **arguments: Any) -> str:
    result = await client.call_tool(tool, arguments)
    text: str = result.content[0].text
    return text


def relay_of(service: Service, project: str) -> int:
    """The pid of the relay that works for a project folder."""
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            ours = f"IPC_HOME={service.home}".encode() in (entry / "environ").read_bytes().split(b"\0")
            if ours and b"bridges.mcp" in (entry / "cmdline").read_bytes() and (entry / "cwd").readlink().name == project:
                return int(entry.name)
        except OSError:
            continue
    raise AssertionError(f"no relay works for {project}")


class RawHost:
    """A host that writes what it likes, line by line."""

    def __init__(self, service: Service, project: Path, **env: str) -> None:
        environment = {**os.environ, **service.env, **env}
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(COMMAND, env=environment, cwd=project, stdin=pipe, stdout=pipe)

    def write(self, data: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(data + b"\n")
        self.process.stdin.flush()

    def ask(self, number: Any, method: str, **params: Any) -> dict[str, Any]:
        self.write(json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}).encode())
        return self.read()

    def read(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        reply: dict[str, Any] = json.loads(self.process.stdout.readline())
        return reply

    def initialize(self, client: str = "test") -> dict[str, Any]:
        info = {"name": client, "version": "1"}
        reply = self.ask(0, "initialize", protocolVersion="2025-06-18", capabilities={}, clientInfo=info)
        self.write(b'{"jsonrpc":"2.0","method":"notifications/initialized"}')
        return reply

    def call(self, number: Any, tool: str, **arguments: Any) -> dict[str, Any]:
        reply = self.ask(number, "tools/call", name=tool, arguments=arguments)
        assert reply["id"] == number, reply
        assert not reply["result"].get("isError"), reply
        result: dict[str, Any] = reply["result"]
        text = result["content"][0]["text"]
        found: dict[str, Any] = result.get("structuredContent") or {"text": text, "messages": mail_in(text)}
        return found

    def close(self) -> int:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.close()
        try:
            return self.process.wait(20)
        finally:
            self.process.kill()
            self.process.stdout.close()
