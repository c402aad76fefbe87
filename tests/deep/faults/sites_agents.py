"""An agent at one site that writes to those of the others, as much as has been released, and reads."""

import threading
import time
from collections.abc import Callable
from itertools import cycle, islice
from typing import Any

from broker.client.sync import Client, Connection
from broker.protocol.errors import IpcError
from broker.protocol.ids import new_message_id
from tests.deep.faults.agents import Agent, ClientDoor, Down
from tests.deep.faults.history import History

PATIENCE_S = 60.0
"""A request is made again for so long, with its ids; the broker is back long before."""
_PAUSE_S = 0.03
_BATCH, _PAGE = 25, 500


class Correspondent(Agent):
    """``address`` is its name in the history, ``ann@paris``; ``client`` and ``connection`` lead to its broker."""

    def __init__(
        self, address: str, client: Client, connection: Connection, history: History, released: Callable[[], int], seed: str
    ) -> None:
        super().__init__(address, ClientDoor(client), history, f"{seed}-{address}")
        self.sent = 0
        self.turn = threading.Lock()
        """Whoever has it, the agent is at rest: nothing it asked is open, and what it got is acknowledged."""
        self._client, self._connection, self._released = client, connection, released
        site = address.partition("@")[2]
        self._peers = cycle([name for name in history.names if not name.endswith(f"@{site}")])

    def run(self) -> None:
        try:
            while not self.stopping.wait(_PAUSE_S):
                with self.turn:
                    self.write(min(_BATCH, self._released() - self.sent))
                    self.check(limit=_PAGE)
        except BaseException as e:  # seen by whoever joins this thread
            self.error = e

    def write(self, count: int) -> None:
        """The broker takes them in this order, each once, however often it dies over it."""
        bodies: dict[str, dict[str, Any]] = {}
        for to in islice(self._peers, count):
            key, text = self.history.begin(self.name, to, "x" * self.random.randrange(300))
            named = {"message_id": new_message_id(), "session_token": self._client.token}
            bodies[key] = {"action": "send", "to_id": to, "message": {"content": text}, **named}
        for key, reply in zip(bodies, self._insist_on(list(bodies.values())), strict=True):
            assert reply["status"] == "ok", reply
            self.history.end(key, "ok")
        self.sent += len(bodies)

    def _insist_on(self, bodies: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """A broker that was killed often in a row is started after a pause, for which its clients do not wait by themselves."""
        end_s = time.monotonic() + PATIENCE_S
        while bodies:
            try:
                return self._connection.request_many(bodies, timeout_s=PATIENCE_S)
            except IpcError as e:
                if e.code != "unavailable" or time.monotonic() > end_s:
                    raise
        return []

    def ack(self, ids: list[str]) -> None:
        """Ask until it is confirmed."""
        end_s = time.monotonic() + PATIENCE_S
        while True:
            try:
                reply = self.door.ask({"action": "ack", "ids": ids})
            except Down:
                assert time.monotonic() < end_s, "no acknowledgement was confirmed"
                continue
            assert reply["status"] == "ok", reply
            self.history.acked(self.name, ids)
            return
