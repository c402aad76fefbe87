"""Whole processes, as agents and people start them: the command, a hook, an MCP server."""

import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.report import Results
from bench.service import Service, environment_for, has_module
from bench.systems import Skip

TABLE = "Whole processes"
_TIMEOUT_S = 30.0
_NAME, _AGENT = "bench-cli", "bench-agent"
_HOOK = {"session_id": "bench", "cwd": "/", "hook_event_name": "UserPromptSubmit", "prompt": "hello"}
_HELLO: dict[str, Any] = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "bench", "version": "1"}},
}
_READY = {"jsonrpc": "2.0", "method": "notifications/initialized"}


class Programs:
    """A service of their own, and a round of starts."""

    def __init__(self, results: Results, service: Service, repeats: int) -> None:
        self._results = results
        self._service = service
        self._repeats = repeats
        self._env = environment_for({**service.env, "IPC_NAME": _NAME})
        self._agent_env = {**self._env, "IPC_NAME": _AGENT}  # a name has one session: the shell's is not the agent's
        self._ipc = command()
        self._absent: set[str] = set()
        self._run("register", _NAME)

    def round(self) -> None:
        self._times("bare", "for comparison: python -I -c pass", self._bare)
        self._times("send", "`ipc send`", self._send)
        self._times("check", "`ipc check`, nothing there", self._check)
        self._times("hook", "`ipc hook claude UserPromptSubmit`, nothing there", self._hook)
        self._times("mcp", "`ipc mcp`, start to the answer of `initialize`", self._mcp)

    def _times(self, key: str, line: str, run: Callable[[], float]) -> None:
        """One value a round: the median of a few."""
        if key in self._absent:
            return
        try:
            value = statistics.median(run() for _ in range(self._repeats))
        except Skip as reason:
            self._absent.add(key)
            self._results.skip(f"program.{key}", TABLE, line, str(reason))
        else:
            self._results.add(f"program.{key}", TABLE, line, "", "ms", value)

    def _bare(self) -> float:
        return self._timed([sys.executable, "-I", "-c", "pass"])

    def _send(self) -> float:
        taken_ms = self._run("send", "bench-box", "x" * 256)
        self._service.acknowledged += 1
        return taken_ms

    def _check(self) -> float:
        return self._run("check")

    def _hook(self) -> float:
        return self._timed([*self._ipc, "hook", "claude", "UserPromptSubmit"], json.dumps(_HOOK), self._agent_env)

    def _run(self, *arguments: str, stdin: str = "") -> float:
        return self._timed([*self._ipc, *arguments], stdin)

    def _timed(self, program: list[str], stdin: str = "", env: dict[str, str] | None = None) -> float:
        """Milliseconds of a process from its start to its end. Raises Skip with what it said if it fails."""
        began_s = time.perf_counter()
        done = subprocess.run(
            program, env=env or self._env, input=stdin, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
        taken_ms = (time.perf_counter() - began_s) * 1e3
        if done.returncode != 0:
            said = (done.stderr or done.stdout).strip().splitlines() or [""]
            raise Skip(f"{Path(program[0]).name} {' '.join(program[1:3])} ended with {done.returncode}: {said[-1][:150]}")
        return taken_ms

    def _mcp(self) -> float:
        with McpServer([*self._ipc, "mcp"], self._agent_env) as server:
            return server.ready_ms


class McpServer:
    """A stdio MCP server, initialized; its input's end ends it."""

    def __init__(self, program: list[str], env: dict[str, str]) -> None:
        self._program, self._env = program, env
        self.ready_ms = self.began_s = 0.0
        self.pid = 0

    def __enter__(self) -> "McpServer":
        if not has_module("bridges.mcp"):
            raise Skip("the MCP door is not installed")
        self.began_s = time.perf_counter()
        self._process = subprocess.Popen(
            self._program, env=self._env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        self.pid = self._process.pid
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(_HELLO).encode() + b"\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        self.ready_ms = (time.perf_counter() - self.began_s) * 1e3
        if b'"result"' not in answer:
            self.__exit__()
            raise Skip(f"no answer to initialize: {answer[:100]!r}")
        return self

    def call(self, tool: str) -> None:
        """Call a tool without arguments. Raises Skip where it fails."""
        answer = self.ask("tools/call", name=tool, arguments={})
        if b'"result"' not in answer:
            raise Skip(f"no result of {tool}: {answer[:100]!r}")

    def ask(self, method: str, **params: Any) -> bytes:
        """The line that answers a request."""
        assert self._process.stdin is not None and self._process.stdout is not None
        request = {"jsonrpc": "2.0", "id": "call", "method": method, "params": params}
        self._process.stdin.write(b"".join(json.dumps(said).encode() + b"\n" for said in (_READY, request)))
        self._process.stdin.flush()
        while (answer := self._process.stdout.readline()) and json.loads(answer).get("id") != "call":
            pass  # what it says by itself
        return answer

    def __exit__(self, *_exception: object) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()


def command() -> list[str]:
    """The ``ipc`` of this Python's environment, as installed; without one, its module."""
    if not has_module("bridges.cli"):
        raise Skip("the command line is not installed")
    beside = os.path.join(os.path.dirname(sys.executable), "ipc")
    found = beside if os.path.exists(beside) else shutil.which("ipc")
    return [found] if found else [sys.executable, "-m", "bridges.cli"]
