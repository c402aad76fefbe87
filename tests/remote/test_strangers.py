"""What someone without a key can do at the remote door: nothing, and no harm to local mail."""

import contextlib
import json
import os
import socket
import stat
import struct
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import zmq

from bridges.remote.door import WAITING_LIMIT
from broker.client.keyfile import KeyFile
from broker.client.sync import Client
from broker.client.zeromq_link import Handshakes, ZmqLink
from broker.home.files import FolderError
from broker.home.keys import AllowList, allow, allowed, new_pair, revoke, server_pair
from broker.home.settings import Settings, SettingsError
from broker.protocol import frames
from tests.conftest import Service, wait_for
from tests.ports import free_port
from tests.remote.machines import Host, Machine

_GREETING_BYTES = 64
"""Of ZMTP 3: the most that a peer without a key is told."""
WAIT_MS = 1000


def zmq_socket(client: Client) -> "zmq.Socket[bytes]":
    """A client's own socket, past the client."""
    link = client._connection._open()
    assert isinstance(link, ZmqLink)
    return link._socket


def heard(s: socket.socket) -> int:
    """Bytes that come until the other end closes."""
    total = 0
    while True:
        try:
            data = s.recv(65536)
        except ConnectionResetError:
            return total
        if not data:
            return total
        total += len(data)


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b'{"action":"register","instance_id":"fred"}\n',
        b"\xff" + b"\0" * 8 + b"\x7f" + b"\xff" * 4000,
        os.urandom(5000),
        b"\xff" + b"\0" * 8 + b"\x7f\x03\x00NULL" + b"\0" * 48 + b"\x04\x26\x05READY" + b"\0" * 60,
    ],
)
def test_garbage_gets_a_greeting_at_most_and_is_dropped(shared_host: Host, tag: str, garbage: bytes) -> None:
    with socket.create_connection(shared_host.address()) as s:
        s.settimeout(15)
        s.sendall(garbage)
        with contextlib.suppress(OSError):  # it has been dropped already
            s.shutdown(socket.SHUT_WR)
        assert heard(s) <= _GREETING_BYTES
    assert shared_host.service.connect(f"fred{tag}").send(f"fred{tag}", "x")["status"] == "ok"


@pytest.mark.deep
def test_a_peer_that_says_nothing_is_dropped(host: Host) -> None:
    with socket.create_connection(host.address()) as s:
        s.settimeout(20)
        assert heard(s) <= _GREETING_BYTES


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.deep
def test_a_zeromq_client_without_a_key_gets_nothing(host: Host, plain: bool) -> None:
    context = zmq.Context()
    try:
        with context.socket(zmq.DEALER) as s:
            s.setsockopt(zmq.LINGER, 0)
            if plain:
                s.setsockopt(zmq.PLAIN_USERNAME, b"fred")
                s.setsockopt(zmq.PLAIN_PASSWORD, b"fred")
            s.connect("tcp://{}:{}".format(*host.address()))
            s.send(frames.encode([{"action": "ping", "id": 1}]))
            assert s.poll(WAIT_MS) == 0
    finally:
        context.term()


def test_a_client_may_not_choose_its_route(shared_host: Host, tag: str, machine: Machine) -> None:
    stored = json.loads(shared_host.new_key(f"fred{tag}").read_text())
    context = zmq.Context()
    try:
        with context.socket(zmq.DEALER) as s:
            s.setsockopt(zmq.LINGER, 0)
            s.setsockopt(zmq.ROUTING_ID, b"another's")
            s.setsockopt(zmq.CURVE_SERVERKEY, bytes.fromhex(stored["server_key"]))
            s.setsockopt(zmq.CURVE_PUBLICKEY, bytes.fromhex(stored["public_key"]))
            s.setsockopt(zmq.CURVE_SECRETKEY, bytes.fromhex(stored["secret_key"]))
            s.connect(stored["endpoint"])
            s.send(frames.encode([{"action": "ping", "id": 1}]))
            assert s.poll(WAIT_MS) == 0
    finally:
        context.term()


