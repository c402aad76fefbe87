"""Who may come in: of which OS user, and how many at once."""

import socket
from typing import Protocol

from bridges.tcp.peer import PeerProcess, Peers, unix_peer
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
        """End, since another needs the place."""


class Admission:
    """The connections that are in. Each is judged once, when it comes: the verdict is the connection's.

    One that has never shown a valid token is unproven. Where all places are taken, the oldest of those gives its place to
    the next that comes, so nobody can fill the port without a token.

    Without a shared secret the port is for this OS user alone: a foreign one is refused at once, and who can't be told
    must not register. With one the secret decides. It is the only way in beyond loopback (``check_binding``).
    """

    def __init__(self, settings: Settings, log: Log) -> None:
        self._settings = settings
        self._log = log
        self._peers = Peers()
        self._clients: tuple[dict[Candidate, None], dict[Candidate, None]] = ({}, {})
        """Of the port, of the private socket."""
        self._unproven: tuple[dict[Candidate, None], dict[Candidate, None]] = ({}, {})
        """The oldest first."""

    @property
    def warning(self) -> str | None:
        """What whoever runs the service must know of this system."""
        return None if self._peers.knows or self._settings.shared_secret else NOBODY_KNOWN

    def admit(self, client: Candidate, connected: socket.socket, *, private: bool) -> PeerProcess:
        """Count a connection in and say whose it is. Those of the port can't shut out our own programs. Raises IpcError."""
        kind, unproven = self._clients[private], self._unproven[private]
        if len(kind) >= self._settings.connection_limit:
            oldest = next(iter(unproven), None)
            if oldest is None:
                raise self.no_place()
            self.leave(oldest)
            oldest.give_way()
        kind[client] = unproven[client] = None
        peer = unix_peer(connected) if private else self._peers(connected)
        if peer.verdict == "foreign" and (private or not self._settings.shared_secret):
            self._log.refusal("user_refused", uid=peer.uid)
            raise IpcError("forbidden_user")
        return peer

    def check_register(self, peer: PeerProcess) -> None:
        """Raises IpcError for who may not take a name at the port."""
        if peer.verdict == "unknown" and not self._settings.shared_secret:
            self._log.refusal("user_refused", uid=None)
            raise IpcError("unknown_user")

    def no_place(self) -> IpcError:
        return IpcError("too_many_connections", limit=self._settings.connection_limit)

    def prove(self, client: Candidate, *, private: bool) -> None:
        """It has shown a valid token."""
        self._unproven[private].pop(client, None)

    def leave(self, client: Candidate) -> None:
        for kind in (*self._clients, *self._unproven):
            kind.pop(client, None)

    def drop(self) -> None:
        """End all connections, without a word: their clients ask the next door."""
        for kind in self._clients:
            for client in list(kind):
                client.drop()
