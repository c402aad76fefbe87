"""The store over SQLite: its parts put together, opened and loaded."""

import json
import os
import sqlite3
import uuid
from collections import Counter
from itertools import chain
from math import inf
from typing import Any

import msgpack
import peewee

from broker.core.facts import Body
from broker.core.groups import enter_group
from broker.core.journal import Journal
from broker.core.mailboxes import enter
from broker.core.quiet import CALM
from broker.core.state import Claim, Group, Landing, Mailbox, NameForward, Session, State
from broker.core.storage import StoreDamaged, StoreError
from broker.core.terms import ClockReading
from broker.home.settings import Settings
from broker.protocol.addresses import EVERY, site_of
from broker.store.accounts import Records
from broker.store.ended_mail import EndedMail
from broker.store.expiry import Expiry
from broker.store.fact_rows import FactRows
from broker.store.folding import QUEUED_ID
from broker.store.index import readers
from broker.store.large_files import LargeFiles
from broker.store.link_rows import LinkRows
from broker.store.messages import MailRows
from broker.store.migrations import migrate
from broker.store.owner_reads import OwnerReads
from broker.store.schema import MODELS, BlockRow, ClaimRow, ForwardRow, GroupRow, MailboxRow, MetaRow, RetentionRow, SessionRow
from broker.store.transactions import is_damage

_USED_IDS = (
    "SELECT max((SELECT ifnull(max(sender_id), 0) FROM sent_id), (SELECT ifnull(max(sender_id), 0) FROM sent_run), "
    "(SELECT ifnull(max(mailbox_id), 0) FROM letter))"
)
"""Each max() reads one end of an index, so start-up does not scan all mail."""
_MAKERS = (
    "SELECT b.id, (SELECT m.sender_id FROM queue q JOIN message m ON m.id = q.message_id WHERE q.mailbox_id = b.id "
    "ORDER BY q.message_id LIMIT 1) AS maker FROM mailbox b WHERE NOT b.claimed AND maker IS NOT NULL"
)
"""A mailbox that nobody has was made by the sender of the oldest message that waits in it."""
_FILES_BYTES = "SELECT ifnull(sum(file_size), 0) FROM message WHERE file_path IS NOT NULL"


