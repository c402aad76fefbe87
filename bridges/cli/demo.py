"""``ipc demo``: three agents, three doors, and one broker that is killed. The demo's temporary home is removed."""

import argparse
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from bridges.cli.service import down
from bridges.cli.service_state import door_state
from bridges.terminal import complain, say, style
from broker.client.sync import connect
from broker.home.environment import HOME, PORT
from broker.home.paths import python
from broker.home.settings import Settings
from broker.service.launcher import ensure_running

_DEADLINE_S = 10.0


class DemoFailed(Exception):
    """Something expected did not arrive."""


class TcpAgent:
    """An agent as a script of any language is one: one JSON object a connection."""

    def __init__(self, name: str, host: str, port: int) -> None:
        self._address = (host, port)
        self._name = name
        self._token = self._ask({"action": "register", "instance_id": name, "auth_token": ""})["session_token"]

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        with socket.create_connection(self._address, timeout=_DEADLINE_S) as s:
            s.sendall(json.dumps(request).encode())
            reply: dict[str, Any] = json.loads(s.recv(65536))
        if reply["status"] != "ok":
            raise DemoFailed(str(reply))
        return reply

    def ask(self, action: str, **fields: Any) -> dict[str, Any]:
        """Any request as this agent."""
        return self._ask({"action": action, "session_token": self._token, **fields})

    def send(self, to: str, text: str) -> None:
        self.ask("send", from_id=self._name, to_id=to, message={"content": text})

    def check(self) -> list[tuple[str, str]]:
        messages = self.ask("check", instance_id=self._name)["messages"]
        return [(m["from"], m["message"]["content"]) for m in messages]

    def wait_for_question(self) -> dict[str, Any]:
        """The question that comes within the deadline."""
        for message in self.ask("check", wait_s=_DEADLINE_S)["messages"]:
            if "question" in message:
                question: dict[str, Any] = message
                return question
        raise DemoFailed("no question came")


_MAIL = re.compile(r"^\[mail \w+\] id \d+ from (\S+) .*\n((?:.|\n)*?)\n\[end \w+\]$", re.MULTILINE)


