"""opencode: one plugin file, loaded by itself. It adds our server to the settings that the host has read; none are written."""

import json
import os
from pathlib import Path

from bridges.known_hosts.allowed_tools import ALLOWED, ASKED
from bridges.known_hosts.installation import PLUGIN, Installation, Setup


def installation(setup: Setup) -> Installation:
    allow, moved = setup.options.allow, os.environ.get("XDG_CONFIG_HOME")
    rules = {f"ipc_{tool}": "allow" if tool in ALLOWED else "ask" for tool in (*ALLOWED, *ASKED)} if allow else None
    chosen = {"rules": rules, "claims": setup.options.claims, "approvals": setup.options.approvals}
    plugin = setup.file(f"{PLUGIN}.js").replace('"@CHOSEN@"', json.dumps(chosen))
    user = Path(moved) / "opencode" if moved else setup.user / ".config" / "opencode"
    config = setup.project / ".opencode" if setup.scope == "project" else user
    return setup.made(edits=[setup.own_file(config / "plugins" / f"{PLUGIN}.js", plugin, mark="ipc hook opencode")])
