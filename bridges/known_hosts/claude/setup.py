"""Claude Code: a plugin folder in ``skills/`` of the configuration, loaded by itself as agent-ipc@skills-dir.

A project's is loaded after the folder is trusted; its monitor is not armed.
"""

import json
import os

from bridges.known_hosts import json_entries
from bridges.known_hosts.allowed_tools import ALLOWED
from bridges.known_hosts.installation import PLUGIN, Installation, Setup
from bridges.known_hosts.plugin_folder import both_forms

_REASON = "allowed at ipc install claude; ipc install claude --no-allow takes it back"


def installation(setup: Setup) -> Installation:
    # where Claude Code keeps its servers, and where earlier versions of ours put theirs
    moved = os.environ.get("CLAUDE_CONFIG_DIR")
    old = setup.config(".claude", "CLAUDE_CONFIG_DIR") / ".claude.json" if moved else setup.user / ".claude.json"
    return setup.made(
        folder=setup.config(".claude", "CLAUDE_CONFIG_DIR") / "skills" / PLUGIN,
        files=_files(setup),
        retired=[setup.without_server(old if setup.scope == "user" else setup.project / ".mcp.json")],
    )


def _files(setup: Setup) -> dict[str, str]:
    options = setup.options
    monitors = ["monitors/monitors.json"] if setup.scope == "user" else []
    files = {**both_forms(setup.server), **setup.files("hooks/hooks.json", *monitors)}
    more = [n for n, wanted in (("claims", options.claims), ("rewake", options.rewake)) if wanted]
    if more or options.allow or options.approvals:
        hooks = json.loads(files["hooks/hooks.json"])
        for name in more:
            json_entries.merge(hooks["hooks"], setup.json(f"hooks/{name}.json"))
        if options.allow:
            json_entries.merge(hooks["hooks"], allowing_hooks())
        if options.approvals:  # in place of the one that only reports prompts
            hooks["hooks"] |= setup.json("hooks/approvals.json")
        files["hooks/hooks.json"] = json.dumps(hooks, indent=2) + "\n"
    return files


def allowing_hooks() -> json_entries.Hooks:
    """A hook of the plugin that allows our tools. It starts no program of ours."""
    answer = {
        "hookSpecificOutput": {
            "hookEventName": "PreToolUse",
            "permissionDecision": "allow",
            "permissionDecisionReason": _REASON,
        }
    }
    matcher = f"^mcp__plugin_agent-ipc_ipc__({'|'.join(ALLOWED)})$"
    return {"PreToolUse": [{"matcher": matcher, "hooks": [{"type": "command", "command": f"echo '{json.dumps(answer)}'"}]}]}
