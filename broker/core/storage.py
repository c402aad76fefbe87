"""What the core asks of a store. ``broker.store`` keeps it in SQLite; a simulation can keep it in a dict."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from broker.core.facts import Activity, AgentWatch, Alarm, Schedule, Step
from broker.core.link_state import Inbound, LinkEntry, Outbound, OutboxRow, SiteKey, StreamPlace
from broker.core.state import Claim, Group, Mailbox, NameForward, Session


class StoreError(Exception):
    """A write failed; the whole transaction is rolled back."""


class StoreFull(StoreError):
    """There is no room, permission or disk to write to. Reading may work."""


class StoreLocked(StoreError):
    """Another program holds the database. Writing works once it lets go; reading works."""


class StoreDamaged(Exception):
    """The database is damaged. The process ends; its next start repairs."""


class StoreGone(Exception):
    """The database file was moved or replaced, so nobody may find what is written to it. The process ends."""


@dataclass(frozen=True, slots=True)
class LargeFile:
    """A body kept as a markdown file. ``size_bytes`` and ``sha256`` are of the content as UTF-8."""

    path: str
    size_bytes: int
    sha256: str


class NewMessage(NamedTuple):
    """The message record: one row of the message table, in the table's column order.

    The model of the table, the INSERTs and the defaults of plain messages are made from it. To add a column: a field with a
    default at the end, and a step in ``broker.store.migrations``.
    """

    id: int
    sender_id: int
    sender: str
    client_id: str | None
    created_s: float
    expires_s: float
    """Unix time at which it is swept if it is unread."""
    content: str
    data: bytes | None = None
    """MessagePack of the message's data."""
    outcome: str | None = None
    """The reply's sentence, kept for a retry; None stands for the usual one."""
    copies: int = 1
    """Deliveries that are not swept yet; the message is swept with the last of them."""
    file_path: str | None = None
    file_size: int | None = None
    file_sha256: str | None = None
    land: int = 1
    """When it may reach its reader: -1 with other mail, 0 at the end of a turn, 1 after a tool call, 2 at once."""
    thread_id: int | None = None
    """The message that began the thread; None where this one did."""
    reply_to: int | None = None
    to_id: int | None = None
    """The recipient's mailbox; None where there are several (then ``extra`` lists them)."""
    brief: int | None = None
    """1 where the sender set an expiry of its own."""
    extra: bytes | None = None
    """MessagePack map of what few messages have: group, question, forwarded, hops, person, supersedes,
    resends, to."""


ORDINARY = (*(name for name in NewMessage._fields if name not in NewMessage._field_defaults), "to_id")
"""The columns that differ among plain texts to one mailbox; the others have their defaults."""


class Delivery(NamedTuple):
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
    land: int
    thread_id: int | None
    reply_to: int | None
    extra: bytes | None
    expires_s: float


class StoredMessage(NamedTuple):
    """A stored message as its sender or reader may look it up again."""

    id: int
    sender_id: int
    sender: str
    created_s: float
    content: str
    data: bytes | None
    file_path: str | None
    file_size: int | None
    file_sha256: str | None
    land: int
    thread_id: int | None
    reply_to: int | None
    extra: bytes | None
    to_id: int | None


class OpenQuestion(NamedTuple):
    """One row of the question table."""

    message_id: int
    asker_id: int
    asked_id: int
    deadline_s: float
    answer_id: int | None


class Filter(NamedTuple):
    """Which archived mail of a mailbox is wanted; None and 0 stand for all."""

    peer_id: int | None = None
    thread_id: int | None = None
    since_s: float = 0.0
    before: int | None = None
    query: str | None = None
    only: int | None = None


class OwnerFilter(NamedTuple):
    """Which mail of everybody is wanted. With ``after`` the oldest come first."""

    thread_id: int | None = None
    group: str | None = None
    since_s: float = 0.0
    before: int = 2**62
    after: int | None = None
    query: str | None = None
    only: int | None = None


class Traffic(NamedTuple):
    """Who wrote to whom since ``since_s`` (Unix time)."""

    pairs: list[tuple[int, str, int | None, int, float]]
    """(sender's mailbox, its name then, recipient's mailbox or None for several, how many, when last), the most first."""
    since_s: float
    hours: list[int]
    """How many messages in each hour, the newest last."""


class Archived(NamedTuple):
    """A message of the archive. ``state`` is out, queued, read, muted or an ending."""

    letter: StoredMessage
    state: str
    snippet: str | None


class Copy(NamedTuple):
    """What is stored of one reader's copy of a message."""

    queued: bool
    """It waits, unread."""
    attempts: int = 0
    """How often it was handed out."""
    at_s: float = 0.0
    """When it was read or ended."""
    muted: bool = False
    ending: str | None = None
    """Of a copy that ended unread: ``expired``, ``refused``, ``withdrawn`` or ``dead``; ``why`` in words."""
    why: str | None = None
    evidence: str | None = None
    """Of a read one: by what that is known; None for a program's acknowledgement."""


