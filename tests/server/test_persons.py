"""A person is known by the terminal of a program that no agent's host has started; what a request says decides nothing."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq

from broker.core.facts import Body
from broker.home.endpoints import endpoint
from broker.home.paths import wire_socket
from broker.home.process_table import parent_of, process_started
from broker.protocol import frames
from broker.server.persons import is_person
from tests.conftest import Service
from tests.lasting import Lasting

_ORPHAN = """
import os, sys
terminal, report, hold = map(int, sys.argv[1:4])
if os.fork():
    os._exit(0)
os.setsid() if terminal < 0 else os.login_tty(terminal)
os.dup2(report, 1)
os.dup2(hold, 0)
os.execvp(sys.argv[4], sys.argv[4:])
"""
"""A process without us among its ancestors, in a session of its own."""
PROBE = [sys.executable, "-c", "import os, sys; print(os.getpid(), flush=True); sys.stdin.read()"]
PATH = {"PATH": os.environ["PATH"]}


@contextlib.contextmanager
def orphan(*command: str, terminal: bool = True, **env: str) -> Iterator[Any]:
    """The standard output of a command that runs until we have read it."""
    master, slave = os.openpty()
    (output, report), (hold, release) = os.pipe(), os.pipe()
    made = [str(slave) if terminal else "-1", str(report), str(hold)]
    subprocess.run(
        [sys.executable, "-c", _ORPHAN, *made, *command], pass_fds=(slave, report, hold), env={**PATH, **env}, check=True
    )
    for fd in (slave, report, hold):
        os.close(fd)
    with open(output, encoding="utf-8") as lines:
        try:
            yield lines
        finally:
            os.close(release)
            lines.read()  # its end
            os.close(master)


@pytest.fixture
def claude(tmp_path: Path) -> str:
    """A shell that is named like a host's program."""
    (tmp_path / "claude").symlink_to("/bin/sh")
    return str(tmp_path / "claude")


SHELL = ("sh", "-c", '"$@"; true', "sh", *PROBE)
CLEAN = ("sh", "-c", 'env -i "$@"; true', "sh", *PROBE)
"""A shell that stays while its command runs, which finds no environment in the second one."""


@pytest.mark.parametrize(
    ("command", "terminal", "env", "expected"),
    [
        (PROBE, True, {}, True),
        (SHELL, True, {}, True),
        (SHELL, False, {}, False),
        (SHELL, True, {"CLAUDE_CODE_USE_BEDROCK": "1", "CODEX_HOME": "/x"}, True),
        (SHELL, True, {"CLAUDECODE": ""}, True),
        (SHELL, True, {"CLAUDECODE": "1"}, False),
        (SHELL, True, {"CLAUDE_CODE_SESSION_ID": "s"}, False),
        (SHELL, True, {"GEMINI_CLI": "1"}, False),
        (SHELL, True, {"CODEX_THREAD_ID": "t"}, False),
        (CLEAN, True, {}, True),
        (CLEAN, True, {"CLAUDECODE": "1"}, False),
    ],
)
def test_a_process_is_a_persons_by_its_terminal_and_what_started_it(
    command: tuple[str, ...], terminal: bool, env: dict[str, str], expected: bool
) -> None:
    with orphan(*command, terminal=terminal, **env) as lines:
        pid = int(lines.readline())
        assert is_person(pid, {}) is expected
    assert is_person(pid, {}) is False


def test_what_a_hosts_program_started_is_no_person(claude: str) -> None:
    with orphan(claude, *SHELL[1:]) as lines:
        assert is_person(int(lines.readline()), {}) is False


def test_what_runs_below_the_process_of_a_session_is_no_person() -> None:
    with orphan(*SHELL) as lines:
        pid = int(lines.readline())
        above = parent_of(pid)
        host = Body("session", "s", above, process_started(above), "some host")
        assert is_person(pid, {above: host}) is False
        assert is_person(pid, {above: host._replace(started="1@1.1")}) is True  # an earlier process of that id


_EXCHANGE = """
import json, socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
stream = s.makefile("rwb")
for request in json.loads(sys.argv[2]):
    stream.write(json.dumps(request).encode() + b"\\n")
    stream.flush()
    print(stream.readline().decode().strip(), flush=True)
sys.stdin.read()
"""


def exchange(one: str, two: str, tokens: tuple[str, str]) -> list[dict[str, Any]]:
    """Twelve messages of two that take turns, each said to be a person's."""
    turns = [(two, tokens[0]), (one, tokens[1])] * 6
    said = {"action": "send", "message": {"content": "x"}, "person": True, "id": 1}
    return [{**said, "to_id": to, "session_token": token} for to, token in turns]


@pytest.fixture(scope="module")
def limited() -> Iterator[Service]:
    with tempfile.TemporaryDirectory(prefix="ipc-") as folder:
        service = Service(Path(folder), IPC_PAIR_LIMIT="2")
        try:
            yield service.start()
        finally:
            service.stop()


@pytest.mark.parametrize(("terminal", "slowed"), [(True, False), (False, True)])
def test_the_limit_between_machines_is_lifted_at_a_terminal_alone(limited: Service, terminal: bool, slowed: bool) -> None:
    one, two = f"one-{terminal}", f"two-{terminal}"
    requests = exchange(one, two, (limited.register(one), limited.register(two)))
    program = (sys.executable, "-c", _EXCHANGE, wire_socket(str(limited.home)), json.dumps(requests))
    with orphan(*program, terminal=terminal) as lines:
        codes = [json.loads(lines.readline()).get("code") for _ in requests]
    assert ("slow_down" in codes) is slowed, codes


def test_no_one_is_a_person_over_tcp_or_zeromq(limited: Service) -> None:
    requests = exchange("tom", "tim", (limited.register("tom"), limited.register("tim")))
    lasting = Lasting(limited)
    assert "slow_down" in [lasting.ask(dict(request)).get("code") for request in requests]
    lasting.close()
    requests = exchange("zoe", "zac", (limited.register("zoe"), limited.register("zac")))
    with zmq.Context() as context, context.socket(zmq.DEALER) as dealer:
        dealer.setsockopt(zmq.RCVTIMEO, 20_000)
        dealer.connect(endpoint(limited.settings))
        codes = []
        for request in requests:
            dealer.send(frames.encode([request]))
            codes.append(frames.decode(dealer.recv())[0].get("code"))
    assert "slow_down" in codes


def test_plain_words_over_tcp_are_no_persons(limited: Service) -> None:
    tokens = limited.register("ann"), limited.register("bea")
    lasting = Lasting(limited)
    turns = (("bea", tokens[0]), ("ann", tokens[1])) * 6
    said = [{"action": "say", "text": f"msg {to}: x", "session_token": token} for to, token in turns]
    codes = [result.get("code") for request in said for result in lasting.ask(request).get("results", [{}])]
    lasting.close()
    assert "slow_down" in codes
