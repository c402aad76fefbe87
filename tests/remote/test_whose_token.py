"""Session tokens and the shared secret stay with the broker they are of, where one machine reaches two."""

import asyncio
import json
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bridges import host_sessions, saved_sessions
from bridges.cli import registration
from bridges.hosts.guard import own_token
from bridges.hosts.hook_answers import HookAnswers
from bridges.hosts.hook_event import HookEvent
from bridges.known_hosts.claude import hooks as claude
from bridges.mcp.relay import Relay
from bridges.mcp.relayed_agent import Agent
from bridges.mcp.session import BridgeSession
from broker.client import aio, sync
from broker.home.paths import Place, mcp_socket, wire_socket
from broker.home.settings import Settings
from broker.protocol import frames
from broker.protocol.ids import auth_token
from tests.remote.machines import Host, run

SECRET = "of this machine"  # noqa: S105


class Recorder:
    """Notes the requests of every frame that leaves this process, which it lets go."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sent: list[dict[str, Any]] = []
        encode = frames.encode

        def noting(maps: list[dict[str, Any]]) -> bytes:
            self.sent += [dict(body) for body in maps]
            return encode(maps)

        monkeypatch.setattr(frames, "encode", noting)

    def actions(self) -> list[str]:
        return [body["action"] for body in self.sent]

    def saw(self, value: str) -> bool:
        return value in json.dumps(self.sent)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    return Recorder(monkeypatch)


@pytest.fixture
def both(host: Host, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """This process is on a machine with sessions of its own, and reaches the host by a key; the machine's data folder."""
    home = host.folder / "ipc"
    (home / "sessions").mkdir(parents=True, mode=0o700)
    home.chmod(0o700)
    key = host.new_key("rem")
    for name, value in {"IPC_HOME": str(home), "IPC_KEY_FILE": str(key), "IPC_SHARED_SECRET": SECRET}.items():
        monkeypatch.setenv(name, value)
    yield home


def local(home: Path, monkeypatch: pytest.MonkeyPatch, work: Callable[[str], Any]) -> Any:
    """Do it as a process without the key does."""
    with monkeypatch.context() as without:
        without.delenv("IPC_KEY_FILE")
        return work(str(home))


@pytest.mark.deep
def test_the_mcp_door_sends_no_token_and_no_proof_of_this_machine(
    both: Path, sent: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Path(local(both, monkeypatch, lambda home: saved_sessions.store(home, "/web", "rem", "a-local-token")))
    before = path.read_bytes()

    async def register() -> None:
        for _ in range(2):
            session = BridgeSession(Settings.load(), Agent("/web", "/web"))
            replies.append(str((await session.register("rem"))["message"]))
            await session.close(orderly=True)

    replies: list[str] = []
    asyncio.run(register())
    assert replies == ["Registered rem", "Resumed rem"]
    assert not sent.saw("a-local-token")
    assert not sent.saw(auth_token("rem", SECRET))
    assert path.read_bytes() == before


@pytest.mark.deep
def test_python_clients_send_no_proof_of_this_machines_secret(both: Path, sent: Recorder) -> None:
    sync.connect("rem").close()

    async def register() -> None:
        await (await aio.connect_async("rem")).close()

    asyncio.run(register())
    assert sent.actions() == ["register", "register"]
    assert not sent.saw(auth_token("rem", SECRET))


@pytest.mark.deep
def test_the_shell_sends_no_proof_of_this_machines_secret(both: Path, sent: Recorder) -> None:
    registration.register(Place.here(), "rem")
    assert sent.actions() == ["register"]
    assert not sent.saw(auth_token("rem", SECRET))


@pytest.mark.deep
def test_the_shell_of_a_host_does_not_use_the_hosts_local_session(host: Host, both: Path) -> None:
    token = host.service.connect("rem").token  # the host's broker would take it, so that its use would be seen
    bound = host_sessions.Binding(host="claude", session="s1", name="rem", token=token, project=str(host.folder))
    files = {"host-s1.json": {k: getattr(bound, k) for k in host_sessions.Binding.__slots__}}
    files |= {key: {"name": "rem", "token": token, "project": str(host.folder)} for key in ("mcp-0.json", "cli-rem.json")}
    for name, stored in files.items():
        saved_sessions.write_json(str(both / "sessions" / name), stored)
    env = {"IPC_HOME": str(both), "IPC_KEY_FILE": str(host.folder / "rem.key"), "CLAUDE_CODE_SESSION_ID": "s1"}
    done = run(env, host.folder, "whoami")
    assert (done.returncode, "ipc register" in done.stderr) == (4, True), done


@pytest.mark.deep
def test_hooks_send_no_token_and_no_proof_of_this_machine(
    host: Host, both: Path, sent: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Path(local(both, monkeypatch, lambda home: saved_sessions.store(home, "/web", "rem", "a-local-token")))
    before = path.read_bytes()
    event = HookEvent(str(both), claude, "SessionStart", None, {"session_id": "s1", "cwd": "/web"})
    assert HookAnswers(event, lambda _answer: True).answer()
    assert "register" in sent.actions()
    assert not sent.saw("a-local-token")
    assert not sent.saw(auth_token("rem", SECRET))
    assert path.read_bytes() == before
    bound = host_sessions.load(str(both), "s1")
    assert bound is not None
    assert bound.name == "rem"
    assert local(both, monkeypatch, lambda home: host_sessions.load(home, "s1")) is None


@pytest.mark.deep
def test_the_guard_takes_the_session_of_the_key(host: Host, both: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("CLAUDE_CODE_SESSION_ID", "GEMINI_SESSION_ID", "CODEX_THREAD_ID", "IPC_NAME"):
        monkeypatch.delenv(variable, raising=False)
    (both / "sessions" / "cli-current").write_text("rem\n")
    (both / "sessions" / "cli-rem.json").write_text('{"name": "rem", "token": "a-local-token"}')
    assert own_token(str(both)) is None
    assert local(both, monkeypatch, own_token) == "a-local-token"


@pytest.mark.deep
def test_what_waits_for_mail_beside_a_host_leaves_the_local_door_alone(both: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bound = host_sessions.Binding(host="claude", session="s1", name="rem", token="of-the-key", project="/web", pid=os.getpid())  # noqa: S106
    bound.started = host_sessions.process_started(bound.pid)
    host_sessions.save(str(both), bound)
    (both / "run").mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as door:
        door.bind(wire_socket(str(both)))
        door.listen()
        done = run({"IPC_HOME": str(both), "IPC_KEY_FILE": os.environ["IPC_KEY_FILE"]}, both, "monitor", "s1")
        assert done.returncode == 0
        door.setblocking(False)
        with pytest.raises(BlockingIOError):
            door.accept()


@pytest.mark.deep
def test_an_mcp_relay_that_lost_its_process_does_not_turn_to_the_local_one(both: Path) -> None:
    (both / "run").mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as local_one:
        local_one.bind(mcp_socket(str(both)))
        local_one.listen()
        assert Relay(Place.here(), None)._open(start=False) is None
