"""The mail on disk: SQLite through peewee, and large bodies as markdown files. The only code that writes SQL."""

from broker.store.sqlite import SqliteStore, open_store

__all__ = ["SqliteStore", "open_store"]
