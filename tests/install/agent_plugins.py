"""What Agent Plugins 1.0 asks of a folder, written from its specification (agent-plugins.org, 1.0.0; sections in brackets),
and what the Agent Skills specification (agentskills.io) asks of a skill."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_NAME = re.compile(r"(?!.*(--|\.\.))[a-z0-9]([a-z0-9.-]{0,62}[a-z0-9])?")
_SKILL_NAME = re.compile(r"(?!.*--)[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?")
_BARE = re.compile(r"[^/\\\s]+")
_SCHEMA = "https://agent-plugins.org/schemas/1.0.0/{}.schema.json"
_MANIFEST: dict[str, type] = {
    "$schema": str,
    "name": str,
    "version": str,
    "description": str,
    "author": dict,
    "homepage": str,
    "repository": str,
    "license": str,
    "keywords": list,
    "extensions": dict,
}
_STDIO: dict[str, type] = {"type": str, "command": str, "args": list, "env": dict, "cwd": str}


def breaches(folder: Path) -> list[str]:
    """A sentence for each breach; empty for a folder that keeps the specification."""
    return [*_manifest(_object(folder / "plugin.json")), *_servers(folder), *_skills(folder)]


def _object(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _manifest(found: dict[str, Any]) -> Iterator[str]:
    yield from _fields("plugin.json", found, _MANIFEST, "plugin")  # [5.2]
    if not _NAME.fullmatch(str(found.get("name", ""))):  # [5.5]
        yield f"plugin.json: no name of a plugin: {found.get('name')}"
    author = found.get("author", {})
    if isinstance(author, dict) and not all(k in ("name", "email", "url") and isinstance(v, str) for k, v in author.items()):
        yield "plugin.json: author holds something else than name, email, url"  # [5.4]


def _servers(folder: Path) -> Iterator[str]:
    if not (folder / "mcp.json").exists():
        return
    found = _object(folder / "mcp.json")
    yield from _fields("mcp.json", found, {"$schema": str, "mcpServers": dict}, "mcp")
    for name, server in found.get("mcpServers", {}).items():
        yield from _fields(f"server {name}", server, _STDIO)
        command = str(server.get("command", ""))  # [7.2.1]: one token, bare or of the plugin
        if server.get("type") != "stdio" or not (_BARE.fullmatch(command) or command.startswith("./")):
            yield f"server {name}: no stdio server with a bare or plugin-relative command"
        env = server.get("env", {})
        if {"PLUGIN_ROOT", "PLUGIN_DATA"} & set(env) or not all(isinstance(v, str) for v in env.values()):
            yield f"server {name}: env sets what clients set, or is no text"
        if not all(isinstance(word, str) for word in server.get("args", [])):
            yield f"server {name}: args are no texts"


def _skills(folder: Path) -> Iterator[str]:
    """[7.1] Each child of ``skills`` with a SKILL.md is one."""
    for path in (folder / "skills").glob("*/SKILL.md"):
        head = re.match(r"---\n(.*?)\n---\n", path.read_text(encoding="utf-8"), re.DOTALL)
        fields = dict(line.split(": ", 1) for line in head[1].splitlines()) if head else {}
        if fields.get("name") != path.parent.name or not _SKILL_NAME.fullmatch(path.parent.name):
            yield f"{path.parent.name}: the skill's name is not its folder's, or no name of a skill"
        if not 0 < len(fields.get("description", "")) <= 1024:
            yield f"{path.parent.name}: no description of at most 1024 characters"


def _fields(where: str, found: dict[str, Any], known: dict[str, type], schema: str = "") -> Iterator[str]:
    yield from (f"{where}: unknown field {name}" for name in found if name not in known)
    yield from (
        f"{where}: {name} is no {known[name].__name__}"
        for name in found
        if not isinstance(found[name], known.get(name, object))
    )
    if schema and found.get("$schema") != _SCHEMA.format(schema):
        yield f"{where}: not of version 1.0.0, or unreadable"
