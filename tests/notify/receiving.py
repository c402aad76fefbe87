"""An HTTP server that takes what ntfy or a webhook's receiver would, and a notify-send that writes down how it was called."""

import json
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

from tests.conftest import Service, wait_for
from tests.processes import alive
from tests.shell import Shell

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # noqa: S105
TOKEN = "tk_of_the_topic"  # noqa: S105
NOTIFY_SEND = '#!/bin/sh\nfor a in "$@"; do printf "%s\\0" "$a"; done >> "$0.calls"\nprintf "\\n\\n" >> "$0.calls"\n'


class Received(NamedTuple):
    """Header names are lowercase."""

    path: str
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Receiver:
    """The server. It answers 200, unless ``answers`` has statuses for what names an agent, or a path."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.answers: dict[str, list[tuple[int, dict[str, str]]]] = {}
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                got = Received(self.path, {k.lower(): v for k, v in self.headers.items()}, body)
                receiver.received.append(got)
                status, headers = receiver.answer(got)
                self.send_response(status)
                for name, value in {"Content-Length": "0", **headers}.items():
                    self.send_header(name, value)
                self.end_headers()

            do_GET = do_POST

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def answer(self, got: Received) -> tuple[int, dict[str, str]]:
        for about, answers in self.answers.items():
            if answers and f"{about} ".encode() in got.path.encode() + b" " + got.body:
                return answers.pop(0)
        return 200, {}

    def of(self, path: str, name: str) -> list[Received]:
        """What came to a path about an agent."""
        return [one for one in list(self.received) if one.path == path and f"{name} ".encode() in one.body]

    def told(self, path: str, name: str, number: int = 1) -> list[Received]:
        wait_for(
            f"{number} at {path} of {name}", lambda: len(self.of(path, name)) >= number, explain=lambda: str(self.received)
        )
        return self.of(path, name)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def config(url: str) -> str:
    """All three channels, ntfy with the agents' words."""
    return (
        f'[notify]\ndesktop = true\n\n[notify.ntfy]\nurl = "{url}/my-topic"\ntoken = "{TOKEN}"\nbody = "full"\n\n'
        f'[notify.webhook]\nurl = "{url}/hook"\nsecret = "{SECRET}"\n'
    )


class Telling(Service):
    """A service that tells the person ``pat``, with the answers listener for its links."""

    def __init__(self, home: Path, text: str, **environment: str) -> None:
        (home / "config.toml").write_text(text)
        bin_folder = home / "bin"
        bin_folder.mkdir(exist_ok=True)
        self.notify_send = bin_folder / "notify-send"
        self.notify_send.write_text(NOTIFY_SEND)
        self.notify_send.chmod(0o755)
        path = f"{bin_folder}:{os.environ['PATH']}"
        ours = {"IPC_PERSON": "pat", "IPC_ANSWERS": "127.0.0.1:0", "IPC_WEB_HOSTS": "ipc.example", "PATH": path}
        super().__init__(home, **{**ours, **environment})
        self.last = ""
        """The last question."""

    def shell(self) -> Shell:
        """A shell of the person."""
        shell = Shell(self.home, self.home)
        shell.env.update(self.env)
        return shell

    def desktop(self) -> list[list[str]]:
        """The arguments of each call of notify-send."""
        calls = Path(f"{self.notify_send}.calls")
        text = calls.read_text() if calls.exists() else ""
        return [call.split("\0")[:-1] for call in text.split("\n\n") if call]

    def called(self, name: str) -> list[str]:
        """The arguments of the call that tells of an agent."""
        found = wait_for(f"notify-send of {name}", lambda: [one for one in self.desktop() if one[3].startswith(f"{name} ")])
        return list(found[0])

    def port_of_answers(self) -> int:
        state = self._read("answers.json")
        return 0 if not state or state["error"] or not alive(state["pid"]) else int(state["port"])

    def ask(self, asker: str, text: str = "which branch?") -> str:
        """A question to the person; its id."""
        self.last = str(self.connect(asker, force=True).request("ask", to_id="pat", message={"content": text})["number"])
        return self.last
