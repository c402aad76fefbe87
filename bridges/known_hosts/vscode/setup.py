"""VS Code: a file of hooks and our server, both of the project."""

from bridges.known_hosts import by_hand
from bridges.known_hosts.installation import Installation, Setup


def installation(setup: Setup) -> Installation:
    server = {"ipc": {"type": "stdio", **setup.server}}
    return setup.made(
        edits=[
            by_hand.added(setup.project / ".github/hooks/agent-ipc-vscode.json", setup.json("hooks.json")),
            by_hand.added(setup.project / ".vscode/mcp.json", {"servers": server}),
        ]
    )
