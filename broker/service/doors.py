"""The processes that the supervisor runs beside the broker.

To add a door: a folder in ``bridges/`` whose ``__main__`` calls ``broker.service.door_process.run_door``, and a row here.
A door whose package is not installed is left out.
"""

from collections.abc import Callable
from typing import NamedTuple

from broker.home.paths import mcp_socket


class DoorRow(NamedTuple):
    """``python -m MODULE --supervised``."""

    module: str
    setting: str = ""
    """The door runs only where this setting has a value; empty: always."""
    socket_of: Callable[[str], str] | None = None
    """A door on demand: the path of its Unix socket, made of the data folder's path.

    The first connection starts it, with ``--serve --listening FD``, and it may end when idle.
    """


DOORS = (
    DoorRow("bridges.tcp"),
    DoorRow("bridges.remote", setting="remote"),
    DoorRow("bridges.mcp", socket_of=mcp_socket),
)