class SqliteStore(MailRows, Records, FactRows, EndedMail, LinkRows, Expiry, OwnerReads):
    """What the core asks of a store (``broker.core.storage.Store``), and what the process needs beside."""

    def load(self) -> State:
        """The state in memory as the disk has it. Leases are not kept: what was out is back."""
        state = State()
        journal = Journal()
        makers = self._makers()
        queued = Counter(dict(self._sql.execute("SELECT mailbox_id, count(*) FROM queue GROUP BY mailbox_id")))
        queued.update({mailbox_id: len(self._tail.boxes[mailbox_id]) for mailbox_id in self._tail.boxes.owners()})
        for row in MailboxRow.select().tuples():
            mailbox = Mailbox(row[0], row[1], bool(row[2]), row[3], row[4], row[5], queued[row[0]])
            mailbox.presence, mailbox.note, mailbox.autocheck_min, mailbox.bounced_s = row[6:10]
            mailbox.maker = makers.get(mailbox.id, 0)
            mailbox.site = site_of(mailbox.name)
            enter(state, mailbox, journal)
        for name, mailbox_id, until_s in ForwardRow.select().tuples():
            if mailbox_id in state.by_id:
                state.forwards[name] = NameForward(state.by_id[mailbox_id], until_s)
        for token_hash, mailbox_id, uid, created_s, seen_s, replaced, body in (
            SessionRow.select().order_by(SessionRow.created_s).tuples()
        ):
            if mailbox_id in state.by_id:
                session = Session(bytes(token_hash), state.by_id[mailbox_id], uid, created_s, seen_s, 0.0, 0.0, bool(replaced))
                session.body = None if body is None else Body(*json.loads(body))
                state.sessions[session.token_hash] = session
                if session.replaced:
                    session.mailbox.ended += (session.token_hash,)
                else:
                    session.mailbox.session = session
        used_id = self._sql.execute(_USED_IDS).fetchone()[0]  # by mail of mailboxes that are gone
        state.last_mailbox_id = max(int(self._meta("last_mailbox_id") or 0), *state.by_id, *self._tail.ids.owners(), used_id)
        last_message_id = self._sql.execute("SELECT max(id) FROM message").fetchone()[0] or 0
        state.last_message_id = max(int(self._meta("last_message_id") or 0), last_message_id)
        self._last_id = self._queued_upto = state.last_message_id
        self._indexed_id = self._indexed_durably = int(self._meta("indexed_id") or 0)
        self._large.size_bytes = self._sql.execute(_FILES_BYTES).fetchone()[0]
        self._load_landings(state)
        self._load_company(state)
        self.load_facts(state)
        state.pauses = {key: at_s for key, at_s in self.pauses().items() if key[1] in state.by_id}
        self.load_link(state.link)
        if state.link.boxes:
            self._load_from_far(state)
        state.stopped_s = float(self._meta("stopped_s") or 0.0)
        state.untold.update(self.untold_senders())
        state.digests += [(0.0, sender_id) for sender_id in sorted(state.untold)]  # a sorted list is a heap
        return state

    def _makers(self) -> dict[int, int]:
        """By mailbox that nobody has whose message made it. The names of another site make theirs together, as its ``*``."""
        makers = {**self.read_tail(), **dict(self._sql.execute(_MAKERS).fetchall())}
        far = dict(self._sql.execute("SELECT id, name FROM mailbox WHERE instr(name, '@')").fetchall())
        every = {site_of(name): mailbox_id for mailbox_id, name in far.items() if name.startswith(EVERY)}
        return {box: every.get(site_of(far[maker]), maker) if maker in far else maker for box, maker in makers.items()}

    def _load_landings(self, state: State) -> None:
        """Unread messages that land at another time than after a tool call."""
        rows = self._sql.execute(
            "SELECT id, land, to_id, extra, created_s, expires_s, brief FROM message WHERE land <> 1"
        ).fetchall()
        for message_id, land, to_id, extra, *times in rows:
            for mailbox_id in readers(to_id, extra):
                mailbox = state.by_id.get(mailbox_id)
                if mailbox is not None and self.is_unread(mailbox_id, message_id):
                    if land == Landing.AS_DIGEST:
                        mailbox.quiet[message_id] = self._due(extra, *times)
                        state.quiet_boxes.add(mailbox.id)
                    else:
                        (mailbox.urgent if land == Landing.AT_ONCE else mailbox.later).add(message_id)
        state.next_expiry_s = self._sql.execute("SELECT min(expires_s) FROM message WHERE brief IS NOT NULL").fetchone()[0]

    def _load_from_far(self, state: State) -> None:
        """Unread messages of other sites: those that have a row of the queue, and those of the tail."""
        sql = "SELECT q.mailbox_id, q.message_id, m.sender_id FROM queue q JOIN message m ON m.id = q.message_id"
        late = f"SELECT to_id, id, sender_id FROM message WHERE id > {QUEUED_ID} AND to_id IS NOT NULL"
        for mailbox_id, message_id, sender_id in chain(self._sql.execute(sql), self._sql.execute(late)):
            sender, mailbox = state.by_id.get(sender_id), state.by_id.get(mailbox_id)
            if sender is not None and sender.site and mailbox is not None and self.is_unread(mailbox_id, message_id):
                mailbox.from_far.add(message_id)

    def _due(self, extra: bytes | None, created_s: float, expires_s: float, brief: int | None) -> float:
        """When quiet mail is due. Its expiry is of the terms' clock, and tells when it was stored if the sender set none."""
        if extra is not None and CALM in msgpack.unpackb(extra):
            return inf
        stored_s = created_s if brief else min(created_s, expires_s - self._settings.unread_ttl_s)
        return stored_s + self._settings.digest_s

    def _load_company(self, state: State) -> None:
        """Groups, blocks, claims, and what is kept for a time of its own."""
        groups = {row[0]: Group(*row) for row in GroupRow.select().tuples()}
        for group_id, mailbox_id in self._sql.execute("SELECT group_id, mailbox_id FROM member"):
            if group_id in groups and mailbox_id in state.by_id:
                groups[group_id].members[mailbox_id] = None
        journal = Journal()
        for group in groups.values():
            enter_group(state, group, journal)
        state.last_group_id = max(groups, default=0)
        for mailbox_id, sender_id, mode in BlockRow.select().tuples():
            if mailbox_id in state.by_id:
                state.by_id[mailbox_id].blocked[sender_id] = mode
        for row in ClaimRow.select().tuples():
            if row[1] in state.by_id:
                state.claims[row[0]] = Claim(row[0], state.by_id[row[1]], *row[2:])
        state.last_claim_id = max(state.claims, default=0)
        state.keeps = {(kind, ref): keep_s for kind, ref, keep_s in RetentionRow.select().tuples()}

    def last_reading(self) -> ClockReading | None:
        """The clocks as the last life of the broker left them; None in a new database."""
        told = self._meta("clock")
        if told is not None:
            return ClockReading(**json.loads(told))
        # of a version that did not keep them: somebody was there at this time
        seen_s = self._sql.execute("SELECT max(last_seen_s) FROM mailbox").fetchone()[0]
        return None if seen_s is None else ClockReading(seen_s, 0.0, "")

    def save_reading(self, at: ClockReading) -> None:
        """Between batches. Raises StoreError."""
        self._write_now(("INSERT OR REPLACE INTO meta VALUES ('clock', ?)", [(json.dumps(at.to_map()),)]))

    def save_stop(self, term_s: float) -> None:
        """That the broker is stopped in order; the next life asks for how long it was down. Raises StoreError."""
        self._write_now(("INSERT OR REPLACE INTO meta VALUES ('stopped_s', ?)", [(str(term_s),)]))

    def _meta(self, key: str) -> str | None:
        row = MetaRow.get_or_none(MetaRow.key == key)
        return row.value if row else None

    def stats(self) -> dict[str, Any]:
        found = self._sql.execute("PRAGMA user_version").fetchone()[0]
        return {"schema": int(found), "database_bytes": self.size_bytes(), "durability": self._settings.durability}


