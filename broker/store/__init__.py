"""The mail on disk: SQLite through peewee, and large bodies as markdown files. The only code that writes SQL."""

from broker.store.sqlite import SqliteStore, open_store
from broker.store.transactions import is_damage

__all__ = ["SqliteStore", "is_damage", "open_store"]
