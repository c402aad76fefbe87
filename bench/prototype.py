"""The yardstick: the smallest broker that is as durable as ours. ``python -m bench.prototype FOLDER [normal]``.

One ROUTER socket, MessagePack frames that hold a list, one transaction for all that waits, then the replies, those of one
connection in one frame. There are no sessions, names, limits, checks of fields, duplicates or deliveries: what a send
costs here is what Python, ZeroMQ and SQLite ask for it.
"""

import contextlib
import signal
import sqlite3
import sys
import time
from pathlib import Path
from typing import Any

import msgpack
import zmq

_TURN_REQUESTS = 2048
_SCHEMA = """
CREATE TABLE message (id INTEGER PRIMARY KEY, recipient TEXT, created_s REAL, content TEXT, read_s REAL);
CREATE INDEX waiting ON message(recipient) WHERE read_s IS NULL;
"""


def open_database(folder: Path, durability: str) -> sqlite3.Connection:
    """A new database with the pragmas of the broker's."""
    db = sqlite3.connect(folder / "prototype.db", isolation_level=None)
    db.execute("PRAGMA journal_mode = wal")
    db.execute("PRAGMA wal_autocheckpoint = 4000")
    db.execute(f"PRAGMA synchronous = {durability}")
    db.executescript(_SCHEMA)
    return db


def serve(folder: Path, durability: str = "full") -> None:
    """Answer until SIGTERM, which ends the process."""
    db = open_database(folder, durability)
    router = zmq.Context().socket(zmq.ROUTER)
    router.setsockopt(zmq.RCVHWM, 0)
    router.setsockopt(zmq.SNDHWM, 0)
    router.setsockopt(zmq.BACKLOG, 1024)
    router.bind(address(folder))
    receive, unpack, pack = router.recv_multipart, msgpack.unpackb, msgpack.packb
    while True:
        router.poll()
        rows: list[tuple[str, float, str]] = []
        replies: dict[bytes, list[dict[str, Any]]] = {}
        now_s = time.time()
        with contextlib.suppress(zmq.Again):
            while len(rows) < _TURN_REQUESTS:
                route, frame = receive(zmq.NOBLOCK)
                answers = replies.setdefault(route, [])
                for request in unpack(frame):
                    rows.append((request["to_id"], now_s, request["message"]["content"]))
                    answers.append({"id": request["id"], "status": "ok"})
        db.execute("BEGIN IMMEDIATE")
        db.executemany("INSERT INTO message (recipient, created_s, content) VALUES (?,?,?)", rows)
        db.execute("COMMIT")
        for route, answers in replies.items():
            router.send_multipart([route, pack(answers)])


def address(folder: Path) -> str:
    return f"ipc://{folder / 'prototype.sock'}"


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    serve(Path(sys.argv[1]), *sys.argv[2:3])
