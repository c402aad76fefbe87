"""What ``ipc install`` puts where: whole files that are ours, and entries in files that are the host's.

    claude   a plugin folder in ``skills/`` of the configuration, which Claude Code loads by itself as agent-ipc@skills-dir
             (a project's: after the folder is trusted; its monitor is not armed)
    gemini   an extension folder; a project has no extensions, so there: entries in its settings.json
    codex    a table in config.toml, entries in hooks.json

Nothing else of a host is touched, so uninstall leaves what was there before.
"""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from bridges.install import allowed_tools, json_entries
from bridges.start_command import environment, if_there, ipc_command, shell_words
from broker.home.environment import FOR_AGENTS
from broker.home.paths import working_folder
from broker.protocol.errors import IpcError
from broker.version import VERSION

FILES = Path(__file__).with_name("files")
HOSTS = ("claude", "gemini", "codex")
PLUGIN = "agent-ipc"


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


def plan(host: str, scope: str, options: Options) -> Installation:
    """The whole installation for a host: for the user, or for the project in the present folder."""
    words = _words(host, options)
    of_host = partial(Installation, host, scope, words.server, f"{words.run} hook {host}")
    user, project = Path.home(), Path(working_folder())
    if host == "claude":
        config = Path(os.environ.get("CLAUDE_CONFIG_DIR") or user / ".claude") if scope == "user" else project / ".claude"
        old = _claude_json(user) if scope == "user" else project / ".mcp.json"
        return of_host(
            folder=config / "skills" / PLUGIN,
            files=_claude_files(words, options, scope),
            retired=[_without_server(old)],
        )
    if host == "gemini" and scope == "user":
        return of_host(
            folder=user / ".gemini" / "extensions" / PLUGIN,
            files=_files(words, "gemini", ("gemini-extension.json", "hooks/hooks.json", "AGENT-MAIL.md")),
            edits=[_gemini_policy(user / ".gemini" / "policies" / f"{PLUGIN}.toml", options.allow)],
            retired=[_without_server(user / ".gemini" / "settings.json")],
        )
    if host == "gemini":
        return of_host(edits=[_gemini_settings(project / ".gemini" / "settings.json", words)])
    config = Path(os.environ.get("CODEX_HOME") or user / ".codex") if scope == "user" else project / ".codex"
    return of_host(edits=_codex_edits(config, words, options))


@dataclass(frozen=True, slots=True)
class Words:
    """What replaces the marks in the files of ``files/``."""

    host: str
    server: dict[str, Any]
    run: str
    start: str
    """``run`` for the event that begins a session. It tells the user if the installation has moved."""
    name: str

    def fill(self, text: str) -> str:
        """The text with the marks replaced."""
        for mark, value in (("@VERSION@", VERSION), ("@START@", self.start), ("@RUN@", self.run), ("@NAME@", self.name)):
            text = text.replace(mark, json.dumps(value)[1:-1])
        return text.replace("@HOST@", self.host).replace('"@SERVER@"', json.dumps(self.server))


def _words(host: str, options: Options) -> Words:
    command, name = ipc_command(), ["--name", options.name] if options.name else []
    server = {"command": command[0], "args": [*command[1:], "mcp", *name], "env": environment()}
    run = f"exec {shell_words(command)}"
    moved = "{ echo 'agent-ipc is no longer where it was installed from. Next: ipc install @HOST@'; exit 0; }"
    start = if_there(command, moved) + run
    return Words(host, server, if_there(command) + run, start, f" --name {options.name}" if options.name else "")


def _files(words: Words, host: str, names: tuple[str, ...]) -> dict[str, str]:
    return {name: words.fill((FILES / host / name).read_text(encoding="utf-8")) for name in names}


def _claude_files(words: Words, options: Options, scope: str) -> dict[str, str]:
    names = [".claude-plugin/plugin.json", ".mcp.json", "hooks/hooks.json", "skills/agent-mail/SKILL.md"]
    if scope == "user":
        names.append("monitors/monitors.json")
    files = _files(words, "claude", tuple(names))
    more = [n for n, wanted in (("claims", options.claims), ("rewake", options.rewake)) if wanted]
    if more or options.allow or options.approvals:
        hooks = json.loads(files["hooks/hooks.json"])
        for name in more:
            json_entries.merge(
                hooks["hooks"], json.loads(words.fill((FILES / "claude" / "hooks" / f"{name}.json").read_text()))
            )
        if options.allow:
            json_entries.merge(hooks["hooks"], allowed_tools.claude_hooks())
        if options.approvals:  # in place of the one that only reports prompts
            hooks["hooks"] |= json.loads(words.fill((FILES / "claude" / "hooks" / "approvals.json").read_text()))
        files["hooks/hooks.json"] = json.dumps(hooks, indent=2) + "\n"
    return files


def _claude_json(user: Path) -> Path:
    """Where Claude Code keeps the user's MCP servers, and where earlier versions of ours put theirs."""
    folder = os.environ.get("CLAUDE_CONFIG_DIR")
    return Path(folder) / ".claude.json" if folder else user / ".claude.json"


def _without_server(path: Path) -> Edit:
    return Edit(path.resolve(), lambda text: json_entries.without_server(text, path), lambda text: text)


def _gemini_policy(path: Path, allow: bool) -> Edit:
    """A file that is ours alone, or no file. A file that is not ours stays."""

    def put(text: str) -> str:
        if text and not text.startswith(allowed_tools.POLICY_MARK):
            raise IpcError("bad_request", detail=f"{path} is not ours; it was left as it is")
        return allowed_tools.gemini_policy() if allow else ""

    return Edit(path.resolve(), put, lambda text: "" if text.startswith(allowed_tools.POLICY_MARK) else text)


def _gemini_settings(path: Path, words: Words) -> Edit:
    hooks = json.loads(words.fill((FILES / "gemini" / "hooks" / "hooks.json").read_text()))["hooks"]

    def put(text: str) -> str:
        return json_entries.with_entries(text, path, server=words.server, hooks=hooks)

    return Edit(path.resolve(), put, lambda text: json_entries.without_entries(text, path))


def _codex_edits(config: Path, words: Words, options: Options) -> list[Edit]:
    toml, hooks_path = (config / "config.toml").resolve(), (config / "hooks.json").resolve()
    hooks = json.loads(words.fill((FILES / "codex" / "hooks.json").read_text()))["hooks"]
    if options.claims:
        json_entries.merge(hooks, json.loads(words.fill((FILES / "codex" / "claims.json").read_text())))
    if options.approvals:
        hooks |= json.loads(words.fill((FILES / "codex" / "approvals.json").read_text()))
    # Codex starts a server with an environment of its own and passes on the variables named here
    server = {**words.server, "env_vars": list(FOR_AGENTS)}
    server |= {"tools": allowed_tools.codex_tools()} if options.allow else {}

    def put(text: str) -> str:
        from bridges.install import toml_entries  # tomlkit is slow to import, and only Codex has TOML

        return toml_entries.with_server(text, toml, server)

    def take(text: str) -> str:
        if "mcp_servers" not in text:
            return text
        from bridges.install import toml_entries

        return toml_entries.without_server(text, toml)

    return [
        Edit(toml, put, take),
        Edit(
            hooks_path,
            lambda text: json_entries.with_entries(text, hooks_path, server=None, hooks=hooks),
            lambda text: json_entries.without_entries(text, hooks_path),
        ),
    ]
