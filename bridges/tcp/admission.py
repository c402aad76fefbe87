"""Who may connect to the port: which OS user, and how many connections at once."""

import socket
from typing import Protocol

from bridges.peers import PeerProcess, Peers
from broker.home.logs import Log
from broker.home.settings import Settings
from broker.protocol.errors import IpcError

NOBODY_KNOWN = (
    "who connects can't be told on this system, so nobody registers at the port without a shared secret: set IPC_SHARED_SECRET"
)


class Candidate(Protocol):
    """A connection, as far as it is counted here."""

    def drop(self) -> None: ...

    def give_way(self) -> None:
        """Tell why, and end: another connection needs the place."""


class Admission:
    """The open connections. Each is judged once, when it is accepted.

    A connection that has shown no valid token is unproven. Where all places are taken, the oldest unproven one gives its place
    to the next that comes, so nobody can fill the port without a token.

    Without a shared secret the port serves this OS user alone: another user is refused at once, and a client whose user can't
    be told may not register. With a shared secret the proof decides; beyond loopback there must be one (``check_binding``).
    """

    def __init__(self, settings: Settings, log: Log) -> None:
        self._settings = settings
        self._log = log
        self._peers = Peers()
        self._clients: dict[Candidate, None] = {}
        self._unproven: dict[Candidate, None] = {}
        """The oldest first."""

    @property
    def warning(self) -> str | None:
        """A sentence for the owner of the service where this system does not tell who connects."""
        return None if self._peers.knows or self._settings.shared_secret else NOBODY_KNOWN

    def admit(self, client: Candidate, connected: socket.socket) -> PeerProcess:
        """Count a connection in and say whose it is. Raises IpcError."""
        if len(self._clients) >= self._settings.connection_limit:
            oldest = next(iter(self._unproven), None)
            if oldest is None:
                raise self.no_place()
            self.leave(oldest)
            oldest.give_way()
        self._clients[client] = self._unproven[client] = None
        peer = self._peers(connected)
        if peer.verdict == "foreign" and not self._settings.shared_secret:
            self._log.refusal("user_refused", uid=peer.uid)
            raise IpcError("forbidden_user")
        return peer

    def has_left(self, connected: socket.socket, peer: PeerProcess) -> bool:
        """True where a client of this machine has closed its socket, and not only ended its sending side."""
        return peer.verdict != "unknown" and self._peers(connected).verdict == "unknown"

    def check_register(self, peer: PeerProcess) -> None:
        """Raise IpcError for a client that may not take a name at the port."""
        if peer.verdict == "unknown" and not self._settings.shared_secret:
            self._log.refusal("user_refused", uid=None)
            raise IpcError("unknown_user")

    def no_place(self) -> IpcError:
        return IpcError("too_many_connections", limit=self._settings.connection_limit)

    def prove(self, client: Candidate) -> None:
        """Note that a connection has shown a valid token."""
        self._unproven.pop(client, None)

    def leave(self, client: Candidate) -> None:
        self._clients.pop(client, None)
        self._unproven.pop(client, None)

    def drop(self) -> None:
        """End all connections without a word; their clients ask the next door."""
        for client in list(self._clients):
            client.drop()
