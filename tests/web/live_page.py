"""A service with its page, and requests to it as raw as a test wants them."""

import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

from bridges.web.links import new_link
from tests.conftest import Service, wait_for
from tests.processes import alive, freeze

CHROMIUM = "/usr/bin/chromium"


class Answer(NamedTuple):
    """Header names are lowercase."""

    status: int
    headers: dict[str, str]
    text: str

    def json(self) -> Any:
        return json.loads(self.text)


class LivePage(Service):
    """A service whose supervisor runs the page, on a free port."""

    def __init__(self, home: Path, **environment: str) -> None:
        super().__init__(home, **{"IPC_WEB": "true", "IPC_WEB_PORT": "0", "IPC_PERSON": "pat", **environment})
        self._cookie = ""

    def start(self) -> "LivePage":
        super().start()
        wait_for("the page", self.page_port, explain=self.describe)
        return self

    def page_port(self) -> int:
        state = self._read("web.json")
        return 0 if not state or state["error"] or not alive(state["pid"]) else int(state["port"])

    @contextlib.contextmanager
    def supervisor_asleep(self) -> Iterator[None]:
        """What ends meanwhile is not started again."""
        pid = self.pid("supervisor")
        freeze(pid)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.page_port()}"

    @property
    def origin(self) -> str:
        return f"http://{self.host}"

    def link(self) -> str:
        """A fresh one-time link, as ``ipc web`` prints it."""
        return new_link(str(self.home), self.page_port())

    def raw(self, request: bytes, timeout_s: float = 10.0) -> bytes:
        """All that comes for these bytes until the page ends the connection, in order or not."""
        came = []
        with (
            socket.create_connection(("127.0.0.1", self.page_port()), timeout=timeout_s) as s,
            contextlib.suppress(ConnectionError),
        ):
            s.sendall(request)
            while part := s.recv(65536):
                came.append(part)
        return b"".join(came)

    def request(self, method: str, path: str, body: bytes = b"", **headers: str) -> Answer:
        """One request with these headers alone, but for Host where none is given; ``_`` in a name stands for ``-``."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection = http.client.HTTPConnection("127.0.0.1", self.page_port(), timeout=20)
        with contextlib.closing(connection):
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in {"Host": self.host, **named}.items():
                connection.putheader(name, value)
            if body or method == "POST":
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            got = connection.getresponse()
            return Answer(got.status, {k.lower(): v for k, v in got.getheaders()}, got.read().decode())

    def cookie(self) -> str:
        """The Cookie header of a browser that is signed in."""
        if not self._cookie:
            token = self.link().partition("#")[2]
            answer = self.post("/sign-in", {"token": token}, Cookie="")
            assert answer.status == 200, answer
            self._cookie = answer.headers["set-cookie"].partition(";")[0]
        return self._cookie

    def forget_cookie(self) -> None:
        """It counts no more."""
        self._cookie = ""

    def get(self, path: str, **headers: str) -> Answer:
        """As a browser that is signed in."""
        return self.request("GET", path, **{"Cookie": self.cookie(), **headers})

    def post(self, path: str, fields: dict[str, Any], **headers: str) -> Answer:
        """JSON of our own page, as a browser that is signed in unless a Cookie is given."""
        given = {"Origin": self.origin, "Content_Type": "application/json", **headers}
        if "Cookie" not in given:
            given["Cookie"] = self.cookie()
        return self.request("POST", path, json.dumps(fields).encode(), **given)

    def post_form(self, path: str, fields: dict[str, str], **headers: str) -> Answer:
        """The same by a plain form."""
        given = {"Origin": self.origin, "Content_Type": "application/x-www-form-urlencoded", "Cookie": self.cookie()}
        return self.request("POST", path, urlencode(fields).encode(), **{**given, **headers})


class EventStream:
    """Server-sent events of the page, read in a thread."""

    def __init__(self, live: LivePage, cookie: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", live.page_port(), timeout=60)
        self._connection.request("GET", "/events", headers={"Host": live.host, "Cookie": cookie})
        self.answer = self._connection.getresponse()
        self.events: list[tuple[str, str]] = []
        """(event, data) of all that have come."""
        self.ended = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        event = ""
        with contextlib.suppress(OSError, ValueError, AttributeError, http.client.HTTPException):  # closed by us
            for raw in self.answer:
                name, _, value = raw.decode().rstrip("\n").partition(": ")
                if name == "event":
                    event = value
                elif name == "data:" or name == "data":
                    self.events.append((event, value))
        self.ended.set()

    def close(self) -> None:
        if self._connection.sock is not None:
            self._connection.sock.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)
        self.answer.close()
        self._connection.close()


@contextlib.contextmanager
def live_page(**environment: str) -> Iterator[LivePage]:
    """A service of its own in a temporary home, with the page."""
    home = Path(tempfile.mkdtemp(prefix="ipc-"))
    service = LivePage(home, **environment)
    try:
        yield service.start()
    finally:
        service.stop()
        shutil.rmtree(home, ignore_errors=True)
