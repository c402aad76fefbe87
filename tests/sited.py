"""A service that belongs to a site, and other sites as their door tells of them: by the owner's requests, without a network."""

import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from broker.client.sync import Connection
from broker.home.files import owner_key
from tests.conftest import Service


@contextmanager
def sited_service(site: str = "paris", **environment: str) -> Iterator[Service]:
    with tempfile.TemporaryDirectory(prefix="ipc-") as folder:
        service = Service(Path(folder), IPC_SITE=site, **environment)
        try:
            yield service.start()
        finally:
            service.stop()


class Elsewhere:
    """Other sites. What they send arrives in order, once each."""

    def __init__(self, service: Service) -> None:
        self._connection = Connection(service.settings)
        self.owner = owner_key(service.settings.home)
        self._lease = self._ask("link_open", carrier="test")["lease"]
        self._epoch = f"{time.time_ns():016x}"
        """Each site's, greater than that of the test before, which had the same service."""
        self._sent: Counter[str] = Counter()

    def _ask(self, action: str, **fields: Any) -> dict[str, Any]:
        return self._connection.request(action, session_token=self.owner, **fields)

    def tell(self, **told: Any) -> None:
        """What is known of other sites, as ``link_told`` takes it."""
        self._ask("link_told", lease=self._lease, **told)

    def exist(self, *sites: str) -> None:
        self.tell(connected=True, keys={site: {"n": 1, "key": "00" * 32} for site in sites})

    def take(self) -> list[dict[str, Any]]:
        """What this site has sent since the last time."""
        rows: list[dict[str, Any]] = self._ask("link_take", lease=self._lease)["rows"]
        return rows

    def send(self, address: str, to: str, content: str, **fields: Any) -> None:
        """Mail from an address to a name here."""
        name, _, site = address.partition("@")
        self._sent[site] += 1
        seq = self._sent[site]
        body = {"k": "mail", "to": [to], "from": name, "number": seq, "content": content, "land": "tool", "at": time.time()}
        entry = {
            "from": site,
            "epoch": self._epoch,
            "seq": seq,
            "uid": f"{seq:x}-{self._epoch}",
            "prev": f"{seq - 1:x}-{self._epoch}" if seq > 1 else "",
            "low": 1,
            "redo": 0,
            "at": seq,
        }
        entries = [{**entry, "body": {**body, **fields}}]
        cursor = self._sent.total()
        self._ask("link_arrived", lease=self._lease, stream="in", born=self._epoch, cursor=cursor, entries=entries)

    def close(self) -> None:
        self._connection.close()
