"""What ``ipc install`` puts where: whole files that are ours, and entries in files that are the host's.

Each host's ``setup.py`` makes its ``Installation`` from a ``Setup``. Nothing else of a host is touched, so uninstall leaves
what was there before.
"""

import json
import os
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bridges.known_hosts import json_entries
from bridges.known_hosts.catalogue import HERE, setup_of
from bridges.known_hosts.start_command import environment, if_there, ipc_command, shell_words
from broker.home.paths import working_folder
from broker.protocol.errors import IpcError
from broker.version import VERSION

PLUGIN = "agent-ipc"
_PROCESSES = "// @PROCESSES@"


@dataclass(frozen=True, slots=True)
class Options:
    """What the user chose. ``name``: of each session. ``claims``: warn before edits. ``rewake``: wake by a background hook.
    ``allow``: the host calls the mail tools without asking. ``approvals``: its permission prompts can be answered elsewhere."""

    name: str | None = None
    claims: bool = False
    rewake: bool = False
    allow: bool = False
    approvals: bool = False


@dataclass(frozen=True, slots=True)
class Edit:
    """Entries of ours in a file of the host. ``put`` and ``take`` map its text to a new one. They raise IpcError."""

    path: Path
    put: Callable[[str], str]
    take: Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Installation:
    """``folder``, if there is one, is ours alone. ``retired`` takes out what earlier versions wrote elsewhere."""

    host: str
    scope: str
    command: dict[str, Any]
    hook: str
    folder: Path | None = None
    files: dict[str, str] = field(default_factory=dict)
    edits: list[Edit] = field(default_factory=list)
    retired: list[Edit] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Setup:
    """What a host's ``setup.py`` gets: for whom to install, and what replaces the marks in its files."""

    host: str
    scope: str
    options: Options
    user: Path
    project: Path
    server: dict[str, Any]
    """Our MCP server as most hosts write it: ``command``, ``args``, ``env``."""
    run: str
    """The beginning of a hook's shell command."""
    start: str
    """``run`` for the event that begins a session. It tells the user if the installation has moved."""

    def config(self, folder: str, variable: str = "") -> Path:
        """The host's configuration folder: the project's, or the user's, which a variable may move."""
        if self.scope == "project":
            return self.project / folder
        moved = os.environ.get(variable) if variable else None
        return Path(moved) if moved else self.user / folder

    def fill(self, text: str) -> str:
        """The text with the marks replaced: ``@RUN@``, ``@START@``, ``@NAME@``, ``@VERSION@``, ``@HOST@``, ``"@SERVER@"``,
        ``// @PROCESSES@`` (functions of JavaScript that run our program)."""
        name = f" --name {shlex.quote(self.options.name)}" if self.options.name else ""
        words = {"@VERSION@": VERSION, "@START@": self.start, "@RUN@": self.run, "@NAME@": name}
        values = {mark: json.dumps(value)[1:-1] for mark, value in words.items()}
        values |= {"@HOST@": self.host, '"@SERVER@"': json.dumps(self.server)}
        if _PROCESSES in text:
            values[_PROCESSES] = (Path(HERE) / "files" / "processes.js").read_text(encoding="utf-8").rstrip()
        # in one pass: a value may hold what looks like a mark
        return re.sub("|".join(map(re.escape, values)), lambda found: values[found[0]], text)

    def file(self, name: str) -> str:
        """A file of the host's folder ``files``, filled."""
        return self.fill((Path(HERE) / self.host / "files" / name).read_text(encoding="utf-8"))

    def files(self, *names: str) -> dict[str, str]:
        return {name: self.file(name) for name in names}

    def json(self, name: str) -> dict[str, Any]:
        """A JSON file of the host's folder ``files``, filled."""
        found: dict[str, Any] = json.loads(self.file(name))
        return found

    def made(
        self,
        *,
        folder: Path | None = None,
        files: dict[str, str] | None = None,
        edits: list[Edit] | None = None,
        retired: list[Edit] | None = None,
    ) -> Installation:
        hook = f"{self.run} hook {self.host}"
        return Installation(self.host, self.scope, self.server, hook, folder, files or {}, edits or [], retired or [])

    def entries(self, path: Path, *, server: dict[str, Any] | None, hooks: json_entries.Hooks) -> Edit:
        """Our server and groups of hooks in a JSON file of the host (``mcpServers``, ``hooks``)."""
        return Edit(
            path.resolve(),
            lambda text: json_entries.with_entries(text, path, server=server, hooks=hooks, again=self._again("install")),
            lambda text: json_entries.without_entries(text, path, again=self._again("uninstall")),
        )

    def own_file(self, path: Path, text: str, *, mark: str) -> Edit:
        """A file that is ours alone and has the mark; with an empty text no file. A file that is not ours stays."""

        def put(found: str) -> str:
            if found and mark not in found:
                raise IpcError("bad_request", detail=f"{path} is not ours; it was left as it is")
            return text

        return Edit(path.resolve(), put, lambda found: "" if mark in found else found)

    def without_server(self, path: Path) -> Edit:
        """Takes out the server that an earlier version wrote there."""
        again = self._again("install")
        return Edit(path.resolve(), lambda text: json_entries.without_server(text, path, again=again), lambda text: text)

    def _again(self, command: str) -> str:
        """What to type after a file was corrected."""
        return f"ipc {command} {self.host}{' --scope project' if self.scope == 'project' else ''}"


def our_server(name: str | None) -> dict[str, Any]:
    """Our MCP server as most hosts write it, which registers a name by itself if one is given."""
    command = ipc_command()
    return {"command": command[0], "args": [*command[1:], "mcp", *(["--name", name] if name else [])], "env": environment()}


def plan(host: str, scope: str, options: Options) -> Installation:
    """The whole installation for a host: for the user, or for the project in the present folder. Raises IpcError."""
    command = ipc_command()
    run = f"exec {shell_words(command)}"
    moved = f"{{ echo 'agent-ipc is no longer where it was installed from. Next: ipc install {host}'; exit 0; }}"
    setup = Setup(
        host=host,
        scope=scope,
        options=options,
        user=Path.home(),
        project=Path(working_folder()),
        server=our_server(options.name),
        run=if_there(command) + run,
        start=if_there(command, moved) + run,
    )
    made: Installation = setup_of(host).installation(setup)
    return made


def takes(host: str, scope: str, option: str) -> bool:
    """Whether an option (``claims``, ``rewake``) changes what is put into the host. Raises IpcError."""
    with_it: dict[str, Any] = {option: True}
    chosen, other = plan(host, scope, Options(**with_it)), plan(host, scope, Options())
    return chosen.files != other.files or [edit.put("") for edit in chosen.edits] != [edit.put("") for edit in other.edits]
