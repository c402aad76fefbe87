"""One plugin folder in two forms of one source: Agent Plugins 1.0 (agent-plugins.org) and Claude Code's.

A program that knows both takes ``plugin.json`` and ``mcp.json``; Claude Code takes ``.claude-plugin`` and ``.mcp.json``. The
skill is the same file. The 1.0 form has no hooks: mail comes by the tools, and the skill says so.
"""

import json
from pathlib import Path
from typing import Any

from bridges.known_hosts.installation import PLUGIN
from broker.version import VERSION

SKILL = "skills/agent-mail/SKILL.md"
_FILES = Path(__file__).with_name("files")
_SCHEMA = "https://agent-plugins.org/schemas/1.0.0/{}.schema.json"
_DESCRIPTION = "Mail between AI agents on this machine: other hosts, sleeping and unborn agents, threads, claims"
_MANIFEST = {
    "name": PLUGIN,
    "version": VERSION,
    "description": _DESCRIPTION,
    "author": {"name": PLUGIN},
    "license": "MIT",
}


def both_forms(server: dict[str, Any]) -> dict[str, str]:
    """The files by their names: of an MCP server with ``command`` (an absolute path), ``args`` and ``env``."""
    # 1.0 takes no absolute path as the command, but a bare name that is searched for
    portable = {"type": "stdio", "command": "env", "args": [server["command"], *server["args"]], "env": server["env"]}
    return {
        "plugin.json": _text({"$schema": _SCHEMA.format("plugin"), **_MANIFEST}),
        "mcp.json": _text({"$schema": _SCHEMA.format("mcp"), "mcpServers": {"ipc": portable}}),
        ".claude-plugin/plugin.json": _text({**_MANIFEST, "channels": [{"server": "ipc"}]}),
        ".mcp.json": _text({"mcpServers": {"ipc": server}}),
        **guide(),
    }


def guide() -> dict[str, str]:
    """The skill alone, for hosts that have a form of folder of their own."""
    return {SKILL: (_FILES / SKILL).read_text(encoding="utf-8")}


def marketplaces() -> dict[str, str]:
    """Files that make the folder a marketplace of one plugin, for programs that install from those alone.

    There is none in ``.claude-plugin``: a program that finds one there asks which plugin is meant.
    """
    plugin = {"name": PLUGIN, "source": "./", "description": _DESCRIPTION}
    listed = _text({"name": PLUGIN, "description": _DESCRIPTION, "owner": {"name": PLUGIN}, "plugins": [plugin]})
    return {f"{folder}/marketplace.json": listed for folder in (".agents/plugins", ".github/plugin")}


def _text(value: dict[str, Any]) -> str:
    return json.dumps(value, indent=2) + "\n"
