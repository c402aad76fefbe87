"""Which broker a client speaks to, and by which way: what the synchronous and the asyncio client decide alike."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from broker.client.links import Way
from broker.home.endpoints import endpoint
from broker.home.paths import wire_socket
from broker.home.settings import Settings
from broker.service.launcher import ensure_running

if TYPE_CHECKING:
    from broker.client.keyfile import KeyFile
    from broker.client.zeromq_link import Handshakes


class BrokerAddress:
    """This machine's broker, or with a key file (``settings.key_file`` unless given) that of another one.

    Raises SettingsError for a key file that can't be used.
    """

    def __init__(self, settings: Settings, key_file: str | None, way: Way, autostart: bool) -> None:
        path = settings.key_file if key_file is None else key_file
        self._settings = settings
        self._key = _key_file(path) if path else None
        self._way = way
        self._autostart = autostart
        self._handshakes: Handshakes | None = None

    @property
    def is_remote(self) -> bool:
        """Whether the broker is another machine's."""
        return self._key is not None

    def find(self, unstarted: Callable[[Settings], None]) -> None:
        """Return once the broker can be reached. ``unstarted`` looks for one that may not be started. Raises IpcError."""
        if self._key is not None:
            self._key.wait_until_reachable()
        elif self._autostart:
            ensure_running(self._settings)
        else:
            unstarted(self._settings)

    def unix_socket(self) -> str | None:
        """The path of the Unix socket to try before ZeroMQ; a broker of version 0.3 may have none there."""
        first = self._way == "unix" and self._key is None and not self._settings.endpoint
        return wire_socket(str(self._settings.home)) if first else None

    def zeromq(self) -> "tuple[str, Handshakes]":
        """The ZeroMQ endpoint, and what the monitors of this client's sockets have told."""
        from broker.client.zeromq_link import Handshakes  # whose import costs 30 ms

        if self._handshakes is None:
            self._handshakes = Handshakes(self._key)
        return endpoint(self._settings) if self._key is None else self._key.endpoint, self._handshakes


def _key_file(path: str) -> "KeyFile":
    from broker.client.keyfile import KeyFile  # with dataclasses and keys, for those who have one

    return KeyFile.load(path)
