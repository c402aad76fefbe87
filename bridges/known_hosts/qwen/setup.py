"""Qwen Code: an extension folder. A project has no extensions, so there: entries in its settings.json.

The host also takes Claude Code's plugin folder (``qwen extensions install``), but copies it and rewrites it. A folder that is
put into its place is loaded as it is, and the settings, which the host writes anew at each start, stay untouched.
"""

import json
from typing import Any

from bridges.known_hosts import json_entries
from bridges.known_hosts.allowed_tools import ASKED
from bridges.known_hosts.installation import PLUGIN, Installation, Setup
from bridges.known_hosts.plugin_folder import guide

_EXTENSION, _HOOKS = "qwen-extension.json", "hooks/hooks.json"


def installation(setup: Setup) -> Installation:
    config = setup.config(".qwen", "QWEN_HOME")
    server = {**setup.server, **(trusted() if setup.options.allow else {})}
    hooks = setup.json(_HOOKS)
    if setup.options.claims:
        json_entries.merge(hooks["hooks"], setup.json("hooks/claims.json"))
    if setup.options.approvals:  # in place of the one that only reports prompts
        hooks["hooks"] |= setup.json("hooks/approvals.json")
    if setup.scope == "project":
        return setup.made(edits=[setup.entries(config / "settings.json", server=server, hooks=hooks["hooks"])])
    extension = {**setup.json(_EXTENSION), "mcpServers": {"ipc": server}}
    files = {_EXTENSION: _text(extension), _HOOKS: _text(hooks), **guide()}
    return setup.made(folder=config / "extensions" / PLUGIN, files=files)


def trusted() -> dict[str, Any]:
    """What lets the host call our tools without asking: all of a server's or none, so the others are not offered."""
    return {"trust": True, "excludeTools": list(ASKED)}


def _text(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=2) + "\n"
