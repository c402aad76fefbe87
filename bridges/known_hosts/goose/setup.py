"""Goose: a plugin folder with hooks, and our server among its extensions."""

import json

from bridges.known_hosts import by_hand
from bridges.known_hosts.installation import PLUGIN, Installation, Setup


def installation(setup: Setup) -> Installation:
    server = setup.server
    lines = [
        "extensions:",
        "  ipc:",
        "    type: stdio",
        "    name: ipc",
        "    enabled: true",
        f"    cmd: {json.dumps(server['command'])}",
        f"    args: {json.dumps(server['args'])}",
        f"    envs: {json.dumps(server['env'])}",
        "    timeout: 300",
    ]
    return setup.made(
        folder=(setup.project if setup.scope == "project" else setup.user) / ".agents/plugins" / PLUGIN,
        files=setup.files("plugin.json", "hooks/hooks.json"),
        edits=[by_hand.shown(setup.user / ".config/goose/config.yaml", "\n".join(lines) + "\n")],
    )
