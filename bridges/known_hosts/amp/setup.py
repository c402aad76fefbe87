"""Amp: a plugin file, and our server in its settings."""

from bridges.known_hosts import by_hand
from bridges.known_hosts.installation import PLUGIN, Installation, Setup


def installation(setup: Setup) -> Installation:
    user = setup.user / ".config/amp"
    plugins = (setup.project / ".amp" if setup.scope == "project" else user) / "plugins"
    return setup.made(
        edits=[
            by_hand.shown(plugins / f"{PLUGIN}.ts", setup.file("agent-ipc.ts")),
            by_hand.added(user / "settings.json", {"amp.mcpServers": {"ipc": setup.server}}),
        ]
    )
