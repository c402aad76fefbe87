"""All mail of the service, the oldest first, read page by page by the owner's key. Large bodies are read from their files."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from broker.client.sync import Connection
from broker.home.files import owner_key
from broker.home.message_files import original
from broker.home.settings import Settings
from broker.protocol.errors import RemoteError
from broker.service.launcher import ensure_running

Ask = Callable[[list[dict[str, Any]]], list[dict[str, Any]]]
"""Makes requests as the owner, and returns their replies in order."""
_ORIGIN = b"agent-ipc export\n"
_WAIT_S = 120.0


class ExportedMail:
    """One pass over the mail that is there when it begins. Counts what it gives, and the bodies whose files are gone."""

    def __init__(self, ask: Ask, fields: dict[str, Any], tell: Callable[[str, int, int], None]) -> None:
        self._ask = ask
        self._fields = fields
        self._tell = tell
        self.count = self.missing = 0

    def __iter__(self) -> Iterator[dict[str, Any]]:
        after, last, more = "0", None, True
        while more:
            (page,) = self._ask([{"action": "export", **self._fields, "after": after}])
            if page["status"] != "ok":
                raise RemoteError(page)
            last = int(page["last"]) if last is None else last
            for row in page["messages"]:
                if int(row["id"]) > last:  # it came since
                    return
                self.count += 1
                yield self._whole(row)
            more = page["more"]
            after = page.get("next", after)
            self._tell("exporting", min(int(after), last), last)

    def _whole(self, row: dict[str, Any]) -> dict[str, Any]:
        """The row with its whole text. Where a large text's file is gone, or is not what was stored, it says so."""
        file = row.get("file")
        if file is not None:
            path = file.pop("path")
            found = None if path is None else original(path, file["sha256"])
            if found is None:
                self.missing += 1
                row["missing"] = True
            else:
                row["message"]["content"] = found.decode()
        return row


@contextmanager
def asking(settings: Settings) -> Iterator[Ask]:
    """A connection to the service, which is started if it does not run, as the owner of its data folder."""
    ensure_running(settings)
    key, connection = owner_key(settings.home), Connection(settings, door="cli")
    try:
        yield lambda bodies: connection.request_many([{**body, "session_token": key} for body in bodies], timeout_s=_WAIT_S)
    finally:
        connection.close()


def origin_of(settings: Settings) -> str:
    """Tells the mail of this data folder from that of others, so that a second import finds what it has. No secret."""
    return hashlib.sha256(_ORIGIN + owner_key(settings.home).encode()).hexdigest()[:16]
