"""Kiro CLI: a file of hooks of the project, and our server in its MCP settings."""

from bridges.known_hosts import by_hand
from bridges.known_hosts.allowed_tools import ALLOWED
from bridges.known_hosts.installation import Installation, Setup


def installation(setup: Setup) -> Installation:
    server = {**setup.server, "autoApprove": list(ALLOWED)} if setup.options.allow else setup.server
    return setup.made(
        edits=[
            by_hand.added(setup.project / ".kiro/hooks/agent-ipc.json", setup.json("hooks.json")),
            by_hand.added(setup.config(".kiro") / "settings/mcp.json", {"mcpServers": {"ipc": server}}),
        ]
    )
