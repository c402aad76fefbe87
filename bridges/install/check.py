"""``ipc install HOST --check``: whether every piece is there, is ours, is of this version, and runs."""

import json
import os
import select
import shlex
import subprocess
from typing import Any

from bridges.known_hosts import allowed_tools
from bridges.known_hosts.catalogue import about
from bridges.known_hosts.host_facts import RUN, HostFacts
from bridges.known_hosts.installation import Installation, Options
from bridges.known_hosts.json_entries import read
from bridges.terminal import say, style
from broker.protocol.errors import IpcError
from broker.version import VERSION

_DEADLINE_S = 30.0
_INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "ipc-check", "version": VERSION}},
}


def check(wanted: Installation, options: Options) -> int:
    """Print a line for each piece. Exit status 0: all is well; 1: something is not."""
    rows = _rows(wanted)
    for good, what, problem in rows:
        mark = style("ok  ", "green") if good else style("FAIL", "red")
        say(f"{mark}  {what}{'' if good else f': {problem}'}")
    facts = about(wanted.host)
    if modes := facts.tools.get("allowed" if options.allow else "asked"):
        say(f"tools {modes}")
    if options.allow:
        say(f"      {allowed_tools.sentence(facts.asks_by_tool)}")
    if options.approvals:
        say(f"prompts {facts.approvals}")
    bad = any(not good for good, _, _ in rows)
    if bad:
        say(f"next: {_again(wanted, options, facts)}")
    return 1 if bad else 0


def _again(wanted: Installation, options: Options, facts: HostFacts) -> str:
    """The command that puts all of it there, with what was chosen. What is allowed stays so by itself."""
    if facts.evidence != RUN:
        return f"ipc install {wanted.host} --print shows what to write by hand"
    words = ["ipc", "install", wanted.host, *(["--name", options.name] if options.name else [])]
    words += [f"--{word}" for word in ("claims", "rewake", "approvals") if getattr(options, word)]
    return shlex.join([*words, *(["--scope", "project"] if wanted.scope == "project" else [])])


Row = tuple[bool, str, str]


def problems(wanted: Installation) -> list[str]:
    """A sentence for each piece that is not well."""
    return [f"{what} {problem}" for good, what, problem in _rows(wanted) if not good]


def _rows(wanted: Installation) -> list[Row]:
    rows = [*_files(wanted), *_entries(wanted)]
    if all(good for good, _, _ in rows):  # otherwise the next step is known, and starting a server is slow
        rows += [_server(wanted), _hook(wanted)]
    return rows


def _files(wanted: Installation) -> list[Row]:
    rows = []
    for name, text in wanted.files.items() if wanted.folder else ():
        assert wanted.folder is not None
        path = wanted.folder / name
        found = read(path)
        problem = "is missing" if not path.exists() else "is of another version, or was changed"
        rows.append((found == text, str(path), problem))
    return rows


def _entries(wanted: Installation) -> list[Row]:
    rows = []
    for edit in wanted.edits:
        text = read(edit.path)
        try:
            good, ours = edit.put(text) == text, edit.take(text) != text
        except IpcError as e:
            rows.append((False, str(edit.path), e.text))
            continue
        rows.append((good, str(edit.path), "our entries are of another version" if ours else "our entries are missing"))
    for edit in wanted.retired:
        text = read(edit.path)
        if edit.put(text) != text:
            rows.append((False, str(edit.path), "has the server of an earlier version as well"))
    return rows


def _server(wanted: Installation) -> Row:
    """Start the MCP server as the host would, and shake hands."""
    command = [wanted.command["command"], *wanted.command["args"]]
    what = f"MCP server {' '.join(command)}"
    try:
        answer = _shake_hands(command, {**os.environ, **wanted.command["env"]})
    except (OSError, ValueError) as e:
        return False, what, str(e)
    return answer.get("result", {}).get("serverInfo", {}).get("name") == "ipc", what, "it is not ours"


def _shake_hands(command: list[str], env: dict[str, str]) -> dict[str, Any]:
    """The server's answer to initialize. Raises OSError, ValueError."""
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=env, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL) as server:  # noqa: S603
        assert server.stdin is not None and server.stdout is not None
        try:
            server.stdin.write(json.dumps(_INITIALIZE).encode() + b"\n")
            server.stdin.flush()
            ready, _, _ = select.select([server.stdout], [], [], _DEADLINE_S)
            line = server.stdout.readline() if ready else b""
        finally:
            server.kill()  # it has said all that we asked
    if not line:
        raise ValueError(f"no answer within {_DEADLINE_S:.0f} s")
    answer = json.loads(line)
    return answer if isinstance(answer, dict) else {}


def _hook(wanted: Installation) -> Row:
    """Run the hook command as the host would, with an event that it does not answer."""
    command = f"{wanted.hook} Check"
    try:
        done = subprocess.run(["/bin/sh", "-c", command], input=b"{}", capture_output=True, timeout=_DEADLINE_S, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired) as e:
        return False, command, str(e)
    good = done.returncode == 0 and done.stdout.strip() in (b"", b"{}")
    return good, f"hook {command}", f"status {done.returncode}: {os.fsdecode(done.stderr)[-200:]}"
