"""The mail on disk: SQLite through peewee, and large bodies as markdown files. The only code that writes SQL."""

import sqlite3

import peewee

from broker.store.load import SqliteStore, open_store
from broker.store.transactions import is_damage

DATABASE_ERRORS = (sqlite3.Error, peewee.PeeweeException)
"""What reading at start may raise."""

__all__ = ["DATABASE_ERRORS", "SqliteStore", "is_damage", "open_store"]
