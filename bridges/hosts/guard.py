"""``ipc guard``: a git pre-commit hook that refuses a commit of files that another agent has claimed.

    ipc guard             checks what is staged in this repository; exit status 1 refuses the commit
    ipc guard --install   adds itself to the repository's pre-commit hook
    ipc guard --remove    takes itself out; a hook file that holds nothing else is removed

Claims are advisory, and ``git commit --no-verify`` skips the guard. It refuses nothing without the service, or in a shell that
is no agent.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys

from bridges import agents_shell, shell_names
from bridges.hosts.claim_warning import overlapping, sentence
from bridges.known_hosts.start_command import ipc_command, shell_words
from broker.client.json_lines import QuickConnection
from broker.home import environment
from broker.home.paths import Place
from broker.protocol.errors import IpcError, SettingsError
from broker.protocol.names import is_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_BEGIN = "# >>> agent-ipc guard >>>\n"
_END = "# <<< agent-ipc guard <<<\n"
_SHELLS = ("#!/bin/sh", "#!/bin/bash", "#!/usr/bin/env sh", "#!/usr/bin/env bash", "#!/usr/bin/bash", "#!/usr/bin/sh")
_USAGE = "ipc guard [--install | --remove]"


class NoRepository(Exception):
    """git is not there, or knows no repository here. The text is git's own."""


def main(arguments: list[str]) -> int:
    """Exit status: 0 nothing to refuse, or done; 1 refused, or can't be done; 2 wrong usage."""
    works = {"": check, "--install": install, "--remove": remove}
    if len(arguments) > 1 or (arguments and arguments[0] not in works):
        print(f"usage: {_USAGE}", file=sys.stderr)
        return 2
    try:
        return works["".join(arguments)]()
    except NoRepository as e:
        print(f"ipc guard: {e}\nnext: run it inside a git repository", file=sys.stderr)
        return 1


def check() -> int:
    """Exit status 1 if a staged file overlaps another agent's claim."""
    home = Place.here().home
    try:
        token = own_token(home)
    except (SettingsError, agents_shell.SharedProcess) as e:
        print(f"ipc guard: not checked: {e}", file=sys.stderr)
        return 0
    if token is None:
        return 0
    top = _git("rev-parse", "--show-toplevel").rstrip("\n")
    staged = [p for p in _git("diff", "--cached", "--name-only", "--no-renames", "-z").split("\0") if p]
    try:
        with QuickConnection(Place(home), autostart=False, door="guard") as door:
            found = _conflicts(door, token, [os.path.join(top, p) for p in staged])
    except IpcError as e:
        print(f"ipc guard: not checked: {e.text}", file=sys.stderr)
        return 0
    if found:
        print(sentence(found), file=sys.stderr)
        print("next: ask the holder, wait, or git commit --no-verify", file=sys.stderr)
    return 1 if found else 0


def _conflicts(door: QuickConnection, token: str, paths: list[str]) -> list[dict[str, Any]]:
    def ask(action: str, **fields: Any) -> dict[str, Any]:
        return door.request({"action": action, "session_token": token, **fields}, timeout_s=5.0)

    if all(c.get("mine") for c in ask("claims")["claims"]):
        return []
    return [claim for path in paths for claim in overlapping(ask, path)]


def own_token(home: str) -> str | None:
    """The token of the agent whose shell runs git, or of the shell's name. Raises SharedProcess, SettingsError."""
    agent = agents_shell.own_session(home)
    name = environment.own_name() or ""
    if agent is not None and (not name or agents_shell.came_with_host(agent, name)):
        return agent.token
    kept = shell_names.of_shell(home, name) if not name or is_name(name) else None
    return kept.token if kept is not None else None


def _git(*arguments: str) -> str:
    """The output of git, in which file names may be any bytes. Raises NoRepository."""
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, check=False)  # noqa: S603, S607 (the user's own git)
    except FileNotFoundError:
        raise NoRepository("there is no git on the path") from None
    if done.returncode:
        raise NoRepository(os.fsdecode(done.stderr).strip())
    return os.fsdecode(done.stdout)


def _hook_path() -> str:
    return os.path.abspath(os.path.join(_git("rev-parse", "--git-path", "hooks").rstrip("\n"), "pre-commit"))


def _block() -> str:
    there = f"[ -x {shlex.quote(ipc_command()[0])} ]"  # if the installation has moved, no commit is refused
    return f"{_BEGIN}if {there}; then {shell_words([*ipc_command(), 'guard'])} || exit 1; fi\n{_END}"


def install() -> int:
    """Put our lines into the repository's pre-commit hook, after its first line."""
    path = _hook_path()
    before = _read(path)
    if before is not None and before.split("\n", 1)[0].rstrip() not in _SHELLS:
        print(f"ipc guard: {path} is not a shell script; add there: {shell_words([*ipc_command(), 'guard'])}", file=sys.stderr)
        return 1
    first, _, rest = without_block(before if before is not None else "#!/bin/sh\n").partition("\n")
    after = f"{first}\n{_block()}{rest}"
    if after == before:
        print(f"Already in {path}")
        return 0
    os.makedirs(os.path.dirname(path), exist_ok=True)
    _write(path, after)
    print(f"Installed in {path}")
    return 0


def remove() -> int:
    """Take our lines out of the repository's pre-commit hook."""
    path = _hook_path()
    before = _read(path)
    if before is None or _BEGIN not in before:
        print(f"Not in {path}")
        return 0
    after = without_block(before)
    if after == "#!/bin/sh\n":
        os.unlink(path)
    else:
        _write(path, after)
    print(f"Removed from {path}")
    return 0


def without_block(text: str) -> str:
    head, begin, rest = text.partition(_BEGIN)
    return head + rest.partition(_END)[2] if begin else text


def _read(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape", newline="") as f:
            return f.read()
    except FileNotFoundError:
        return None


def _write(path: str, text: str) -> None:
    """Replace the hook file whole. It keeps its mode, and its owner can run it."""
    from broker.home.files import write_private

    mode = os.stat(path).st_mode & 0o777 if os.path.exists(path) else 0o755
    write_private(path, text.encode("utf-8", "surrogateescape"), mode=mode | 0o100)