class McpAgent:
    """An agent as Claude Code is one: JSON-RPC with a process of ours, a line a message."""

    def __init__(self, name: str) -> None:
        self._process = subprocess.Popen(  # noqa: S603 (our own interpreter and module)
            [*python(), "-m", "bridges.mcp"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self._number = 0
        client = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "demo", "version": "1"}}
        self._ask("initialize", client)
        self._write({"method": "notifications/initialized"})
        self.call("register", instance_id=name)

    def _write(self, message: dict[str, Any]) -> None:
        pipe = self._process.stdin
        assert pipe is not None
        pipe.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
        pipe.flush()

    def _ask(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        self._number += 1
        self._write({"id": self._number, "method": method, "params": params})
        assert self._process.stdout is not None
        for line in self._process.stdout:
            reply = json.loads(line)
            if reply.get("id") == self._number:
                result: dict[str, Any] = reply["result"]
                return result
        raise DemoFailed("the MCP server ended")

    def try_call(self, tool: str, **arguments: Any) -> str:
        """Call a tool that is refused. Returns its text."""
        result = self._ask("tools/call", {"name": tool, "arguments": arguments})
        if not result.get("isError"):
            raise DemoFailed(f"{tool} should have been refused")
        return str(result["content"][0]["text"])

    def call(self, tool: str, **arguments: Any) -> str:
        """The text that the agent's model reads."""
        result = self._ask("tools/call", {"name": tool, "arguments": arguments})
        if result.get("isError"):
            raise DemoFailed(str(result["content"]))
        return str(result["content"][0]["text"])

    def check(self, wait_s: float = 0) -> list[tuple[str, str]]:
        """Sender and text of each message between its fences."""
        return _MAIL.findall(self.call("check", wait_s=wait_s))

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(_DEADLINE_S)


def run(settings: Settings, options: argparse.Namespace) -> int:
    """Exit status 0 if every message arrived, once."""
    if options.sites:  # by its name: what speaks NATS has a room of its own, and packages that others do without
        return int(import_module("bridges.nats.demo").run(settings, options))
    begun = time.monotonic()
    try:
        with temporary_service() as own:
            tell_the_story(own)
    except DemoFailed as e:
        complain(f"the demo failed: {e}", "ipc doctor")
        return 1
    say(style(f"\nAll mail arrived, each once, in {time.monotonic() - begun:.1f} s. Nothing of the demo is left.", "green"))
    say("next: ipc register NAME, or ipc install")
    return 0


@contextlib.contextmanager
def temporary_service() -> Iterator[Settings]:
    """A service of its own. Its home, port and environment are gone afterwards."""
    base = tempfile.gettempdir() if len(tempfile.gettempdir()) < 40 else "/tmp"  # noqa: S108 (a socket's path must be short)
    home = Path(tempfile.mkdtemp(prefix="ipc-demo-", dir=base))
    before = dict(os.environ)
    for name in [n for n in os.environ if n.startswith("IPC_")]:
        del os.environ[name]
    os.environ.update({HOME: str(home), PORT: "0"})
    settings = Settings.load()
    try:
        yield settings
    finally:
        with contextlib.redirect_stdout(None):
            down(settings, argparse.Namespace())
        os.environ.clear()
        os.environ.update(before)
        shutil.rmtree(home, ignore_errors=True)


def tell_the_story(settings: Settings) -> None:
    step("no service runs yet; the first agent starts it", "ensure_running()")
    ensure_running(settings)
    mcp = McpAgent("claude")
    step("claude registers through MCP, as Claude Code does", "register(instance_id='claude')")
    door = await_door(settings)
    gemini = TcpAgent("gemini", door["host"], door["port"])
    step("gemini registers through TCP, as scripts do", '{"action": "register", "instance_id": "gemini"}')
    with connect("fred", settings=settings) as fred:
        step("fred registers, as Python programs do", 'broker.connect("fred")')
        gemini.send("claude", "the tests are green")
        expect("claude", mcp.check(5), ("gemini", "the tests are green"))
        mcp.call("send", to_id="fred", content="please deploy")
        expect("fred", [(m.sender, m.content) for m in fred.check(wait=5)], ("claude", "please deploy"))
        fred.send("gemini", "deployed")
        expect("gemini", gemini.check(), ("fred", "deployed"))
        fred.send("nova", "welcome, whenever you are born")
        step("fred writes to nova, whom nobody has registered yet", 'me.send("nova", ...)')
        kill_broker(settings)
        step("the broker is killed (SIGKILL) with that mail in its store", "kill -9")
        with connect("nova", settings=settings) as nova:
            expect("nova", [(m.sender, m.content) for m in nova.check(wait=5)], ("fred", "welcome, whenever you are born"))
    mcp.close()


def step(text: str, code: str) -> None:
    say(f"  {text}  {style(code, 'dim')}")


def expect(name: str, got: list[tuple[str, str]], wanted: tuple[str, str]) -> None:
    if got != [wanted]:
        raise DemoFailed(f"{name} should have got {wanted} and got {got}")
    say(f"{style('✓', 'green')} {style(name, 'bold')} has mail from {wanted[0]}: {style(wanted[1], 'cyan')}")


def await_door(settings: Settings) -> dict[str, Any]:
    end = time.monotonic() + _DEADLINE_S
    while time.monotonic() < end:
        door = door_state(settings)
        if door and not door["error"]:
            return door
        time.sleep(0.01)
    raise DemoFailed("the TCP door did not open")


def kill_broker(settings: Settings) -> None:
    state = json.loads((settings.home / "run" / "supervisor.json").read_text())
    os.kill(state["children"]["broker"]["pid"], signal.SIGKILL)
