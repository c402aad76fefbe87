"""A command, a hook and a relay are whole processes: what they import is most of what they cost."""

import json
import os
import subprocess
import sys

from tests.conftest import Service

COSTLY = {"dataclasses", "typing", "pathlib", "hashlib", "logging"}
NOT_A_RELAY_S = {"enum", "json", "re", "selectors", "signal", "socket"}
"""What a relay does without as well: there is one for each agent, as long as it lives."""
NOT_ORDINARY = {"argparse", "socket", "selectors", "difflib", "shlex", "msgpack", "orjson", "zmq", "textual", "rich", "shtab"}
"""What a send and a hook do without as well."""
EVENT = {"hook_event_name": "PostToolUse", "session_id": "quick", "tool_name": "Bash", "tool_input": {}, "tool_response": {}}
HELLO = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
    "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}}  # fmt: skip


def imported(service: Service, program: str, *words: str, given: bytes = b"") -> set[str]:
    """The modules that a program imported, but for those of a bare interpreter here."""
    python = [sys.executable, "-P", "-X", "importtime"]
    env = {**os.environ, **service.env, "HOME": str(service.home)}
    found = []
    for command in (["-c", "pass"], ["-m", program, *words]):
        done = subprocess.run([*python, *command], env=env, cwd=service.home, input=given, capture_output=True, timeout=30)
        assert done.returncode == 0, done.stderr[-2000:]
        lines = done.stderr.decode().splitlines()
        found.append({line.rpartition("|")[2].strip() for line in lines if line.startswith("import time:")})
    return found[1] - found[0]


def test_a_send_a_hook_and_a_relay_import_nothing_costly(service: Service) -> None:
    imported(service, "bridges.cli", "register", "fred")
    send = imported(service, "bridges.cli", "send", "fred", "hello", "--as", "fred")
    hook = imported(service, "bridges.cli", "hook", "claude", "PostToolUse", given=json.dumps(EVENT).encode())
    relay = imported(service, "bridges.mcp", given=json.dumps(HELLO).encode() + b"\n")
    for program, known in (
        (send, "broker.client.json_lines"),
        (hook, "broker.client.json_lines"),
        (relay, "bridges.mcp.relay"),
    ):
        assert known in program
        assert program & COSTLY == set()
    assert (send | hook) & NOT_ORDINARY == set()
    assert relay & (NOT_A_RELAY_S | NOT_ORDINARY) == set()
