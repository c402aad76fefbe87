"""``ipc web`` as a person types it."""

import json
import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridges.web.metrics_token import metrics_token
from tests.conftest import Service, wait_for
from tests.ports import free_port
from tests.shell import IPC, Shell
from tests.web.live_page import LivePage

LINK = re.compile(r"^http://127\.0\.0\.1:(\d+)/sign-in#([\w-]{43})$", re.M)


@pytest.fixture
def shell(home: Path) -> Iterator[Shell]:
    shell = Shell(home)
    yield shell
    shell.run("down")


@pytest.fixture
def live(worker_page: LivePage) -> Iterator[LivePage]:
    yield worker_page
    worker_page.close_clients()


def answers(port: int) -> bool:
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


def test_a_page_that_runs_is_asked_for_a_link(live: LivePage, home: Path) -> None:
    shell = Shell(home, live.home)
    printed = [LINK.search(shell.ok("web", IPC_WEB="true")) for _ in range(2)]
    assert all(printed)
    ports, tokens = zip(*(found.groups() for found in printed if found), strict=True)
    assert set(ports) == {str(live.page_port())}
    assert len(set(tokens)) == 2
    assert [live.post("/sign-in", {"token": token}, Cookie="").status for token in (*tokens, tokens[0])] == [200, 200, 400]


def test_every_browser_is_signed_out_by_a_command(live: LivePage, home: Path) -> None:
    given = [live.post("/sign-in", {"token": live.link().partition("#")[2]}, Cookie="").headers["set-cookie"] for _ in range(2)]
    cookies = [cookie.partition(";")[0] for cookie in given]
    assert [live.get("/", Cookie=cookie).status for cookie in cookies] == [200, 200]
    Shell(home, live.home).ok("web", "--sign-out")
    live.forget_cookie()
    assert [live.get("/", Cookie=cookie).status for cookie in cookies] == [401, 401]


def test_the_service_says_where_the_page_is(live: LivePage, home: Path) -> None:
    shell, line = Shell(home, live.home), f"http://127.0.0.1:{live.page_port()}; ipc web prints a link to it"
    assert f"page     {line}" in shell.ok("status")
    assert line in shell.run("doctor").stdout
    assert json.loads(shell.ok("status", "--json"))["page"]["port"] == live.page_port()


def test_the_metrics_token_is_printed_alone(live: LivePage, home: Path) -> None:
    assert Shell(home, live.home).ok("web", "--metrics-token") == metrics_token(str(live.home)) + "\n"


@pytest.mark.deep
def test_without_the_setting_the_page_lives_as_long_as_the_command(shell: Shell) -> None:
    env = {**shell.env, "IPC_WEB_PORT": "0"}
    with subprocess.Popen([*IPC, "web"], env=env, cwd=shell.home, stdout=subprocess.PIPE, text=True) as command:
        try:
            assert command.stdout is not None
            first = LINK.search(command.stdout.readline())
            assert first is not None
            port = int(first.group(1))
            assert answers(port)
            again = LINK.search(shell.ok("web"))  # another one gives a link to the same page
            assert again is not None and again.group(1) == first.group(1)
            command.send_signal(signal.SIGINT)
            assert "Ctrl+C" in command.stdout.read()
        finally:
            command.kill()
    assert command.returncode == 0
    assert not answers(port)


def test_a_port_that_is_held_is_said(shell: Shell) -> None:
    port = free_port()
    with socket.create_server(("127.0.0.1", port)):
        said = shell.fails(1, "web", IPC_WEB_PORT=str(port))
    assert f"port {port} is held by" in said and f"pid {os.getpid()}" in said and "IPC_WEB_PORT" in said


@pytest.mark.deep
def test_a_service_that_was_started_without_the_page_is_said(shell: Shell) -> None:
    shell.ok("up")
    assert "ipc down, then: ipc web" in shell.fails(1, "web", IPC_WEB="true")


def test_the_page_of_a_key_file_is_refused(shell: Shell) -> None:
    assert "another machine's broker" in shell.fails(2, "web", IPC_KEY_FILE="/nowhere")


@pytest.mark.deep
def test_without_the_extra_the_page_says_what_to_install(home: Path) -> None:
    """A page whose Jinja2 can't be found, as where the extra is missing, stays and says so."""
    hidden = home / "hidden"
    hidden.mkdir()
    (hidden / "sitecustomize.py").write_text(
        "import importlib.util as u\nfind = u.find_spec\n"
        "u.find_spec = lambda name, package=None: None if name == 'jinja2' else find(name, package)\n"
    )
    service = Service(home / "ipc", IPC_WEB="true", IPC_WEB_PORT="0", PYTHONPATH=f"{Path(__file__).parents[2]}:{hidden}")
    try:
        service.start()
        path = home / "ipc" / "run" / "web.json"
        wait_for("the page's word", lambda: path.exists() and "jinja2 is missing" in str(json.loads(path.read_text())["error"]))
        assert "pip install 'agent-ipc[web]'" in json.loads(path.read_text())["error"]
        assert service.pid("web")
    finally:
        service.stop()
