"""The JSON door with TLS: what is refused without it, and who gets nothing."""

import contextlib
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bridges.tcp.tls import HANDSHAKE_S
from tests.conftest import Service, wait_for

SCRIPTS = Path(__file__).parents[2] / "bridges" / "scripts"
SECRET = "right"  # noqa: S105
pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="certificates are made by openssl")


def certificate(folder: Path, name: str = "tls", host: str = "localhost", *more: str) -> tuple[Path, Path]:
    """A self-signed certificate and its key, made as docs/other-machines.md says."""
    cert, key = folder / f"{name}.crt", folder / f"{name}.key"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-days", "825"]
    command += [*(more or ("-nodes",)), "-subj", f"/CN={host}", "-addext", f"subjectAltName=DNS:{host}"]
    subprocess.run([*command, "-keyout", key, "-out", cert], check=True, capture_output=True)
    return cert, key


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def secure(made: tuple[Path, Path]) -> Iterator[Service]:
    """One service for all; each test has names of its own there."""
    home = Path(tempfile.mkdtemp(prefix="ipc-"))
    service = Service(home, IPC_TLS_CERT=str(made[0]), IPC_TLS_KEY=str(made[1])).start()
    yield service
    service.stop()
    shutil.rmtree(home, ignore_errors=True)


def test_names_of_files_are_those_of_the_data_folder(
    make_service: Callable[..., Service], home: Path, made: tuple[Path, Path]
) -> None:
    for path in made:
        shutil.copy(path, home)
    service = make_service(IPC_TLS_CERT="tls.crt", IPC_TLS_KEY="tls.key").start()
    assert register(service, made[0], "fred")


def connected(service: Service, ca: Path, host: str = "localhost") -> ssl.SSLSocket:
    context = ssl.create_default_context(cafile=str(ca))
    return context.wrap_socket(service.tcp(), server_hostname=host)


def ask(service: Service, ca: Path, request: dict[str, Any] | bytes, *, goodbye: bool = True) -> dict[str, Any]:
    """One request in the legacy form."""
    with connected(service, ca) as s:
        s.sendall(request if isinstance(request, bytes) else json.dumps(request).encode())
        received = b""
        while data := s.recv(65536):
            received += data
            try:
                reply: dict[str, Any] = json.loads(received)
            except ValueError:
                continue
            if goodbye:
                s.unwrap()
            return reply
    raise AssertionError(received)


def register(service: Service, ca: Path, name: str) -> str:
    return str(ask(service, ca, {"action": "register", "instance_id": name})["session_token"])


def test_both_forms_work_over_tls(secure: Service, tag: str, made: tuple[Path, Path]) -> None:
    ca = made[0]
    token = register(secure, ca, f"fred{tag}")
    message = {"content": "x" * 200_000}  # many records each way
    sent = ask(secure, ca, {"action": "send", "to_id": f"fred{tag}", "message": message, "session_token": token})
    assert sent["status"] == "ok"
    with connected(secure, ca) as s:
        line = json.dumps({"action": "whoami", "session_token": token, "id": 1}).encode() + b"\n"
        s.sendall(line * 2000)
        lines = s.makefile("rb")
        assert all(json.loads(lines.readline())["instance_id"] == f"fred{tag}" for _ in range(2000))
    state = json.loads((secure.home / "run" / "tcp.json").read_text())
    assert state["tls"] is True


def test_a_reader_that_pauses_gets_everything_over_tls(secure: Service, tag: str, made: tuple[Path, Path]) -> None:
    token = register(secure, made[0], f"fred{tag}")
    requests = [
        json.dumps(
            {"action": "send", "to_id": f"fred{tag}", "message": {"content": "y" * 9000}, "session_token": token, "id": n}
        )
        for n in range(900)
    ]
    with connected(secure, made[0]) as s:
        s.sendall("\n".join(requests).encode() + b"\n")
        lines = s.makefile("rb")
        assert [json.loads(lines.readline())["id"] for _ in requests] == list(range(900))
        s.sendall(json.dumps({"action": "check", "session_token": token, "limit": 900, "max_bytes": 2**25}).encode() + b"\n")
        assert len(json.loads(lines.readline())["messages"]) == 900  # 8 MB, far more than the sockets hold


