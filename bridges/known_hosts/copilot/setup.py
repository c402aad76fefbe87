"""Copilot CLI: a server in mcp-config.json, a file of hooks, and an extension, which runs with --experimental only.

A project's are in .github, where the host takes them once the folder is trusted.
"""

import json

from bridges.known_hosts import json_entries
from bridges.known_hosts.allowed_tools import ALLOWED
from bridges.known_hosts.installation import PLUGIN, Installation, Setup


def installation(setup: Setup) -> Installation:
    project = setup.scope == "project"
    config = setup.project / ".github" if project else setup.config(".copilot", "COPILOT_HOME")
    server = {"type": "local", **setup.server, "tools": ["*"]}
    servers = config / ("mcp.json" if project else "mcp-config.json")
    extension = setup.file("extension.mjs").replace('"@APPROVALS@"', json.dumps(setup.options.approvals))
    return setup.made(
        folder=config / "extensions" / PLUGIN,
        files={"extension.mjs": extension},
        edits=[
            setup.entries(servers, server=server, hooks={}),
            setup.own_file(config / "hooks" / f"{PLUGIN}.json", _hooks(setup), mark=" hook copilot "),
        ],
    )


def _hooks(setup: Setup) -> str:
    whole = setup.json("hooks.json")
    if setup.options.claims:
        json_entries.merge(whole["hooks"], setup.json("claims.json"))
    if setup.options.allow:
        json_entries.merge(whole["hooks"], allowing_hooks())
    return json.dumps(whole, indent=2) + "\n"


def allowing_hooks() -> json_entries.Hooks:
    """A hook that allows our tools. It starts no program of ours. The host matches the whole name."""
    answer = json.dumps({"permissionDecision": "allow"})
    return {"preToolUse": [{"type": "command", "matcher": f"ipc-({'|'.join(ALLOWED)})", "bash": f"echo '{answer}'"}]}
