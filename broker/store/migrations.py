"""Numbered steps from an empty file to the present tables: forward only, each in its own transaction.

A step that has shipped is never edited, so each is plain SQL and names no model. A test makes a database of every earlier
version, brings it here and compares the tables with those of ``broker.store.schema``.
"""

import peewee

_STEP_1 = """
CREATE TABLE forward (name TEXT NOT NULL PRIMARY KEY, mailbox_id INTEGER NOT NULL, until_s REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE mailbox (id INTEGER NOT NULL PRIMARY KEY, name TEXT NOT NULL, claimed INTEGER NOT NULL,
  created_s REAL NOT NULL, last_seen_s REAL NOT NULL, renamed_s REAL NOT NULL);
CREATE UNIQUE INDEX mailbox_name ON mailbox (name);
CREATE TABLE message (id INTEGER NOT NULL PRIMARY KEY, sender_id INTEGER NOT NULL, sender TEXT NOT NULL, client_id TEXT,
  created_s REAL NOT NULL, expires_s REAL NOT NULL, content TEXT NOT NULL, data BLOB, outcome TEXT,
  copies INTEGER NOT NULL, file_path TEXT, file_size INTEGER, file_sha256 TEXT);
CREATE UNIQUE INDEX message_client_id ON message(sender_id, client_id) WHERE client_id IS NOT NULL;
CREATE INDEX message_file ON message(file_path) WHERE file_path IS NOT NULL;
CREATE TABLE meta (key TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE queue (mailbox_id INTEGER NOT NULL, message_id INTEGER NOT NULL, attempts INTEGER NOT NULL,
  PRIMARY KEY (mailbox_id, message_id)) WITHOUT ROWID;
CREATE TABLE receipt (id INTEGER NOT NULL PRIMARY KEY, mailbox_id INTEGER NOT NULL, message_id INTEGER NOT NULL,
  read_s REAL NOT NULL);
CREATE TABLE session (token_hash BLOB NOT NULL PRIMARY KEY, mailbox_id INTEGER NOT NULL, uid INTEGER,
  created_s REAL NOT NULL, last_seen_s REAL NOT NULL, replaced INTEGER NOT NULL) WITHOUT ROWID;
"""

_STEP_2 = """
ALTER TABLE mailbox ADD COLUMN presence TEXT NOT NULL DEFAULT '';
ALTER TABLE mailbox ADD COLUMN note TEXT NOT NULL DEFAULT '';
ALTER TABLE mailbox ADD COLUMN autocheck_min INTEGER NOT NULL DEFAULT 0;
ALTER TABLE message ADD COLUMN land INTEGER NOT NULL DEFAULT 1;
ALTER TABLE message ADD COLUMN thread_id INTEGER;
ALTER TABLE message ADD COLUMN reply_to INTEGER;
ALTER TABLE message ADD COLUMN to_id INTEGER;
ALTER TABLE message ADD COLUMN brief INTEGER;
ALTER TABLE message ADD COLUMN extra BLOB;
CREATE INDEX message_land ON message(id) WHERE land <> 1;
CREATE INDEX message_brief ON message(expires_s) WHERE brief IS NOT NULL;
ALTER TABLE receipt ADD COLUMN muted INTEGER;
CREATE INDEX receipt_mailbox ON receipt(mailbox_id, message_id);
CREATE TABLE question (message_id INTEGER NOT NULL PRIMARY KEY, asker_id INTEGER NOT NULL, asked_id INTEGER NOT NULL,
  deadline_s REAL NOT NULL, answer_id INTEGER);
CREATE INDEX question_asker ON question(asker_id);
CREATE INDEX question_asked ON question(asked_id);
CREATE TABLE mail_group (id INTEGER NOT NULL PRIMARY KEY, name TEXT NOT NULL, created_s REAL NOT NULL);
CREATE UNIQUE INDEX mail_group_name ON mail_group(name);
CREATE TABLE member (group_id INTEGER NOT NULL, mailbox_id INTEGER NOT NULL, PRIMARY KEY (group_id, mailbox_id)) WITHOUT ROWID;
CREATE TABLE block (mailbox_id INTEGER NOT NULL, sender_id INTEGER NOT NULL, mode TEXT NOT NULL,
  PRIMARY KEY (mailbox_id, sender_id)) WITHOUT ROWID;
CREATE TABLE claim (id INTEGER NOT NULL PRIMARY KEY, mailbox_id INTEGER NOT NULL, resource TEXT NOT NULL,
  since_s REAL NOT NULL, until_s REAL NOT NULL, note TEXT NOT NULL);
CREATE TABLE letter (mailbox_id INTEGER NOT NULL, message_id INTEGER NOT NULL, peer_id INTEGER NOT NULL,
  PRIMARY KEY (mailbox_id, message_id)) WITHOUT ROWID;
CREATE INDEX letter_peer ON letter(mailbox_id, peer_id, message_id);
CREATE TABLE thread (thread_id INTEGER NOT NULL, message_id INTEGER NOT NULL,
  PRIMARY KEY (thread_id, message_id)) WITHOUT ROWID;
CREATE VIRTUAL TABLE message_text USING fts5(content, content='message', content_rowid='id');
"""

