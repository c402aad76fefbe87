"""Cursor CLI: hooks.json and mcp.json."""

from bridges.known_hosts import by_hand
from bridges.known_hosts.installation import Installation, Setup


def installation(setup: Setup) -> Installation:
    config = setup.config(".cursor")
    return setup.made(
        edits=[
            by_hand.added(config / "hooks.json", setup.json("hooks.json")),
            by_hand.added(config / "mcp.json", {"mcpServers": {"ipc": setup.server}}),
        ]
    )
