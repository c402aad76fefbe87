"""The way that this project's TCP protocol was served at first, as a model: for each request a connection, under one lock
a new SQLite connection to look the session up, another to store the message, a commit of its own in a rollback journal.

``python -m bench.rivals.percall FOLDER`` serves on a free TCP port and writes its number to standard output.
"""

import json
import secrets
import shutil
import socketserver
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import closing
from pathlib import Path

from bench.doors.lines import one_shot
from bench.service import TEMPORARY
from bench.systems import Address, System, Way

_SCHEMA = """
CREATE TABLE sessions (token TEXT PRIMARY KEY, name TEXT);
CREATE TABLE messages (id INTEGER PRIMARY KEY AUTOINCREMENT, sender TEXT, recipient TEXT, content TEXT, data TEXT,
  sent_at TEXT, is_read INTEGER DEFAULT 0);
CREATE INDEX unread ON messages(recipient, is_read);
"""
_START_S = 10.0


class PerCall(socketserver.ThreadingTCPServer):
    """A thread a connection, one lock around the database."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), Exchange)
        self.database = folder / "percall.db"
        self.lock = threading.Lock()
        with closing(sqlite3.connect(self.database)) as db:
            db.executescript(_SCHEMA)

    def answer(self, request: dict[str, object]) -> dict[str, object]:
        if request["action"] == "register":
            token = secrets.token_urlsafe(32)
            with self.lock, closing(sqlite3.connect(self.database)) as db, db:
                db.execute("INSERT INTO sessions VALUES (?,?)", (token, request["instance_id"]))
            return {"status": "ok", "session_token": token}
        if request["action"] != "send":
            return {"status": "error", "message": "Unknown action"}
        message = request["message"]
        assert isinstance(message, dict)
        with self.lock:
            with closing(sqlite3.connect(self.database)) as db:
                known = db.execute("SELECT name FROM sessions WHERE token = ?", (request["session_token"],)).fetchone()
            if known is None:
                return {"status": "error", "message": "Invalid or missing session token"}
            row = (known[0], request["to_id"], message["content"], None, time.strftime("%Y-%m-%dT%H:%M:%S"))
            with closing(sqlite3.connect(self.database)) as db, db:
                db.execute("INSERT INTO messages (sender, recipient, content, data, sent_at) VALUES (?,?,?,?,?)", row)
        return {"status": "ok", "message": "Message sent"}


class Exchange(socketserver.BaseRequestHandler):
    """One object in, one object out."""

    server: PerCall

    def handle(self) -> None:
        received = b""
        while part := self.request.recv(65536):
            received += part
            try:
                request = json.loads(received)
            except ValueError:
                continue
            self.request.sendall(json.dumps(self.server.answer(request)).encode())
            return


class PerCallServer(System):
    """The model in a process of its own."""

    key = "percall"

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="percall-", dir=TEMPORARY))
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        root = Path(__file__).resolve().parents[2]
        command = [sys.executable, "-m", "bench.rivals.percall", str(self.folder)]
        self._process = subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)
            assert self._process.stdout is not None
            self._process.stdout.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def stored(self) -> int:
        with closing(sqlite3.connect(self.folder / "percall.db")) as db:
            return int(db.execute("SELECT count(*) FROM messages").fetchone()[0])

    def ways(self) -> list[Way]:
        return [PerCallWay(self)]


class PerCallWay(Way):
    key = "percall"
    title = "a connection, two database connections and a commit a request (model)"
    pipelines = False

    system: PerCallServer

    def __init__(self, server: PerCallServer) -> None:
        super().__init__(server)
        self._tokens: dict[int, str] = {}

    def address(self, number: int) -> Address:
        place, name = ("127.0.0.1", self.system.port), f"bench-{number}"
        if number not in self._tokens:
            reply = one_shot(place, {"action": "register", "instance_id": name})
            self._tokens[number] = reply["session_token"]
        return Address("bench.doors.lines:OneShotSender", (place, name, self._tokens[number]))


if __name__ == "__main__":
    with PerCall(Path(sys.argv[1])) as server:
        sys.stdout.write(f"{server.server_address[1]}\n")
        sys.stdout.flush()
        server.serve_forever()
