"""The tables of mail between sites (``broker.store.link_rows``)."""

import peewee

from broker.store.columns import Model


class OutboxTable(Model):
    """Mail that another site does not have yet, or word of mail that came from there. Its columns are ``OutboxRow``'s."""

    site = peewee.TextField()
    seq = peewee.IntegerField()
    message_id = peewee.IntegerField(null=True)
    uid = peewee.TextField()
    body = peewee.BlobField(null=True)
    at = peewee.IntegerField()
    born = peewee.TextField()
    tries = peewee.IntegerField()

    class Meta:
        table_name = "outbox"
        primary_key = peewee.CompositeKey("site", "seq")
        without_rowid = True


class OutboundRow(Model):
    """The fields of ``broker.core.link_state.Outbound`` that last."""

    site = peewee.TextField(primary_key=True)
    epoch = peewee.TextField()
    high = peewee.IntegerField()
    high_uid = peewee.TextField()
    redo = peewee.IntegerField()

    class Meta:
        table_name = "outbound"
        without_rowid = True


class InboundRow(Model):
    """The fields of ``broker.core.link_state.Inbound``."""

    site = peewee.TextField(primary_key=True)
    epoch = peewee.TextField()
    high = peewee.IntegerField()
    uid = peewee.TextField()
    redo = peewee.IntegerField()

    class Meta:
        table_name = "inbound"
        without_rowid = True


class HeldRow(Model):
    """An entry that came before one that is missing. ``body`` is MessagePack."""

    site = peewee.TextField()
    epoch = peewee.TextField()
    seq = peewee.IntegerField()
    uid = peewee.TextField()
    prev = peewee.TextField()
    body = peewee.BlobField()

    class Meta:
        table_name = "held"
        primary_key = peewee.CompositeKey("site", "epoch", "seq")
        without_rowid = True


class StreamRow(Model):
    name = peewee.TextField(primary_key=True)
    cursor = peewee.IntegerField()
    born = peewee.TextField()

    class Meta:
        table_name = "stream"
        without_rowid = True


class SiteRow(Model):
    """What the admin has said of a site. A removed one has no key."""

    site = peewee.TextField(primary_key=True)
    n = peewee.IntegerField()
    key = peewee.TextField()

    class Meta:
        table_name = "site"
        without_rowid = True