def open_store(settings: Settings) -> SqliteStore:
    """Open or create the database in the data folder and migrate it. Raises StoreError, StoreDamaged, SchemaTooNew."""
    path = settings.home / "ipc.db"
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600)) if not path.exists() else os.chmod(path, 0o600)
    pragmas = {
        "journal_mode": "wal",
        "wal_autocheckpoint": 0,  # see broker.store.checkpoints
        "journal_size_limit": 64 * 1024 * 1024,
        "cache_size": -8 * 1024,
        "mmap_size": 0,
        "temp_store": "memory",
        "trusted_schema": 0,
    }
    db = peewee.SqliteDatabase(str(path), pragmas=pragmas, timeout=5)
    try:
        db.connect()
        migrate(db)
        db.bind(MODELS)
        # not only in a new database: a crash may have come between the tables and this row
        MetaRow.insert(key="store_id", value=uuid.uuid4().hex).on_conflict_ignore().execute()
        store_id = MetaRow.get(MetaRow.key == "store_id").value
    except (peewee.DatabaseError, sqlite3.Error) as e:
        if is_damage(e) or is_damage(e.__cause__) or is_damage(e.__context__):  # peewee wraps SQLite's errors
            raise StoreDamaged(str(e)) from e
        raise StoreError(f"{path}: {e}") from e
    return SqliteStore(db, settings, LargeFiles(settings, store_id))