class DeadLetter(NamedTuple):
    """A message that ended unread at one reader, and was not withdrawn."""

    receipt_id: int
    mailbox_id: int
    message_id: int
    ended_s: float
    ending: str
    why: str
    name: str
    """The reader's when it ended."""
    sender_id: int
    dropped: int
    """Whose list it is off: 1 its sender's, 2 its reader's."""


class Unread(NamedTuple):
    """What the search for overdue mail needs of an unread message."""

    message_id: int
    sender_id: int
    created_s: float
    expires_s: float
    brief: int | None
    told: bool
    """Its sender was told of it before."""


class Untold(NamedTuple):
    """A message of which its sender is still to be told."""

    message_id: int
    mailbox_id: int
    waits: bool
    """It is unread still."""
    ending: str | None
    why: str | None
    name: str | None
    """The reader's when it ended."""


class Sent(NamedTuple):
    """What is remembered of an earlier send with the same id."""

    id: int
    created_s: float
    outcome: str | None
    copies: int
    expires_s: float


class Store(Protocol):
    """Writes become durable together at ``commit``. A read sees the writes before it."""

    def add_message(self, message: NewMessage, mailbox_ids: Iterable[int]) -> None: ...
    def add_ordinary(self, rows: list[Any], *, ascending: bool) -> None:
        """Messages of one sender as ``ORDINARY`` values each, end to end in one list. Their numbers follow each other.

        Its own ids must be new. ``ascending``: each is above the one before, and the first above all earlier ones.
        """
        ...

    def highest_id(self, sender_id: int) -> str:
        """An id of the sender that is above this one, as texts are ordered, is not stored."""
        ...

    def known_ids(self, sender_id: int, client_ids: list[str]) -> set[str]:
        """Those that are stored."""
        ...

    def find_sent(self, sender_id: int, client_id: str) -> Sent | None: ...
    def forget_client_id(self, sender_id: int, client_id: str, message_id: int) -> None: ...
    def fetch(self, mailbox_id: int, ids: list[int], after: int, now_s: float) -> Iterator[Delivery]: ...
    def mark_delivered(self, mailbox_id: int, ids: list[int]) -> None: ...
    def unmark_delivered(self, mailbox_id: int, ids: list[int]) -> None: ...
    def waiting(self, mailbox_id: int, ids: list[int]) -> list[int]: ...
    def rewrite(self, message_id: int, old: str, new: str) -> None: ...
    def mark_read(self, mailbox_id: int, ids: list[int], now_s: float, evidence: str | None = None) -> None: ...
    def queued_ids(self, mailbox_id: int) -> list[int]: ...
    def move_mail(self, from_mailbox_id: int, to_mailbox_id: int) -> None: ...
    def save_mailbox(self, mailbox: Mailbox) -> None: ...
    def drop_mailbox(self, mailbox_id: int) -> None: ...
    def save_session(self, session: Session) -> None: ...
    def drop_session(self, token_hash: bytes) -> None: ...
    def save_forward(self, name: str, forward: NameForward) -> None: ...
    def drop_forward(self, name: str) -> None: ...
    def write_large(self, sender: str, recipient: str, created_s: float, message_id: int, content: str) -> LargeFile: ...
    def remove_file(self, path: str) -> None: ...
    def read_large(self, path: str | None, sha256: str) -> str | None:
        """The text of a large message; None where its file is gone or not what was stored."""
        ...

    def find_letter(self, message_id: int) -> StoredMessage | None: ...
    def copy_of(self, mailbox_id: int, message_id: int) -> Copy | None: ...
    def file_muted(self, mailbox_id: int, message_id: int, now_s: float) -> None: ...
    def file_past(
        self, mailbox_id: int, message_id: int, now_s: float, evidence: str | None, ending: str | None, why: str | None
    ) -> None:
        """A copy that was read, or ended, before the message came here. It is on nobody's list of dead letters."""
        ...

    def file_nobodys(self, message_id: int, now_s: float) -> None: ...
    def end_mail(self, mailbox_id: int, ids: list[int], ending: str, why: str, now_s: float) -> None: ...
    def was_read(self, mailbox_id: int, message_id: int, now_s: float, evidence: str | None) -> None: ...
    def unread_of(self, mailbox_id: int, ids: list[int]) -> list[Unread]: ...
    def unread_after(self, mailbox_id: int, after: int, limit: int) -> list[Unread]: ...
    def add_untold(self, rows: list[tuple[int, int, int]]) -> None:
        """(sender, message, reader) each."""
        ...

    def untold_of(self, sender_id: int, limit: int) -> list[Untold]: ...
    def drop_untold(self, sender_id: int, rows: list[Untold], steps: list[Step]) -> None:
        """They have been told, durably: these steps are written with it."""
        ...

    def dead_of(self, mailbox_id: int, before: int | None, limit: int) -> list[DeadLetter]: ...
    def dead_rows(self, mailbox_id: int, message_id: int) -> list[DeadLetter]: ...
    def drop_dead(self, receipt_id: int, side: int) -> None: ...
    def senders(self, mailbox_id: int) -> dict[str, int]: ...
    def newest(self, mailbox_id: int) -> int: ...
    def save_question(self, question: OpenQuestion) -> None: ...
    def find_question(self, message_id: int) -> OpenQuestion | None: ...
    def questions_of(self, mailbox_id: int) -> list[OpenQuestion]: ...
    def archive(self, mailbox_id: int, wanted: Filter, limit: int) -> tuple[list[Archived], bool]: ...
    def archive_behind(self) -> int: ...
    def letters_after(self, after: int, limit: int) -> tuple[list[StoredMessage], bool]:
        """All mail with a higher number, the oldest first, and whether there is more."""
        ...

    def letters(self, wanted: OwnerFilter, limit: int) -> tuple[list[Archived], bool]: ...
    def traffic(self, since_s: float, now_s: float, most: int, pairs: int) -> Traffic: ...
    def open_questions(self, after_s: float, limit: int) -> list[tuple[OpenQuestion, StoredMessage]]: ...
    def oldest_unread(self, mailbox_ids: list[int]) -> dict[int, float]: ...
    def count_dead(self, most: int) -> int: ...
    def all_dead(self, before: int, limit: int) -> list[DeadLetter]: ...
    def save_pause(self, key: tuple[int, int], since_s: float | None) -> None: ...
    def late_answers(self) -> dict[tuple[int, int], float]: ...
    def save_group(self, group: Group) -> None: ...
    def drop_group(self, group_id: int) -> None: ...
    def save_keep(self, kind: str, ref: str, keep_s: float | None) -> None: ...
    def save_block(self, mailbox_id: int, sender_id: int, mode: str | None) -> None: ...
    def save_claim(self, claim: Claim) -> None: ...
    def drop_claim(self, claim_id: int) -> None: ...
    def add_steps(self, steps: Iterable[Step]) -> None: ...
    def steps_of(self, message_id: int, mailbox_id: int) -> list[Step]: ...
    def save_activity(self, mailbox_id: int, activity: Activity) -> None: ...
    def save_alarm(self, alarm: Alarm) -> None: ...
    def forget_alarms(self, before_s: float) -> None: ...
    def asked(self, now_s: float) -> set[int]: ...
    def save_agent_watch(self, watch: AgentWatch) -> None: ...
    def drop_agent_watch(self, watch_id: int) -> None: ...
    def add_schedule(self, schedule: Schedule, content: str, data: bytes | None) -> None: ...
    def save_schedule(self, schedule: Schedule) -> None: ...
    def drop_schedule(self, schedule_id: int) -> None: ...
    def scheduled(self, schedule_id: int) -> tuple[str, bytes | None]:
        """The text and the packed data that it sends."""
        ...

    def add_outbox(self, row: OutboxRow) -> None: ...
    def outbox_after(self, site: str, seq: int, limit: int) -> list[OutboxRow]: ...
    def outbox_rows(self, site: str, seqs: list[int]) -> list[OutboxRow]: ...
    def outbox_of(self, message_id: int) -> list[OutboxRow]: ...
    def outbox_size(self, site: str) -> tuple[int, int, int | None]: ...
    def take_back(self, site: str, message_id: int, body: bytes) -> None: ...
    def published_upto(self, site: str) -> tuple[int, list[int]]: ...
    def note_taken(self, site: str, seqs: list[int]) -> None: ...
    def note_published(self, site: str, born: str, places: Iterable[tuple[int, int]]) -> None: ...
    def lost_places(self, site: str, born: str, last: int | None) -> list[int]: ...
    def passed_over(self, site: str, after: int, before: int, cursor: int, born: str) -> list[OutboxRow]: ...
    def note_lost(self, site: str, seqs: list[int]) -> None: ...
    def drop_outbox(self, site: str, upto: int) -> None: ...
    def renumber(self, site: str, by: int) -> None: ...
    def save_outbound(self, out: Outbound) -> None: ...
    def save_inbound(self, source: Inbound) -> None: ...
    def hold(self, e: LinkEntry) -> None: ...
    def held(self, site: str, epoch: str, seq: int) -> tuple[str, str, dict[str, Any]]: ...
    def drop_held(self, site: str, epoch: str, seq: int) -> None: ...
    def save_stream(self, name: str, place: StreamPlace) -> None: ...
    def save_site_key(self, site: str, key: SiteKey) -> None: ...
    def savepoint(self) -> Any: ...
    def restore(self, savepoint: Any) -> None: ...
    def commit(self, *, marks: bool = True) -> None: ...
    def rollback(self) -> None: ...
    def stats(self) -> dict[str, Any]: ...