_STEP_3 = """
ALTER TABLE session ADD COLUMN body TEXT;
ALTER TABLE mailbox ADD COLUMN bounced_s REAL NOT NULL DEFAULT 0;
ALTER TABLE receipt ADD COLUMN ending TEXT;
ALTER TABLE receipt ADD COLUMN why TEXT;
ALTER TABLE receipt ADD COLUMN evidence TEXT;
ALTER TABLE receipt ADD COLUMN name TEXT;
ALTER TABLE receipt ADD COLUMN sender_id INTEGER;
ALTER TABLE receipt ADD COLUMN dropped INTEGER;
CREATE INDEX receipt_ending ON receipt(mailbox_id, message_id) WHERE ending IS NOT NULL;
CREATE INDEX receipt_ended ON receipt(sender_id, message_id) WHERE ending IS NOT NULL;
CREATE INDEX receipt_dead ON receipt(id) WHERE ending IS NOT NULL;
CREATE TABLE untold (sender_id INTEGER NOT NULL, message_id INTEGER NOT NULL, mailbox_id INTEGER NOT NULL,
  PRIMARY KEY (sender_id, message_id, mailbox_id)) WITHOUT ROWID;
CREATE TABLE step (message_id INTEGER NOT NULL, mailbox_id INTEGER NOT NULL, step INTEGER NOT NULL, way TEXT NOT NULL,
  at_s REAL NOT NULL, inferred INTEGER NOT NULL, PRIMARY KEY (message_id, mailbox_id, step, way)) WITHOUT ROWID;
CREATE TABLE activity (mailbox_id INTEGER NOT NULL PRIMARY KEY, state TEXT NOT NULL, since_s REAL NOT NULL,
  event_s REAL NOT NULL, tool TEXT NOT NULL, calls TEXT NOT NULL, digest TEXT NOT NULL, repeats INTEGER NOT NULL,
  acted_s REAL NOT NULL);
CREATE TABLE alarm (id INTEGER NOT NULL PRIMARY KEY, mailbox_id INTEGER NOT NULL, kind TEXT NOT NULL, other TEXT NOT NULL,
  since_s REAL NOT NULL, opened_s REAL NOT NULL, evidence TEXT NOT NULL, told INTEGER NOT NULL, closed_s REAL);
CREATE TABLE agent_watch (id INTEGER NOT NULL PRIMARY KEY, mailbox_id INTEGER NOT NULL, subject_id INTEGER NOT NULL,
  events TEXT NOT NULL, resource TEXT NOT NULL, once INTEGER NOT NULL, wake INTEGER NOT NULL, until_s REAL NOT NULL);
"""

_STEP_4 = """
CREATE TABLE sent_id (sender_id INTEGER NOT NULL, client_id TEXT NOT NULL, message_id INTEGER NOT NULL,
  PRIMARY KEY (sender_id, client_id)) WITHOUT ROWID;
INSERT INTO sent_id SELECT sender_id, client_id, id FROM message WHERE client_id IS NOT NULL ORDER BY sender_id, client_id;
DROP INDEX message_client_id;
CREATE TABLE sent_run (sender_id INTEGER NOT NULL, first_id TEXT NOT NULL, last_id TEXT NOT NULL,
  first_message INTEGER NOT NULL, last_message INTEGER NOT NULL, PRIMARY KEY (sender_id, first_id)) WITHOUT ROWID;
CREATE TABLE handed_out (last_id INTEGER NOT NULL, number INTEGER NOT NULL, mailbox_id INTEGER NOT NULL,
  change INTEGER NOT NULL, ids TEXT NOT NULL, PRIMARY KEY (last_id, number)) WITHOUT ROWID;
INSERT INTO meta SELECT 'queued_id', ifnull(max(id), 0) FROM message;
"""

