"""The tables, on one screen, and the numbered steps that lead to them.

``queue`` holds what waits, one row a delivery; an acknowledgement moves the row to ``receipt``. A message's body is stored
once however many it went to, and goes with the last of its deliveries.
"""

from collections.abc import Callable

import peewee

SCHEMA_VERSION = 1


class Model(peewee.Model):
    class Meta:
        legacy_table_names = False


class MailboxRow(Model):
    id = peewee.IntegerField(primary_key=True)
    name = peewee.TextField(unique=True)
    claimed = peewee.BooleanField()
    created_s = peewee.FloatField()
    last_seen_s = peewee.FloatField()
    renamed_s = peewee.FloatField()

    class Meta:
        table_name = "mailbox"


class SessionRow(Model):
    token_hash = peewee.BlobField(primary_key=True)
    mailbox_id = peewee.IntegerField()
    uid = peewee.IntegerField(null=True)
    created_s = peewee.FloatField()
    last_seen_s = peewee.FloatField()
    replaced = peewee.BooleanField()

    class Meta:
        table_name = "session"
        without_rowid = True


class ForwardRow(Model):
    name = peewee.TextField(primary_key=True)
    mailbox_id = peewee.IntegerField()
    until_s = peewee.FloatField()

    class Meta:
        table_name = "forward"
        without_rowid = True


class MessageRow(Model):
    id = peewee.IntegerField(primary_key=True)
    sender_id = peewee.IntegerField()
    sender = peewee.TextField()
    client_id = peewee.TextField(null=True)
    created_s = peewee.FloatField()
    expires_s = peewee.FloatField()
    content = peewee.TextField()
    data = peewee.BlobField(null=True)
    outcome = peewee.TextField(null=True)
    copies = peewee.IntegerField()
    file_path = peewee.TextField(null=True)
    file_size = peewee.IntegerField(null=True)
    file_sha256 = peewee.TextField(null=True)

    class Meta:
        table_name = "message"


class QueueRow(Model):
    mailbox_id = peewee.IntegerField()
    message_id = peewee.IntegerField()
    attempts = peewee.IntegerField()

    class Meta:
        table_name = "queue"
        primary_key = peewee.CompositeKey("mailbox_id", "message_id")
        without_rowid = True


class ReceiptRow(Model):
    """Read mail, in the order it was read, so that the sweep finds the oldest without an index."""

    id = peewee.IntegerField(primary_key=True)
    mailbox_id = peewee.IntegerField()
    message_id = peewee.IntegerField()
    read_s = peewee.FloatField()

    class Meta:
        table_name = "receipt"


class MetaRow(Model):
    key = peewee.TextField(primary_key=True)
    value = peewee.TextField()

    class Meta:
        table_name = "meta"
        without_rowid = True


MODELS = (MailboxRow, SessionRow, ForwardRow, MessageRow, QueueRow, ReceiptRow, MetaRow)


class SchemaTooNew(Exception):
    """The database was written by a later version of this program."""


def _to_1(db: peewee.SqliteDatabase) -> None:
    with db.bind_ctx(MODELS):
        db.create_tables(MODELS, safe=False)
    db.execute_sql("CREATE UNIQUE INDEX message_client_id ON message(sender_id, client_id) WHERE client_id IS NOT NULL")
    db.execute_sql("CREATE INDEX message_file ON message(file_path) WHERE file_path IS NOT NULL")


MIGRATIONS: tuple[Callable[[peewee.SqliteDatabase], None], ...] = (_to_1,)
"""Step N leads from version N to N + 1. Forward only; a step that has shipped is never edited."""


def migrate(db: peewee.SqliteDatabase) -> tuple[int, int]:
    """Bring the database to SCHEMA_VERSION, each step in its own transaction; return (found, now).

    Raises SchemaTooNew and touches nothing if it is ahead of this program.
    """
    found = int(db.execute_sql("PRAGMA user_version").fetchone()[0])
    if found > len(MIGRATIONS):
        raise SchemaTooNew(f"schema {found} is newer than this program's {len(MIGRATIONS)}: upgrade agent-ipc")
    for version in range(found, len(MIGRATIONS)):
        with db.atomic("IMMEDIATE"):
            MIGRATIONS[version](db)
            db.execute_sql(f"PRAGMA user_version = {version + 1}")
    return found, len(MIGRATIONS)
