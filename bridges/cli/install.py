"""``ipc install HOST``: write the host's MCP configuration. What is there stays; a backup is made; twice is once.

Formats: Claude Code ``~/.claude.json`` or a project's ``.mcp.json``; Gemini CLI ``settings.json``; Codex CLI
``config.toml``, each from its vendor's documentation.
"""

import argparse
import json
import os
import re
import shutil
import sys
import time
import tomllib
from pathlib import Path
from typing import Any

from bridges.cli.output import say
from broker.errors import IpcError
from broker.runtime import write_private
from broker.settings import Settings


def run(settings: Settings, options: argparse.Namespace) -> int:
    """Exit status 0: installed, printed, or there already."""
    path = config_path(options.host, options.scope)
    before = _read(path)
    entry = server_entry(settings, options.name)
    after = with_codex_server(before, path, entry) if options.host == "codex" else with_json_server(before, path, entry)
    if options.print_only:
        say(f"# {path}")
        say(after.rstrip())
    elif after == before:
        say(f"Already installed in {path}")
    else:
        write(path, before, after)
        say(f"Installed in {path}")
        say(f"next: start {options.host} anew; its agent can then call register, send and check")
    return 0


def config_path(host: str, scope: str) -> Path:
    """The file that the host reads. Its symlinks are followed, so that a linked file is changed where it is."""
    user, project = Path.home(), Path.cwd()
    path = {
        ("claude", "user"): user / ".claude.json",
        ("claude", "project"): project / ".mcp.json",
        ("gemini", "user"): user / ".gemini" / "settings.json",
        ("gemini", "project"): project / ".gemini" / "settings.json",
        ("codex", "user"): Path(os.environ.get("CODEX_HOME") or user / ".codex") / "config.toml",
        ("codex", "project"): project / ".codex" / "config.toml",
    }[host, scope]
    return path.resolve()


def server_entry(settings: Settings, name: str | None) -> dict[str, Any]:
    """Command, arguments and environment of the MCP server, independent of PATH."""
    script = Path(sys.executable).with_name("ipc")
    command = [str(script)] if script.exists() else [sys.executable, "-P", "-m", "bridges.cli"]
    arguments = [*command[1:], "mcp", *(["--name", name] if name else [])]
    env = {"IPC_HOME": str(settings.home)} if os.environ.get("IPC_HOME") else {}
    return {"command": command[0], "args": arguments, "env": env}


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as e:
        raise IpcError("bad_request", detail=f"{path}: {e}") from None


def with_json_server(text: str, path: Path, entry: dict[str, Any]) -> str:
    """The JSON configuration with our server in ``mcpServers``; the same text if it is there already."""
    try:
        config = json.loads(text) if text.strip() else {}
    except ValueError as e:
        raise IpcError("bad_request", detail=f"{path} is not valid JSON ({e}); it was left as it is") from None
    if not isinstance(config, dict) or not isinstance(config.get("mcpServers", {}), dict):
        raise IpcError("bad_request", detail=f"{path} has no object of servers where one should be; it was left as it is")
    if config.get("mcpServers", {}).get("ipc") == entry:
        return text
    config.setdefault("mcpServers", {})["ipc"] = entry
    return json.dumps(config, indent=2, ensure_ascii=False) + "\n"


def with_codex_server(text: str, path: Path, entry: dict[str, Any]) -> str:
    """The TOML configuration with our tables replaced or added at its end; comments and all else stay."""
    try:
        config = tomllib.loads(text)
    except tomllib.TOMLDecodeError as e:
        raise IpcError("bad_request", detail=f"{path} is not valid TOML ({e}); it was left as it is") from None
    wanted = {k: v for k, v in entry.items() if v}
    if config.get("mcp_servers", {}).get("ipc") == wanted:
        return text
    table = ["[mcp_servers.ipc]", *(f"{key} = {_toml(value)}" for key, value in wanted.items())]
    kept = _without_table(text)
    after = f"{kept.rstrip()}\n\n" if kept.strip() else ""
    after += "\n".join(table) + "\n"
    if tomllib.loads(after).get("mcp_servers", {}).get("ipc") != wanted:
        raise IpcError("bad_request", detail=f"{path} defines mcp_servers.ipc in a way that can't be replaced; edit it by hand")
    return after


def _without_table(text: str) -> str:
    """The text without [mcp_servers.ipc] and its sub-tables."""
    kept, dropping = [], False
    for line in text.splitlines(keepends=True):
        if re.match(r"\s*\[", line):
            dropping = re.match(r"\s*\[\s*mcp_servers\s*\.\s*[\"']?ipc[\"']?\s*[\].]", line) is not None
        if not dropping:
            kept.append(line)
    return "".join(kept)


def _toml(value: Any) -> str:
    """A text, list of texts or table of texts as TOML; JSON's escapes are TOML's."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{k} = {json.dumps(v)}" for k, v in value.items()) + " }"
    return json.dumps(value)


def write(path: Path, before: str, after: str) -> None:
    """Replace the file whole, with a backup beside it; its mode stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o600
    if before:
        backup = path.with_name(f"{path.name}.bak-{time.strftime('%Y%m%d-%H%M%S')}")
        shutil.copy2(path, backup)
        say(f"Backup: {backup}")
    write_private(path, after)
    path.chmod(mode)
