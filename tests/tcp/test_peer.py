"""The port knows whose a connection is: another OS user gets nothing, and who can't be told takes no name."""

import contextlib
import ctypes
import json
import os
import platform
import shutil
import signal
import socket
import struct
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bridges.cli.status import door_line
from bridges.peers import UNKNOWN, PeerProcess, Peers
from bridges.tcp.admission import NOBODY_KNOWN, Admission
from broker.home.logs import Log
from broker.home.settings import Settings
from broker.protocol.errors import IpcError
from broker.protocol.ids import auth_token
from tests.conftest import Service, wait_for
from tests.other_user import NOBODY, as_nobody, forked, needs_root
from tests.processes import freeze

SECRET = "right"  # noqa: S105
WAYS = {"127.0.0.1": "127.0.0.1", "::1": "::1", "::ffff:127.0.0.1": "127.0.0.1"}
"""What a client connects to, and where the server then listens: over the last one the two families meet."""


def without_netlink() -> None:
    """Have the kernel refuse this process netlink sockets, as sandboxes do (seccomp(2))."""
    call = {"x86_64": 41, "aarch64": 198}[platform.machine()]
    load, equal, give = 0x20, 0x15, 0x06
    refuse, allow = 0x00050000 | 13, 0x7FFF0000
    code = [(load, 0, 0, 0), (equal, 0, 3, call), (load, 0, 0, 16), (equal, 0, 1, socket.AF_NETLINK)]
    packed = b"".join(struct.pack("=HBBI", *line) for line in [*code, (give, 0, 0, refuse), (give, 0, 0, allow)])
    program = ctypes.create_string_buffer(packed)
    filter_ = struct.pack("@HP", len(code) + 2, ctypes.addressof(program))
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(38, 1, 0, 0, 0) == 0
    assert libc.prctl(22, 2, ctypes.c_char_p(filter_), 0, 0) == 0
    with pytest.raises(PermissionError):
        socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, 4)


def listening_at(host: str) -> socket.socket:
    return socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET)


@contextlib.contextmanager
def connected(host: str) -> Iterator[tuple[socket.socket, socket.socket]]:
    """(the server's end, the client's)"""
    with listening_at(WAYS[host]) as listening:
        client = connect(host, listening.getsockname()[1])
        accepted, _address = listening.accept()
        with accepted, client:
            yield accepted, client


def connect(host: str, port: int) -> socket.socket:
    s = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    s.settimeout(20)
    s.connect((host, port))
    return s


def ask(host: str, port: int, request: dict[str, Any]) -> dict[str, Any]:
    with connect(host, port) as s:
        s.sendall(json.dumps(request).encode())
        reply: dict[str, Any] = json.loads(s.recv(65536))
        return reply


def refusals(service: Service) -> list[dict[str, Any]]:
    return [line for line in service.log("tcp") if line["event"] == "user_refused"]


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    """One for all, at both addresses of localhost."""
    home = Path(tempfile.mkdtemp(prefix="ipc-"))
    service = Service(home, IPC_HOST="localhost")
    try:
        yield service.start()
    finally:
        service.stop()
        shutil.rmtree(home, ignore_errors=True)


def seen(host: str) -> list[PeerProcess]:
    """Who is at the other end: while it is there, when it has closed its sending side, closed, and reset."""
    peers = Peers()
    assert peers.knows
    found = []
    with connected(host) as (accepted, client):
        found.append(peers(accepted))
        client.sendall(b"something unread")
        client.shutdown(socket.SHUT_WR)
        found.append(peers(accepted))
        client.close()
        found.append(peers(accepted))
    with connected(host) as (accepted, client):
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        found.append(peers(accepted))
        with pytest.raises(ConnectionResetError):
            accepted.recv(1)
    return found


@pytest.mark.parametrize("host", WAYS)
@pytest.mark.parametrize("refused", [False, True], ids=["by netlink", "by the tables"])
def test_a_connection_is_its_users_while_that_process_holds_it(host: str, refused: bool) -> None:
    def work() -> list[PeerProcess]:
        if refused:
            without_netlink()
        return seen(host)

    ours = PeerProcess("ours", os.getuid())
    assert forked(work) == [ours, ours, UNKNOWN, UNKNOWN]


