"""The processes that the supervisor runs beside the broker.

To add a door: a folder in ``bridges/`` whose ``__main__`` calls ``broker.service.door_process.run_door``, and a row here.
A door whose package is not installed is left out.
"""

from __future__ import annotations

from broker.home.paths import mcp_socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class DoorRow:
    """``python -m MODULE --supervised``."""

    def __init__(self, module: str, setting: str = "", socket_of: Callable[[str], str] | None = None) -> None:
        self.module = module
        self.setting = setting
        """The door runs only where this setting has a value; empty: always."""
        self.socket_of = socket_of
        """A door on demand: the path of its Unix socket, made of the data folder's path.

        The first connection starts it, with ``--serve --listening FD``, and it may end when idle.
        """


DOORS = (
    DoorRow("bridges.tcp"),
    DoorRow("bridges.remote", setting="remote"),
    DoorRow("bridges.nats", setting="nats"),
    DoorRow("bridges.web", setting="web"),
    DoorRow("bridges.answers", setting="answers"),
    DoorRow("bridges.notify", setting="notify"),
    DoorRow("bridges.resume", setting="resume"),
    DoorRow("bridges.mcp", socket_of=mcp_socket),
)
