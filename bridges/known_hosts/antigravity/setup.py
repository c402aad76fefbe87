"""Antigravity CLI: a named hook in hooks.json, and our server in mcp_config.json."""

from bridges.known_hosts import by_hand
from bridges.known_hosts.installation import Installation, Setup


def installation(setup: Setup) -> Installation:
    config = setup.user / ".gemini/config"
    hooks = setup.project / ".agents" if setup.scope == "project" else config
    return setup.made(
        edits=[
            by_hand.added(hooks / "hooks.json", setup.json("hooks.json")),
            by_hand.added(config / "mcp_config.json", {"mcpServers": {"ipc": setup.server}}),
        ]
    )
