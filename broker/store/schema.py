"""The tables as they are now. ``broker.store.migrations`` holds the numbered steps that lead to them.

``queue`` holds what waits, one row a delivery, but for the newest messages (``broker.store.tail``); what is acknowledged or
ends gets a row in ``receipt`` instead. A message is
stored once for all its recipients, and is deleted with its last delivery. ``letter``, ``thread`` and ``message_text``
(FTS5) are indexes of the archive that are written when the broker has nothing else to do (see ``broker.store.index``).
"""

import peewee

from broker.core.facts import AgentWatch, Alarm, Schedule, Step
from broker.core.storage import NewMessage
from broker.store.columns import Model, columns_of
from broker.store.link_tables import HeldRow, InboundRow, OutboundRow, OutboxTable, SiteRow, StreamRow
from broker.store.tail import IdRun


class MailboxRow(Model):
    id = peewee.IntegerField(primary_key=True)
    name = peewee.TextField(unique=True)
    claimed = peewee.BooleanField()
    created_s = peewee.FloatField()
    last_seen_s = peewee.FloatField()
    renamed_s = peewee.FloatField()
    presence = peewee.TextField(default="")
    note = peewee.TextField(default="")
    autocheck_min = peewee.IntegerField(default=0)
    """Minutes between automatic checks, 0 = off."""
    bounced_s = peewee.FloatField(default=0)

    class Meta:
        table_name = "mailbox"


class SessionRow(Model):
    token_hash = peewee.BlobField(primary_key=True)
    mailbox_id = peewee.IntegerField()
    uid = peewee.IntegerField(null=True)
    created_s = peewee.FloatField()
    last_seen_s = peewee.FloatField()
    replaced = peewee.BooleanField()
    body = peewee.TextField(null=True)
    """JSON list of the fields of ``broker.core.facts.Body``."""

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
    """The columns are the fields of ``broker.core.storage.NewMessage``, which says what each holds."""

    vars().update(columns_of(NewMessage))

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


class SentIdRow(Model):
    """By which id of its own a sender knows a message. Written behind the message, as the queue is."""

    sender_id = peewee.IntegerField()
    client_id = peewee.TextField()
    message_id = peewee.IntegerField()

    class Meta:
        table_name = "sent_id"
        primary_key = peewee.CompositeKey("sender_id", "client_id")
        without_rowid = True


class SentRunRow(Model):
    """A sender's ids that ascend from ``first_id`` to ``last_id``, above all that it had used, and between which messages they
    are: a row for a thousand messages. Ids that come out of order have rows of their own in ``sent_id``."""

    sender_id = peewee.IntegerField()
    vars().update(columns_of(IdRun))

    class Meta:
        table_name = "sent_run"
        primary_key = peewee.CompositeKey("sender_id", "first_id")
        without_rowid = True


class HandedOutRow(Model):
    """That mail of the tail was handed out, or given back unseen: ``change`` is 1 or -1, ``ids`` a JSON list."""

    last_id = peewee.IntegerField()
    """The highest of the ids."""
    number = peewee.IntegerField()
    mailbox_id = peewee.IntegerField()
    change = peewee.IntegerField()
    ids = peewee.TextField()

    class Meta:
        table_name = "handed_out"
        primary_key = peewee.CompositeKey("last_id", "number")
        without_rowid = True


class ReceiptRow(Model):
    """Mail that waits no more, in the order in which it was read or ended: the sweep finds the oldest without an index."""

    id = peewee.IntegerField(primary_key=True)
    mailbox_id = peewee.IntegerField()
    message_id = peewee.IntegerField()
    read_s = peewee.FloatField()
    muted = peewee.IntegerField(null=True)
    """1 where the reader has muted the sender: filed without having been delivered."""
    ending = peewee.TextField(null=True)
    """Of mail that was not read: ``expired``, ``refused``, ``withdrawn`` or ``dead``; ``why`` in words."""
    why = peewee.TextField(null=True)
    evidence = peewee.TextField(null=True)
    """By what its reader is known to have it; none for the acknowledgement of a program."""
    name = peewee.TextField(null=True)
    """Of mail that ended: what its reader was called; ``sender_id``: who sent it."""
    sender_id = peewee.IntegerField(null=True)
    dropped = peewee.IntegerField(null=True)
    """Who has taken it off the own list: the sum of 1 its sender, 2 its reader, 4 the data folder's owner."""

    class Meta:
        table_name = "receipt"


class UntoldRow(Model):
    """Mail that ended, or waits for somebody who is away, and of which its sender is still to be told."""

    sender_id = peewee.IntegerField()
    message_id = peewee.IntegerField()
    mailbox_id = peewee.IntegerField()

    class Meta:
        table_name = "untold"
        primary_key = peewee.CompositeKey("sender_id", "message_id", "mailbox_id")
        without_rowid = True


class MetaRow(Model):
    key = peewee.TextField(primary_key=True)
    value = peewee.TextField()

    class Meta:
        table_name = "meta"
        without_rowid = True