def test_mail_is_acknowledged_by_a_goodbye_and_not_by_a_bare_end(secure: Service, tag: str, made: tuple[Path, Path]) -> None:
    """Anybody on the way can end a connection; only the client can say goodbye in it."""
    token = register(secure, made[0], f"fred{tag}")
    check = {"action": "check", "session_token": token}
    ask(secure, made[0], {"action": "send", "to_id": f"fred{tag}", "message": {"content": "x"}, "session_token": token})
    assert len(ask(secure, made[0], check, goodbye=False)["messages"]) == 1
    again = wait_for("the mail", lambda: ask(secure, made[0], check)["messages"])
    assert (again[0]["message"]["content"], again[0]["redelivered"]) == ("x", True)
    assert ask(secure, made[0], {"action": "count", "session_token": token})["unread"] == 0


def test_a_goodbye_that_comes_with_the_last_request_is_heard(secure: Service, made: tuple[Path, Path]) -> None:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ssl.create_default_context(cafile=str(made[0])).wrap_bio(incoming, outgoing, server_hostname="localhost")
    with secure.tcp() as s:

        def until_done(step: Callable[[], object]) -> None:
            while True:
                try:
                    step()
                    return
                except ssl.SSLWantReadError:
                    s.sendall(outgoing.read())
                    incoming.write(s.recv(65536))

        until_done(client.do_handshake)
        client.write(b'{"action":"list","session_token":"x"}\n')
        with pytest.raises(ssl.SSLWantReadError):
            client.unwrap()
        s.sendall(outgoing.read())  # request and goodbye in one, and no end of the connection
        while s.recv(65536):
            pass


def test_another_certificate_or_host_is_refused_by_the_client(secure: Service, made: tuple[Path, Path], tmp_path: Path) -> None:
    other, _ = certificate(tmp_path, "other")
    for ca, host in ((other, "localhost"), (made[0], "elsewhere.example")):
        with pytest.raises(ssl.SSLCertVerificationError):
            connected(secure, ca, host)


