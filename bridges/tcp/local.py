"""The private Unix socket of the door: ``door.sock``, mode 0600, in the run folder of mode 0700."""

import contextlib
import os
import socket
from collections.abc import Iterator

from broker.logs import Log
from broker.place import door_socket
from broker.runtime import clear_socket, lock
from broker.settings import Settings


@contextlib.contextmanager
def private_socket(settings: Settings, log: Log) -> Iterator[socket.socket | None]:
    """The bound socket, or None where it can't be had: the port is served all the same.

    A lock says whose socket it is, so a file that is there when the lock is free is a dead door's and is replaced.
    """
    with contextlib.ExitStack() as held:
        try:
            mine = held.enter_context(lock(settings.home / "run" / "door.lock"))
            listening = _bind(settings) if mine else None
        except OSError as e:
            log.error("socket_cannot_listen", path=door_socket(str(settings.home)), detail=str(e))
            listening = None
        else:
            if not mine:
                log.error("socket_cannot_listen", path=door_socket(str(settings.home)), detail="another door has it")
        yield listening


def _bind(settings: Settings) -> socket.socket:
    path = door_socket(str(settings.home))
    clear_socket(settings, path)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listening.bind(path)
        os.chmod(path, 0o600)
    except OSError:
        listening.close()
        raise
    return listening