def test_frames_that_are_none_get_one_error_and_the_door_goes_on(shared_host: Host, tag: str, machine: Machine) -> None:
    fred = machine.connect(shared_host.new_key(f"fred{tag}"), f"fred{tag}")
    s = zmq_socket(fred)
    for frame in (b"", b"\xc1", b"\x93\x01\x02\x03", frames.encode([{"action": 7, "id": 1}])):
        s.send(frame)
        assert s.poll(5000)
        reply = frames.decode(s.recv())[0]
        assert reply["code"] in ("bad_request", "unknown_action")
    assert fred.request("unsubscribe", subscription=12)["status"] == "ok"
    assert fred.whoami()["instance_id"] == f"fred{tag}"


@pytest.mark.deep
def test_a_flood_of_handshakes_does_not_stop_local_mail(host: Host) -> None:
    fred = host.service.connect("fred")
    address = host.address()
    peers: list[socket.socket] = []
    end = time.monotonic() + 3
    slowest_s = 0.0
    while time.monotonic() < end:
        s = socket.create_connection(address)
        s.sendall(b"\xff" + b"\0" * 8 + b"\x7f\x03\x01CURVE" + b"\0" * 47)
        peers.append(s)
        begun = time.monotonic()
        assert fred.send("fred", "x")["status"] == "ok"
        slowest_s = max(slowest_s, time.monotonic() - begun)
        if len(peers) > 400:  # some go without a goodbye, some stay
            peers[0].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            peers.pop(0).close()
    for s in peers:
        s.close()
    assert slowest_s < 2.0
    assert host.service.pid("remote")


@pytest.mark.deep
def test_strangers_leave_no_descriptor_behind(host: Host) -> None:
    pid = host.service.pid("remote")
    before = len(os.listdir(f"/proc/{pid}/fd"))
    peers = [socket.create_connection(host.address()) for _ in range(50)]
    wait_for("the connections", lambda: len(os.listdir(f"/proc/{pid}/fd")) >= before + 50)
    wait_for("their end", lambda: len(os.listdir(f"/proc/{pid}/fd")) <= before + 2)  # nothing was said: time is up
    for s in peers:
        s.close()


@pytest.mark.deep
def test_a_taken_address_is_told_and_taken_when_it_is_free(make_service: Callable[..., Service], home: Path) -> None:
    port = free_port()
    state = home / "run" / "remote.json"
    with socket.create_server(("127.0.0.1", port)):
        make_service(IPC_REMOTE=f"tcp://127.0.0.1:{port}").start()
        error = wait_for("the door's error", lambda: state.exists() and json.loads(state.read_text())["error"])
        assert "Address already in use" in error
    wait_for("the door", lambda: not json.loads(state.read_text())["error"])


@pytest.mark.parametrize("address", ["0.0.0.0:9877", "tcp://0.0.0.0", "ipc:///tmp/x", "tcp://:9877", "tcp://a b:1"])
def test_an_address_that_is_none_is_refused_by_name(home: Path, address: str) -> None:
    with pytest.raises(SettingsError, match="IPC_REMOTE: remote must be tcp://HOST:PORT"):
        Settings.load(env={"IPC_HOME": str(home), "IPC_REMOTE": address})


# the files


def settings(home: Path) -> Settings:
    return Settings.load(env={"IPC_HOME": str(home)})


def test_keys_are_private_whatever_the_umask_and_stay_the_same(home: Path) -> None:
    before = os.umask(0)
    try:
        pair = server_pair(settings(home))
        allow(settings(home), "fred", new_pair().public)
    finally:
        os.umask(before)
    assert server_pair(settings(home)) == pair
    modes = {p.name: stat.S_IMODE(p.lstat().st_mode) for p in [home / "keys", *(home / "keys").iterdir()]}
    assert modes == {"keys": 0o700, "server.json": 0o600, "allowed.json": 0o600, "lock": 0o600}


def test_no_link_is_followed_and_no_key_that_others_can_read_is_used(home: Path) -> None:
    server_pair(settings(home))
    real = home / "keys" / "server.json"
    real.chmod(0o644)
    with pytest.raises(FolderError, match="chmod 600"):
        server_pair(settings(home))
    moved = home / "server.json"
    real.rename(moved)
    moved.chmod(0o600)
    real.symlink_to(moved)
    with pytest.raises(FolderError, match="is a link"):
        server_pair(settings(home))
    (home / "keys").rename(home / "real-keys")
    (home / "keys").symlink_to(home / "real-keys")
    with pytest.raises(FolderError, match="is a link"):
        server_pair(settings(home))


