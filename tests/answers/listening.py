"""A service whose supervisor runs the answers listener, on a free port, and requests to it as a phone or a sender makes."""

import asyncio
import contextlib
import hashlib
import hmac
import http.client
import json
import select
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

from bridges.answer_tokens import mint
from bridges.person import Person
from bridges.webhook_signatures import secret_bytes, sign
from broker.client.aio import AsyncConnection
from broker.client.sync import Connection
from broker.home.files import answer_key, owner_key
from broker.home.paths import wire_socket
from tests.conftest import Service, wait_for
from tests.processes import alive

GITHUB_SECRET = "a secret of twenty characters"  # noqa: S105
GENERIC_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # noqa: S105
CONFIG = f"""
[webhooks.ci]
form = "github"
secret = "{GITHUB_SECRET}"
to = "builder"

[webhooks.shop]
form = "generic"
secret = "{GENERIC_SECRET}"
to = "seller"
land = "turn"
"""


def as_owner(service: Service, action: str, **fields: Any) -> dict[str, Any]:
    with contextlib.closing(Connection(service.settings, autostart=False)) as connection:
        return connection.request(action, session_token=owner_key(service.home), **fields)


class HttpAnswer(NamedTuple):
    """Header names are lowercase."""

    status: int
    headers: dict[str, str]
    text: str


class Listening(Service):
    """A service with the listener."""

    def __init__(self, home: Path, config: str = CONFIG, **environment: str) -> None:
        super().__init__(
            home, **{"IPC_ANSWERS": "127.0.0.1:0", "IPC_WEB_HOSTS": "ipc.example", "IPC_PERSON": "pat", **environment}
        )
        (home / "config.toml").write_text(config)

    def start(self) -> "Listening":
        super().start()
        wait_for("the listener", self.answers_port, explain=self.describe)
        return self

    def answers_port(self) -> int:
        state = self._read("answers.json")
        return 0 if not state or state["error"] or not alive(state["pid"]) else int(state["port"])

    def http(self, method: str, path: str, body: bytes = b"", source: str = "127.0.0.1", **headers: str) -> HttpAnswer:
        """One request from that address of this machine; ``_`` in a header's name stands for ``-``."""
        named = {"Host": "ipc.example", **{name.replace("_", "-"): value for name, value in headers.items()}}
        connection = http.client.HTTPConnection("127.0.0.1", self.answers_port(), timeout=20, source_address=(source, 0))
        with contextlib.closing(connection):
            connection.request(method, path, body=body if body or method == "POST" else None, headers=named)
            reply = connection.getresponse()
            text = reply.read().decode()
            return HttpAnswer(reply.status, {k.lower(): v for k, v in reply.getheaders()}, text)

    def post_form(self, path: str, **fields: str) -> HttpAnswer:
        form = "application/x-www-form-urlencoded"
        return self.http("POST", path, urlencode(fields).encode(), Content_Type=form, Origin="https://ipc.example")

    def owner(self, action: str, **fields: Any) -> dict[str, Any]:
        return as_owner(self, action, **fields)

    def token(self, kind: str, of_id: str, life_s: float = 600.0) -> str:
        return mint(answer_key(self.home), kind, of_id, time.time(), life_s)

    def person(self) -> str:
        """The person's token, made by the page's own code."""

        async def session() -> str:
            connection = AsyncConnection(self.settings, autostart=False)
            try:
                return await Person(connection, self.settings, owner_key(self.home)).session()
            finally:
                await connection.close()

        with self.environment(), ThreadPoolExecutor(1) as aside:  # a browser's test has a loop of its own here
            return aside.submit(lambda: asyncio.run(session())).result()

    def question(self, asker: str, text: str = "deploy?", **data: Any) -> str:
        """Register the person and an asker, ask; the question's id."""
        self.person()
        client = self.connect(asker, force=True)
        message = {"content": text, **({"data": data} if data else {})}
        return str(client.request("ask", to_id="pat", message=message)["number"])

    def answers(self, asker: str) -> list[str]:
        client = self.connect(asker, force=True)
        return [mail.content for mail in client.check()]

    def github(
        self, body: bytes, delivery: str, event: str = "push", secret: str = GITHUB_SECRET, **headers: str
    ) -> HttpAnswer:
        digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
        named = {"X_GitHub_Event": event, "X_GitHub_Delivery": delivery, "X_Hub_Signature_256": f"sha256={digest}"}
        return self.http("POST", "/hook/ci", body, **{"Content_Type": "application/json", **named, **headers})

    def generic(self, body: bytes, delivery: str, off_s: float = 0.0, secret: str = GENERIC_SECRET) -> HttpAnswer:
        at_s = int(time.time() + off_s)
        named = {"webhook_id": delivery, "webhook_timestamp": str(at_s)}
        return self.http(
            "POST", "/hook/shop", body, **named, webhook_signature=sign(secret_bytes(secret), delivery, at_s, body)
        )


def payload(**fields: Any) -> bytes:
    return json.dumps({"repository": {"full_name": "octo/repo"}, "sender": {"login": "octocat"}, **fields}).encode()


class Prompt:
    """A host's prompt that waits for the person, as a hook holds it: over the broker's own socket."""

    def __init__(self, service: Service, name: str, shown: str = "rm -rf build", call: str = "call-0001") -> None:
        token = service.connect(name, force=True).token
        asked = {"call": call, "tool": "Bash", "shown": shown, "wait_s": 60.0}
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(30)
        self._socket.connect(wire_socket(str(service.home)))
        self._socket.sendall(
            json.dumps({"action": "permission_ask", "id": 1, "session_token": token, **asked}).encode() + b"\n"
        )
        self.id = wait_for("the prompt", lambda: self._find(service, name))

    @staticmethod
    def _find(service: Service, name: str) -> str:
        return next((p["id"] for p in as_owner(service, "overview")["permissions"] if p["name"] == name), "")

    @property
    def waits(self) -> bool:
        """Nothing has been said yet."""
        return not select.select([self._socket], [], [], 0)[0]

    def decision(self) -> str:
        return str(json.loads(self._socket.recv(65536))["decision"])

    def close(self) -> None:
        self._socket.close()
