"""The private Unix socket of the door: ``door.sock``, mode 0600, in the run folder of mode 0700."""

import contextlib
import os
import socket
from collections.abc import Callable

from bridges.tcp.stream import Listener, StreamOwner
from broker.home.files import clear_socket, lock
from broker.home.logs import Log
from broker.home.paths import door_socket
from broker.home.settings import Settings
from broker.home.watched_files import Ground


class PrivateSocket:
    """Listens there if it can; if not, the port is served all the same. Use it as a context manager.

    A lock says whose socket it is, so a file that is there when the lock is free is a dead door's and is replaced.
    """

    def __init__(self, settings: Settings, log: Log, ground: Ground, make_owner: Callable[[], StreamOwner]) -> None:
        self._settings = settings
        self._make_owner = make_owner
        self._locks = contextlib.ExitStack()
        self._listener: Listener | None = None
        path, held = door_socket(str(settings.home)), settings.home / "run" / "door.lock"
        try:
            self._hold()
            self._listen()
        except OSError as e:
            log.error("socket_cannot_listen", path=path, detail=str(e))
        else:
            ground.keep(held, self._hold)
            ground.keep(path, self._listen)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        if self._listener is not None:
            self._listener.close()
        self._locks.close()

    def _hold(self) -> None:
        if not self._locks.enter_context(lock(self._settings.home / "run" / "door.lock")):
            raise OSError("another door has it")

    def _listen(self) -> None:
        """Bind, or bind again; connections go on. Raises OSError."""
        listening = _bind(self._settings)
        if self._listener is not None:
            self._listener.close()
        self._listener = Listener([listening], self._make_owner)


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
