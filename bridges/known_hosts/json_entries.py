"""Our entries in a host's JSON files: a server under ``mcpServers``, groups of hooks under ``hooks``. All else there stays."""

import json
import re
from pathlib import Path
from typing import Any

from broker.protocol.errors import IpcError

_OURS = re.compile(r"""(?:^|[/\s'"])(?:ipc|bridges\.cli)['"]? (?:hook [a-z]+ \S+(?: --name \S+)?|monitor|wait)$""")
Hooks = dict[str, list[dict[str, Any]]]


def read(path: Path) -> str:
    """The file's text; empty if there is none. Raises IpcError."""
    try:
        with open(path, encoding="utf-8", newline="") as f:
            return f.read()
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as e:
        raise IpcError("bad_request", detail=f"{path}: {e}") from None


def merge(hooks: Hooks, more: Hooks) -> None:
    """Add groups of hooks to those of the same event."""
    for event, groups in more.items():
        hooks.setdefault(event, []).extend(groups)


def _parsed(text: str, path: Path, again: str) -> dict[str, Any]:
    try:
        config = json.loads(text, object_pairs_hook=_once_each) if text.strip() else {}
        json.dumps(config, indent=2, ensure_ascii=False, allow_nan=False).encode()  # what can't be written is told before
    except (ValueError, RecursionError) as e:
        hint = f"it was left as it is. Correct it (comments and trailing commas are none of JSON), then: {again}"
        raise IpcError("bad_request", detail=f"{path} is not plain JSON ({e}); {hint}") from None
    for key in ("mcpServers", "hooks"):
        if not isinstance(config, dict) or not isinstance(config.get(key, {}), dict):
            raise IpcError("bad_request", detail=f"{path} has no object where one should be; it was left as it is")
    return config


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The object. Raises ValueError for a key that is there twice: one of them would be lost."""
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"{next(key for key in keys if keys.count(key) > 1)!r} is there twice")
    return found


def _text(config: dict[str, Any], like: str) -> str:
    """The configuration as JSON, indented as the text was."""
    indented = re.search(r"\{\r?\n([ \t]+)", like)
    return json.dumps(config, indent=indented[1] if indented else 2, ensure_ascii=False) + "\n"


def with_entries(text: str, path: Path, *, server: dict[str, Any] | None, hooks: Hooks, again: str) -> str:
    """The configuration with our server and our hooks; the same text if they are there already. Raises IpcError."""
    config = _parsed(text, path, again)
    before = json.loads(json.dumps(config))
    _drop(config)
    if server is not None:
        servers = config.setdefault("mcpServers", {})
        if "ipc" in servers:
            raise IpcError("bad_request", detail=not_ours(path))
        servers["ipc"] = server
    if hooks:
        merge(config.setdefault("hooks", {}), json.loads(json.dumps(hooks)))
    return text if config == before else _text(config, text)


def without_entries(text: str, path: Path, *, again: str) -> str:
    """The configuration without our entries; empty if it held nothing else. Raises IpcError."""
    config = _parsed(text, path, again)
    before = json.dumps(config)
    _drop(config)
    if json.dumps(config) == before:
        return text
    return _text(config, text) if config else ""


def without_server(text: str, path: Path, *, again: str) -> str:
    """The configuration without our server, which an earlier version wrote there. Raises IpcError."""
    if '"ipc"' not in text:
        return text
    config = _parsed(text, path, again)
    if not is_our_server(config.get("mcpServers", {}).get("ipc")):
        return text
    _drop(config, hooks=False)
    return _text(config, text) if config else ""


def not_ours(path: Path) -> str:
    """What is told of a server of others that has our name."""
    return f"{path} has an MCP server ipc that is not ours; it was left as it is. Give it another name there, then try again"


def is_our_server(entry: Any) -> bool:
    """True for an MCP server that runs our ``ipc mcp``."""
    if not isinstance(entry, dict) or not isinstance(entry.get("args"), list):
        return False
    words = [str(entry.get("command")), *map(str, entry["args"])]
    return "mcp" in words and (Path(words[0]).name == "ipc" or "bridges.cli" in words)


def _drop(config: dict[str, Any], *, hooks: bool = True) -> None:
    servers = config.get("mcpServers", {})
    if is_our_server(servers.get("ipc")):
        del servers["ipc"]
        if not servers:
            del config["mcpServers"]
    table = config.get("hooks", {}) if hooks else {}
    for event in list(table):
        table[event] = [g for g in table[event] if not _is_our_group(g)] if isinstance(table[event], list) else table[event]
        if table[event] == []:
            del table[event]
    if hooks and config.get("hooks") == {}:
        del config["hooks"]


def _is_our_group(group: Any) -> bool:
    handlers = group.get("hooks") if isinstance(group, dict) else None
    if not isinstance(handlers, list) or not handlers:
        return False
    return all(isinstance(h, dict) and _OURS.search(str(h.get("command"))) for h in handlers)
