"""What the core asks of a store. ``broker.store`` keeps it in SQLite; a simulation can keep it in a dict."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from broker.core.state import Forward, Mailbox, Session


class StoreError(Exception):
    """A write failed and the whole transaction is rolled back."""


class StoreFull(StoreError):
    """No room, no permission or no disk: writing can't work now, reading may."""


class IdConflict(StoreError):
    """A sender's message id is stored already; the batch must look its ids up."""


@dataclass(frozen=True, slots=True)
class LargeFile:
    """A body kept as a markdown file. ``size_bytes`` and ``sha256`` are of the content as UTF-8."""

    path: str
    size_bytes: int
    sha256: str


class NewMessage(NamedTuple):
    """One row of the message table, in the table's column order."""

    id: int
    sender_id: int
    sender: str
    client_id: str | None
    created_s: float
    expires_s: float
    """When it is swept if nobody has read it."""
    content: str
    data: bytes | None
    """MessagePack of the message's data."""
    outcome: str | None
    """The reply's sentence, kept for a retry; None stands for the usual one."""
    copies: int
    """Deliveries not yet swept; the message goes with the last of them."""
    file_path: str | None
    file_size: int | None
    file_sha256: str | None


class Mail(NamedTuple):
    """One message as fetched for a mailbox."""

    id: int
    attempts: int
    sender: str
    created_s: float
    content: str
    data: bytes | None
    file_path: str | None
    file_size: int | None
    file_sha256: str | None


class Sent(NamedTuple):
    """What is remembered of an earlier send with the same id."""

    id: int
    created_s: float
    outcome: str | None
    copies: int


class Store(Protocol):
    """Writes are gathered and become durable together at ``commit``; a read sees the writes before it."""

    def add_message(self, message: NewMessage, mailbox_ids: Iterable[int]) -> None: ...
    def find_sent(self, sender_id: int, client_id: str) -> Sent | None: ...
    def forget_client_id(self, message_id: int) -> None: ...
    def fetch(self, mailbox_id: int, ids: list[int], after: int, now_s: float) -> Iterator[Mail]: ...
    def mark_delivered(self, mailbox_id: int, ids: list[int]) -> None: ...
    def waiting(self, mailbox_id: int, ids: list[int]) -> list[int]: ...
    def mark_read(self, mailbox_id: int, ids: list[int], now_s: float) -> None: ...
    def queued_ids(self, mailbox_id: int) -> list[int]: ...
    def move_mail(self, from_mailbox_id: int, to_mailbox_id: int) -> None: ...
    def save_mailbox(self, mailbox: Mailbox) -> None: ...
    def drop_mailbox(self, mailbox_id: int) -> None: ...
    def save_session(self, session: Session) -> None: ...
    def drop_session(self, token_hash: bytes) -> None: ...
    def save_forward(self, name: str, forward: Forward) -> None: ...
    def drop_forward(self, name: str) -> None: ...
    def write_large(self, sender: str, recipient: str, created_s: float, message_id: int, content: str) -> LargeFile: ...
    def remove_file(self, path: str) -> None: ...
    def savepoint(self) -> Any: ...
    def restore(self, savepoint: Any) -> None: ...
    def commit(self, *, marks: bool = True) -> None: ...
    def rollback(self) -> None: ...
    def stats(self) -> dict[str, Any]: ...