@pytest.mark.parametrize("said", [b'{"action":"ping"}\n', b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\xff\xff" + b"x" * 99, b""])
@pytest.mark.deep
def test_a_client_without_tls_gets_no_answer_and_is_closed(secure: Service, said: bytes) -> None:
    with secure.tcp(HANDSHAKE_S + 5) as s:
        s.sendall(said)
        begun = time.monotonic()
        received = b""
        try:
            while data := s.recv(65536):
                received += data
        except ConnectionResetError:
            pass
        assert time.monotonic() - begun < HANDSHAKE_S + 4
    assert b"{" not in received


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated")
def test_an_old_tls_is_refused(secure: Service) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises((ssl.SSLError, ConnectionResetError)):
        context.wrap_socket(secure.tcp())


def test_a_browser_is_told_that_this_is_no_web_server_over_tls_too(secure: Service, made: tuple[Path, Path]) -> None:
    reply = ask(secure, made[0], b"POST / HTTP/1.1\r\nHost: rebound.example\r\n\r\n{}", goodbye=False)
    assert (reply["code"], "not HTTP" in reply["message"]) == ("bad_request", True)


def sockets(pid: int) -> set[str]:
    """Those that a process has open, each by its inode."""
    found = set()
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found.add(os.readlink(fd))
    return {name for name in found if name.startswith("socket:")}


@pytest.mark.deep
def test_half_done_handshakes_leave_no_descriptor_behind(secure: Service, tag: str, made: tuple[Path, Path]) -> None:
    register(secure, made[0], f"fred{tag}")  # whose connection to the broker stays
    pid = secure.pid("tcp")
    before = sockets(pid)  # perhaps with that of fred's request, which is just ending
    peers = [secure.tcp() for _ in range(30)]
    for s in peers:
        s.sendall(b"\x16\x03\x01")
    wait_for("the connections", lambda: len(sockets(pid) - before) >= 30)
    register(secure, made[0], f"wilma{tag}")  # others are served meanwhile
    wait_for("their end", lambda: not sockets(pid) - before)
    for s in peers:
        s.close()


@pytest.mark.deep
@pytest.mark.parametrize(
    ("environment", "why"),
    [
        ({"IPC_SHARED_SECRET": SECRET}, "without TLS is refused: use the door with keys instead"),
        ({"IPC_TLS_CERT": "CERT", "IPC_TLS_KEY": "KEY"}, "without a shared secret is refused"),
        ({"IPC_TLS_CERT": "CERT", "IPC_SHARED_SECRET": SECRET}, "both tls_cert and tls_key"),
        ({"IPC_TLS_CERT": "CERT", "IPC_TLS_KEY": "CERT", "IPC_SHARED_SECRET": SECRET}, "can't be used"),
        ({"IPC_TLS_CERT": "CERT", "IPC_TLS_KEY": "LOCKED", "IPC_SHARED_SECRET": SECRET}, "can't be used"),
        ({"IPC_TLS_CERT": "/nowhere", "IPC_TLS_KEY": "KEY", "IPC_SHARED_SECRET": SECRET}, "No such file"),
    ],
)
def test_beyond_loopback_the_door_stays_closed_and_says_what_is_missing(
    make_service: Callable[..., Service], made: tuple[Path, Path], environment: dict[str, str], why: str
) -> None:
    _, locked = certificate(made[0].parent, "locked", "localhost", "-passout", "pass:secret")
    files = {"CERT": str(made[0]), "KEY": str(made[1]), "LOCKED": str(locked)}
    environment = {name: files.get(value, value) for name, value in environment.items()}
    service = make_service(IPC_HOST="0.0.0.0", **environment)  # noqa: S104
    service.connect("fred")
    state = service.home / "run" / "tcp.json"
    error = wait_for("the door's error", lambda: state.exists() and json.loads(state.read_text())["error"])
    assert why in error


def test_beyond_loopback_with_both_the_scripts_of_another_machine_work(
    make_service: Callable[..., Service], made: tuple[Path, Path], tmp_path: Path
) -> None:
    tls = {"IPC_TLS_CERT": str(made[0]), "IPC_TLS_KEY": str(made[1])}
    service = make_service(IPC_HOST="0.0.0.0", IPC_SHARED_SECRET=SECRET, **tls).start()  # noqa: S104
    env = {"HOME": str(tmp_path), "IPC_HOST": "localhost", "IPC_PORT": str(service.port()), "PATH": ""}

    def script(name: str, *arguments: str, **more: str) -> str:
        command = [sys.executable, str(SCRIPTS / f"{name}.py"), *arguments]
        done = subprocess.run(command, env={**env, **more}, capture_output=True, text=True, timeout=30)
        assert "Traceback" not in done.stderr
        return done.stdout + done.stderr

    right = {"IPC_TLS_CA": str(made[0]), "IPC_SHARED_SECRET": SECRET}
    assert "Registered fred" in script("ipc_register", "fred", **right)
    assert "Message sent" in script("ipc_send", "fred", "hello", **right)
    assert "hello" in script("ipc_check", **right)
    assert "hello" not in script("ipc_check", **right)
    other, _ = certificate(tmp_path, "other")
    assert "CERTIFICATE_VERIFY_FAILED" in script("ipc_check", IPC_TLS_CA=str(other))
    assert "no encrypted connection" in script("ipc_check", IPC_TLS_CA="/nowhere")
    assert "set IPC_TLS_CA" in script("ipc_check")  # in clear
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        nobody = str(probe.getsockname()[1])
        assert "nothing listens" in script("ipc_check", **right, IPC_PORT=nobody)
