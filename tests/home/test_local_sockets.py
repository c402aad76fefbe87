"""Nobody else's socket is spoken to, and nobody else's folder is taken: what another OS user puts in /tmp first is refused."""

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from broker.client.aio import connect_async
from broker.client.json_lines import request
from broker.client.sync import connect
from broker.home.data_folder import prepare_home
from broker.home.endpoints import socket_answers
from broker.home.files import FolderError, private_folder
from broker.home.local_sockets import connected, peer
from broker.home.paths import Place, socket_folder
from broker.home.settings import Settings
from broker.protocol.errors import IpcError
from tests.conftest import wait_for

OTHER_UID = 65534
SQUAT = """
import os, select, socket, sys
os.setgroups([]); os.setgid(65534); os.setuid(65534); os.umask(0)
os.makedirs(sys.argv[1], mode=0o777, exist_ok=True)
listening = []
for name in ("wire.sock", "broker.sock", "mcp.sock"):
    s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1] + "/" + name); s.listen(); listening.append(s)
print("listens", flush=True)
open_ones = {}
while True:
    for s in select.select([*listening, *open_ones], [], [])[0]:
        if s in listening:
            c = s.accept()[0]; open_ones[c] = c
        elif data := s.recv(65536):
            print("heard", data, flush=True)
        else:
            del open_ones[s]
"""


class Long:
    """A data folder whose path is too long for sockets, beside a folder for temporary files that all users write to."""

    def __init__(self, home: Path) -> None:
        shared = home / "tmp"
        shared.mkdir(mode=0o777)
        home.chmod(0o711)
        shared.chmod(0o1777)
        self.home = home / ("long-" * 25)
        self.env = {"HOME": str(home), "IPC_HOME": str(self.home), "IPC_PORT": "0", "XDG_RUNTIME_DIR": str(shared)}
        self.env["PATH"] = os.environ["PATH"]
        self.settings = Settings.load(env=self.env)
        self.folder = Path()

    @contextlib.contextmanager
    def environment(self) -> Iterator[None]:
        before = dict(os.environ)
        os.environ.update(self.env)
        self.folder = Path(socket_folder(str(self.home)))
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)

    def ipc(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "bridges.cli", *arguments]
        return subprocess.run(command, env=self.env, input=stdin, capture_output=True, text=True, timeout=30)


@pytest.fixture
def long(home: Path) -> Iterator[Long]:
    made = Long(home)
    with made.environment():
        yield made


as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user")


async def _connect_async(settings: Settings) -> None:
    await connect_async("fred", settings=settings)


def _check(settings: Settings) -> None:
    request(Place(str(settings.home)), {"action": "check", "session_token": "precious"}, timeout_s=5)


WAYS: dict[str, Callable[[Settings], object]] = {
    "synchronous client": lambda s: connect("fred", settings=s),
    "asynchronous client": lambda s: asyncio.run(_connect_async(s)),
    "quick client": _check,
    "probe": socket_answers,
}


@as_root
def test_no_client_says_a_word_to_a_socket_of_another_user(long: Long) -> None:
    thief = subprocess.Popen([sys.executable, "-c", SQUAT, str(long.folder)], stdout=subprocess.PIPE, text=True)
    assert thief.stdout is not None
    try:
        assert thief.stdout.readline() == "listens\n"
        for way in WAYS.values():
            with pytest.raises(IpcError, match=f"user {OTHER_UID} of this machine listens at {long.folder}/.*short path"):
                way(long.settings)
        for words in (["register", "fred"], ["up"], ["status"]):
            done = long.ipc(*words)
            assert (done.returncode, "Traceback" in done.stderr) != (0, True)
            said = ("of this machine listens", "belongs to another user")
            assert any(text in done.stderr for text in said), done
        assert "FAIL  broker" in long.ipc("doctor").stdout
        call = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
        assert "of this machine listens" in long.ipc("mcp", stdin=json.dumps(call) + "\n").stdout
        event = {"hook_event_name": "SessionStart", "session_id": "s-1", "cwd": str(long.home.parent)}
        assert long.ipc("hook", "claude", "SessionStart", stdin=json.dumps(event)).returncode == 0
        assert "of this machine listens" in (long.home / "logs" / "hooks.log").read_text()
    finally:
        thief.kill()
        assert "heard" not in thief.stdout.read()
        thief.wait()


@as_root
def test_a_folder_that_another_user_made_first_is_refused_in_words(long: Long) -> None:
    long.folder.mkdir()
    os.chown(long.folder, OTHER_UID, OTHER_UID)
    done = long.ipc("up")
    assert (done.returncode, "belongs to another user. Set IPC_HOME to a folder" in done.stderr) == (3, True), done
    assert list(long.folder.iterdir()) == []


@pytest.mark.parametrize("owner", [None, pytest.param(OTHER_UID, marks=as_root)])
def test_a_link_in_the_sockets_folders_place_changes_nothing_behind_it(long: Long, home: Path, owner: int | None) -> None:
    public = home / "public"
    public.mkdir()
    public.chmod(0o755)
    long.folder.symlink_to(public)
    if owner is not None:
        os.lchown(long.folder, owner, owner)
    done = long.ipc("up")
    assert (done.returncode, "is a link, which somebody else may have made" in done.stderr) == (3, True), done
    assert (public.stat().st_mode & 0o777, list(public.iterdir())) == (0o755, [])


def test_a_data_folder_may_be_a_link_of_ones_own_and_of_nobody_elses(home: Path) -> None:
    real = home / "real"
    real.mkdir(mode=0o755)
    (home / "link").symlink_to(real)
    settings = Settings.load(env={"IPC_HOME": str(home / "link")})
    prepare_home(settings)
    assert real.stat().st_mode & 0o777 == 0o700
    if os.geteuid() == 0:
        real.chmod(0o755)
        os.lchown(home / "link", OTHER_UID, OTHER_UID)
        with pytest.raises(FolderError, match="is a link"):
            private_folder(home / "link")
        assert real.stat().st_mode & 0o777 == 0o755


def test_the_kernel_says_which_process_of_whom_listens(home: Path) -> None:
    path = str(home / "x.sock")
    code = "import socket,sys; s=socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen(); sys.stdin.read()"
    child = subprocess.Popen([sys.executable, "-c", code, path], stdin=subprocess.PIPE)
    try:
        with wait_for("the socket", lambda: _attempt(path)) as s:
            assert peer(s) == (child.pid, os.getuid())
    finally:
        child.communicate(b"", timeout=20)


def _attempt(path: str) -> socket.socket | None:
    with contextlib.suppress(OSError):
        return connected(path)
    return None


def test_the_fallback_folder_is_made_private_whatever_was_there_of_ours(long: Long) -> None:
    long.folder.mkdir(mode=0o755)
    prepare_home(long.settings)
    assert long.folder.stat().st_mode & 0o777 == 0o700