class QuestionRow(Model):
    """An ``ask``. Open until ``answer_id`` is set or ``deadline_s`` has passed."""

    message_id = peewee.IntegerField(primary_key=True)
    asker_id = peewee.IntegerField(index=True)
    asked_id = peewee.IntegerField(index=True)
    deadline_s = peewee.FloatField()
    answer_id = peewee.IntegerField(null=True)

    class Meta:
        table_name = "question"


class GroupRow(Model):
    id = peewee.IntegerField(primary_key=True)
    name = peewee.TextField(unique=True)
    created_s = peewee.FloatField()

    class Meta:
        table_name = "mail_group"


class MemberRow(Model):
    group_id = peewee.IntegerField()
    mailbox_id = peewee.IntegerField()

    class Meta:
        table_name = "member"
        primary_key = peewee.CompositeKey("group_id", "mailbox_id")
        without_rowid = True


class BlockRow(Model):
    mailbox_id = peewee.IntegerField()
    sender_id = peewee.IntegerField()
    mode = peewee.TextField()

    class Meta:
        table_name = "block"
        primary_key = peewee.CompositeKey("mailbox_id", "sender_id")
        without_rowid = True


class ClaimRow(Model):
    id = peewee.IntegerField(primary_key=True)
    mailbox_id = peewee.IntegerField()
    resource = peewee.TextField()
    since_s = peewee.FloatField()
    until_s = peewee.FloatField()
    note = peewee.TextField()

    class Meta:
        table_name = "claim"


class StepRow(Model):
    """Written in bulk, behind the mail."""

    vars().update(columns_of(Step))

    class Meta:
        table_name = "step"
        primary_key = peewee.CompositeKey("message_id", "mailbox_id", "step", "way")
        without_rowid = True


class ActivityRow(Model):
    """The fields of ``broker.core.facts.Activity``; ``calls`` is a JSON list."""

    mailbox_id = peewee.IntegerField(primary_key=True)
    state = peewee.TextField()
    since_s = peewee.FloatField()
    event_s = peewee.FloatField()
    tool = peewee.TextField()
    calls = peewee.TextField()
    digest = peewee.TextField()
    repeats = peewee.IntegerField()
    acted_s = peewee.FloatField()

    class Meta:
        table_name = "activity"


class AlarmRow(Model):
    vars().update(columns_of(Alarm))

    class Meta:
        table_name = "alarm"


class AgentWatchRow(Model):
    """``events`` are words with blanks between."""

    vars().update(columns_of(AgentWatch))

    class Meta:
        table_name = "agent_watch"


class PauseRow(Model):
    """The person had two stop writing to each other, or, where ``other_id`` is 0, had nothing wake one."""

    mailbox_id = peewee.IntegerField()
    other_id = peewee.IntegerField()
    since_s = peewee.FloatField()

    class Meta:
        table_name = "pause"
        primary_key = peewee.CompositeKey("mailbox_id", "other_id")
        without_rowid = True


class ScheduleRow(Model):
    """Mail to be sent at a time, or again and again: the fields of ``broker.core.facts.Schedule``, and what it says."""

    vars().update(columns_of(Schedule))
    content = peewee.TextField()
    data = peewee.BlobField(null=True)

    class Meta:
        table_name = "schedule"


class RetentionRow(Model):
    """How long read mail of a group or a thread is kept. ``kind`` is group or thread, ``ref`` its name or number."""

    kind = peewee.TextField()
    ref = peewee.TextField()
    keep_s = peewee.FloatField()

    class Meta:
        table_name = "retention"
        primary_key = peewee.CompositeKey("kind", "ref")
        without_rowid = True


class LetterRow(Model):
    """Archive: a message as one of its ends has it. ``peer_id`` is the other end, 0 where there are several."""

    mailbox_id = peewee.IntegerField()
    message_id = peewee.IntegerField()
    peer_id = peewee.IntegerField()

    class Meta:
        table_name = "letter"
        primary_key = peewee.CompositeKey("mailbox_id", "message_id")
        without_rowid = True


class ThreadRow(Model):
    """Archive: which messages, but the first, belong to a thread."""

    thread_id = peewee.IntegerField()
    message_id = peewee.IntegerField()

    class Meta:
        table_name = "thread"
        primary_key = peewee.CompositeKey("thread_id", "message_id")
        without_rowid = True


MODELS = (
    MailboxRow,
    SessionRow,
    ForwardRow,
    MessageRow,
    QueueRow,
    SentIdRow,
    SentRunRow,
    HandedOutRow,
    ReceiptRow,
    UntoldRow,
    MetaRow,
    QuestionRow,
    GroupRow,
    MemberRow,
    BlockRow,
    ClaimRow,
    LetterRow,
    ThreadRow,
    StepRow,
    ActivityRow,
    AlarmRow,
    AgentWatchRow,
    PauseRow,
    ScheduleRow,
    RetentionRow,
    OutboxTable,
    OutboundRow,
    InboundRow,
    HeldRow,
    StreamRow,
    SiteRow,
)