def test_a_key_stands_for_one_name_and_names_may_have_several(home: Path) -> None:
    here, (one, two) = settings(home), (new_pair(), new_pair())
    for name, pair in (("fred", one), ("fred", two), ("wilma", one)):
        allow(here, name, pair.public)
    assert [(row.name, row.key) for row in allowed(here)] == [("fred", two.public), ("wilma", one.public)]
    allow(here, "fred", one.public)
    assert len(revoke(here, "fred")) == 2
    assert allowed(here) == []
    for name in ("system", "a b", "x" * 33):
        with pytest.raises(SettingsError):
            allow(here, name, one.public)
    for key in ("", "x" * 64, one.public[:-1], "\u0660" * 64):
        with pytest.raises(SettingsError):
            allow(here, "fred", key)


def test_a_list_that_cannot_be_read_lets_nobody_in(home: Path) -> None:
    here, key, told = settings(home), new_pair().public, list[str]()
    names = AllowList(here, told.append)
    assert names.name_of(key) is None
    allow(here, "fred", key)
    assert names.name_of(key) == "fred"
    (home / "keys" / "allowed.json").write_text('[{"name": "fred"')
    assert names.name_of(key) is None
    assert len(told) == 1
    assert key not in told[0]


@pytest.mark.deep
def test_a_key_file_is_never_written_over(host: Host) -> None:
    path = host.new_key("fred")
    before = path.read_text()
    assert "exists already" in host.ipc("keys", "new", "fred", "--out", str(path), status=1)
    assert path.read_text() == before
    assert len(allowed(host.service.settings)) == 1


@pytest.mark.deep
def test_no_secret_is_printed_or_logged(shared_host: Host, tag: str, machine: Machine) -> None:
    key = shared_host.new_key(f"fred{tag}")
    secrets = [json.loads(key.read_text())["secret_key"], server_pair(shared_host.service.settings).secret]
    machine.connect(key, f"fred{tag}").send(f"fred{tag}", "x")
    said = (
        shared_host.ipc("keys")
        + shared_host.ipc("keys", "--json")
        + shared_host.ipc("status", "--config")
        + shared_host.ipc("doctor")
    )
    said += "".join(p.read_text() for p in (shared_host.service.home / "logs").iterdir())
    assert [s for s in secrets if s in said] == []


@pytest.mark.deep
def test_a_key_can_not_have_more_waiting_than_its_share(host: Host, machine: Machine) -> None:
    fred = machine.connect(host.new_key("fred"), "fred")
    s = zmq_socket(fred)
    for start in range(0, WAITING_LIMIT + 256, 256):
        bodies = [{"action": "check", "wait_s": 60, "id": n, "session_token": fred.token} for n in range(start, start + 256)]
        s.send(frames.encode(bodies))
    refused: list[str] = []
    while len(refused) < 256:
        assert s.poll(10_000)
        refused += [reply["code"] for reply in frames.decode(s.recv())]
    assert set(refused) == {"overloaded"}
    assert host.service.connect("wilma").send("fred", "x")["status"] == "ok"


@pytest.mark.deep
def test_a_key_that_reads_nothing_costs_a_bounded_amount_of_memory(host: Host, machine: Machine) -> None:
    key = host.new_key("fred")
    fred = machine.connect(key, "fred")
    fred.send("fred", "x" * 8_000_000)
    entry = KeyFile.load(str(key))
    context = zmq.Context()
    deaf = context.socket(zmq.DEALER)
    deaf.setsockopt(zmq.LINGER, 0)
    deaf.setsockopt(zmq.RCVHWM, 1)
    Handshakes(entry).begin(deaf)
    deaf.connect(entry.endpoint)
    pid = json.loads((host.service.home / "run" / "remote.json").read_text())["pid"]
    try:
        for number in range(60):
            deaf.send(frames.encode([{"action": "history", "id": number, "limit": 1, "session_token": fred.token}]))
        assert fred.history(limit=1)["messages"]  # answered after those
        with open(f"/proc/{pid}/statm") as f:
            resident = int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        assert resident < 300 * 1024 * 1024
    finally:
        deaf.close()
        context.term()
