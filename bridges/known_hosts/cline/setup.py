"""Cline CLI: a plugin folder, and our server in its MCP settings. A project has no such settings, so there: the plugin."""

import json
import os
from pathlib import Path

from bridges.known_hosts.allowed_tools import ALLOWED
from bridges.known_hosts.installation import PLUGIN, Installation, Setup


def installation(setup: Setup) -> Installation:
    config = setup.config(".cline", "CLINE_DIR")
    allowed = [f"ipc__{tool}" for tool in ALLOWED] if setup.options.allow else []
    code = setup.file("index.js").replace('"@CLAIMS@"', json.dumps(setup.options.claims))
    data = os.environ.get("CLINE_DATA_DIR") or config / "data"
    servers = Path(os.environ.get("CLINE_MCP_SETTINGS_PATH") or Path(data) / "settings/cline_mcp_settings.json")
    return setup.made(
        folder=config / "plugins" / PLUGIN,
        files={"index.js": code.replace('"@ALLOWED@"', json.dumps(allowed))},
        edits=[setup.entries(servers, server=setup.server, hooks={})] if setup.scope == "user" else [],
    )
