"""The listener beside the page: nothing of the one is reachable at the other, and strangers don't close it."""

import asyncio
import socket
import time
from pathlib import Path
from typing import Any

from bridges.answer_tokens import mint
from bridges.answers.answering import Answering
from bridges.answers.listener import AnswersListener
from bridges.answers.webhooks_in import WebhooksIn
from bridges.web.pages import ROUTES
from broker.client.aio import AsyncConnection
from broker.home.data_folder import prepare_home
from broker.home.files import answer_key
from broker.home.logs import Log
from broker.home.settings import Settings
from broker.service.doors import DOORS
from tests.answers.listening import Listening
from tests.conftest import Service, wait_for

OF_THE_PAGE = [path for path, _show in ROUTES] + [
    "/sign-in",
    "/sign-out",
    "/events",
    "/metrics",
    "/healthz",
    "/readyz",
    "/static/x/y",
]
BROWSER, STRANGER = "127.0.0.3", "127.0.0.2"


def test_nothing_of_the_page_is_served_by_the_listener(listening: Listening) -> None:
    page = wait_for("the page", lambda: listening._read("web.json"))
    assert page["port"] != listening.answers_port()
    answers = {path: listening.http(method, path, source=BROWSER) for path in OF_THE_PAGE for method in ("GET", "POST")}
    nothing = next(iter(answers.values())).text
    assert {
        path for path, one in answers.items() if not (one.status == 404 and one.text == nothing) and one.status != 429
    } == set()


def test_strangers_are_slowed_down_and_who_has_a_link_is_not(listening: Listening, tag: str) -> None:
    question = listening.question(f"ann{tag}")
    statuses = [listening.http("GET", f"/a/guess-{n}", source=STRANGER).status for n in range(30)]
    assert statuses[0] == 404 and statuses[-1] == 429
    assert "retry-after" in listening.http("GET", "/a/guess", source=STRANGER).headers
    link = f"/a/{listening.token('question', question)}"
    assert listening.http("GET", link, source=STRANGER).status == 200, "behind a tunnel all have one address"
    assert listening.post_form(link, answer="yes").status == 200
    assert listening.answers(f"ann{tag}") == ["yes"]


def test_a_flood_from_many_addresses_shuts_out_nobody_who_has_a_link(tmp_path: Path) -> None:
    """The listener itself, as a server calls it: other machines' addresses can't be had here. No broker is there."""
    settings = Settings.load(env={"IPC_HOME": str(tmp_path)})
    prepare_home(settings)

    async def status(listener: AnswersListener, path: str, address: str) -> int:
        said: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b""}

        async def send(message: Any) -> None:
            said.append(message)

        scope = {"type": "http", "method": "GET", "path": path, "query_string": b"", "client": (address, 1)}
        await listener({**scope, "headers": [(b"host", b"ipc.example")]}, receive, send)
        return int(said[0]["status"])

    async def flood() -> tuple[int, int]:
        broker, log = AsyncConnection(settings, autostart=False), Log("answers")
        answering, deliveries = Answering(settings, broker), WebhooksIn(settings, broker, log)
        listener = AnswersListener(frozenset({"ipc.example"}), answering, {}, deliveries, log)
        for n in range(210):
            await status(listener, "/guess", f"203.0.113.{n}")
        guess = await status(listener, "/guess", "203.0.113.250")
        token = mint(answer_key(tmp_path), "question", "7", time.time())
        return guess, await status(listener, f"/a/{token}", "203.0.113.251")

    assert asyncio.run(flood()) == (429, 503)


def test_what_is_no_request_writes_nothing_to_disk(listening: Listening) -> None:
    upgrade = b"GET /x HTTP/1.1\r\nHost: ipc.example\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"
    for request in (b"\0 no HTTP\r\n\r\n", upgrade):
        with socket.create_connection(("127.0.0.1", listening.answers_port()), timeout=10) as s:
            s.sendall(request)
            assert s.recv(12).startswith(b"HTTP/1.1 4")
    assert (listening.home / "logs" / "answers.stderr").read_text() == ""


def test_the_listener_is_never_open_by_default(shared: Service) -> None:
    assert Settings.load(env={"IPC_HOME": str(shared.home)}).answers == ""
    assert {row.module: row.setting for row in DOORS}["bridges.answers"] == "answers"
    assert not (shared.home / "run" / "answers.json").exists()