@needs_root
@pytest.mark.parametrize("host", WAYS)
@pytest.mark.parametrize("refused", [False, True], ids=["by netlink", "by the tables"])
def test_another_user_is_foreign(host: str, refused: bool) -> None:
    def work() -> PeerProcess:
        if refused:
            without_netlink()
        with listening_at(WAYS[host]) as listening:
            child = os.fork()
            if child == 0:
                as_nobody()
                connect(host, listening.getsockname()[1]).recv(1)
                os._exit(0)
            with listening.accept()[0] as accepted:
                found = Peers()(accepted)
            os.waitpid(child, 0)
        return found

    assert forked(work) == PeerProcess("foreign", NOBODY)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_name_is_registered_over_both_families_of_localhost(service: Service, host: str) -> None:
    reply = ask(host, service.port(), {"action": "register", "instance_id": "six"})
    assert (reply["status"], reply["message"]) == ("ok", "Registered six")


@needs_root
@pytest.mark.parametrize("host", WAYS)
def test_another_user_is_refused_everything_at_the_port(service: Service, host: str) -> None:
    token = service.register("fred")
    port = service.port()

    def work() -> list[Any]:
        as_nobody()
        requests = (
            {"action": "register", "instance_id": "fred"},
            {"action": "check", "session_token": token},
            {"action": "zap"},
        )
        return [ask(host, port, request).get("code") for request in requests]

    assert forked(work) == ["forbidden_user"] * 3
    assert service.ask({"action": "whoami", "session_token": token})["instance_id"] == "fred"


@pytest.mark.parametrize("host", WAYS)
def test_who_left_before_the_door_looked_takes_no_name_and_may_have_sent(service: Service, host: str) -> None:
    token, mallory = service.register("fred"), {"action": "register", "instance_id": "fred"}
    send = {"action": "send", "to_id": "fred", "message": {"content": host}, "session_token": token}
    door = wait_for("the door", lambda: service.pid("tcp"))
    before = len(refusals(service))
    freeze(door)
    try:
        for request in (mallory, send):
            with connect(host, service.port()) as s:
                s.sendall(json.dumps(request).encode())
    finally:
        os.kill(door, signal.SIGCONT)
    wait_for("the refusal", lambda: len(refusals(service)) > before)
    check = {"action": "check", "session_token": token}
    got = wait_for("what was sent", lambda: service.ask(check).get("messages"))
    assert [m["message"]["content"] for m in got] == [host]


@needs_root
def test_with_a_shared_secret_the_proof_decides_for_every_user(make_service: Callable[..., Service]) -> None:
    service = make_service(IPC_SHARED_SECRET=SECRET).start()
    port, proof = service.port(), auth_token("fred", SECRET)

    def work() -> list[Any]:
        as_nobody()
        register = {"action": "register", "instance_id": "fred"}
        return [ask("127.0.0.1", port, {**register, "auth_token": given}).get("code") for given in ("wrong", proof)]

    assert forked(work) == ["invalid_auth", None]


@needs_root
@pytest.mark.parametrize("secret", ["", SECRET])
def test_where_nothing_tells_who_connects_a_name_needs_the_secret_and_the_service_says_so(home: Path, secret: str) -> None:
    def work() -> tuple[bool, bool, PeerProcess, str | None]:
        admission = Admission(settings, Log("blind", home, "info"))
        with connected("127.0.0.1") as (accepted, _client):
            peer = admission.admit(Someone(), accepted)
        try:
            admission.check_register(peer)
        except IpcError as error:
            return admission.warning is not None, "secret" in door_line(state), peer, error.code
        return admission.warning is not None, True, peer, None

    def blind() -> Any:
        without_netlink()
        "localhost".encode("idna")  # whose module must be there before
        os.chroot(home)  # where there is no /proc
        return work()

    settings = Settings(home=home, shared_secret=secret)
    state = {"host": "127.0.0.1", "port": 1, "error": None, "tls": False, "warning": NOBODY_KNOWN}
    assert forked(blind) == (not secret, True, UNKNOWN, None if secret else "unknown_user")


class Someone:
    def drop(self) -> None: ...