_STEP_5 = """
CREATE TABLE outbox (site TEXT NOT NULL, seq INTEGER NOT NULL, message_id INTEGER, uid TEXT NOT NULL, body BLOB,
  at INTEGER NOT NULL, born TEXT NOT NULL, tries INTEGER NOT NULL, PRIMARY KEY (site, seq)) WITHOUT ROWID;
CREATE INDEX outbox_message ON outbox(message_id) WHERE message_id IS NOT NULL;
CREATE TABLE outbound (site TEXT NOT NULL PRIMARY KEY, epoch TEXT NOT NULL, high INTEGER NOT NULL, high_uid TEXT NOT NULL,
  redo INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE inbound (site TEXT NOT NULL PRIMARY KEY, epoch TEXT NOT NULL, high INTEGER NOT NULL, uid TEXT NOT NULL,
  redo INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE held (site TEXT NOT NULL, epoch TEXT NOT NULL, seq INTEGER NOT NULL, uid TEXT NOT NULL, prev TEXT NOT NULL,
  body BLOB NOT NULL, PRIMARY KEY (site, epoch, seq)) WITHOUT ROWID;
CREATE TABLE stream (name TEXT NOT NULL PRIMARY KEY, cursor INTEGER NOT NULL, born TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE site (site TEXT NOT NULL PRIMARY KEY, n INTEGER NOT NULL, key TEXT NOT NULL) WITHOUT ROWID;
"""

_STEP_6 = """
CREATE INDEX question_open ON question(message_id) WHERE answer_id IS NULL;
CREATE TABLE pause (mailbox_id INTEGER NOT NULL, other_id INTEGER NOT NULL, since_s REAL NOT NULL,
  PRIMARY KEY (mailbox_id, other_id)) WITHOUT ROWID;
CREATE TABLE schedule (id INTEGER NOT NULL PRIMARY KEY, mailbox_id INTEGER NOT NULL, client_id TEXT, to_name TEXT NOT NULL,
  land INTEGER NOT NULL, kind TEXT NOT NULL, spec TEXT NOT NULL, next_s REAL NOT NULL, until_s REAL, created_s REAL NOT NULL,
  sent_count INTEGER NOT NULL, last_id INTEGER, failed TEXT NOT NULL, content TEXT NOT NULL, data BLOB);
CREATE TABLE retention (kind TEXT NOT NULL, ref TEXT NOT NULL, keep_s REAL NOT NULL,
  PRIMARY KEY (kind, ref)) WITHOUT ROWID;
"""

MIGRATIONS: tuple[str, ...] = (_STEP_1, _STEP_2, _STEP_3, _STEP_4, _STEP_5, _STEP_6)
"""Step N leads from version N to N + 1."""

SCHEMA_VERSION = len(MIGRATIONS)


class SchemaTooNew(Exception):
    """The database was written by a later version of this program."""


def migrate(db: peewee.SqliteDatabase, to: int = SCHEMA_VERSION) -> tuple[int, int]:
    """Bring the database to version ``to``; return (found, now).

    Raises SchemaTooNew and touches nothing if it is ahead of this program.
    """
    found = int(db.execute_sql("PRAGMA user_version").fetchone()[0])
    if found > SCHEMA_VERSION:
        raise SchemaTooNew(f"schema {found} is newer than this program's {SCHEMA_VERSION}: upgrade agent-ipc")
    for version in range(found, to):
        with db.atomic("IMMEDIATE"):
            for statement in MIGRATIONS[version].split(";"):
                if statement.strip():
                    db.execute_sql(statement)
            db.execute_sql(f"PRAGMA user_version = {version + 1}")
    return found, max(found, to)
