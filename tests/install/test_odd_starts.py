"""Hosts and shells start us oddly: a project with modules of our names, an installation that has moved."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridges import mail_evidence
from bridges.install.check import _INITIALIZE
from bridges.known_hosts.start_command import if_there, ipc_command, lasts
from tests.conftest import Service

IPC = str(Path(sys.executable).with_name("ipc"))
CALLS = {
    "whoami": (["whoami"], b"", b""),
    "hook": (["hook", "claude", "SessionStart"], b'{"session_id": "s1", "cwd": "."}', b"under the name"),
    "doctor": (["doctor"], b"", b"ok    broker"),
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose modules have our packages' names, and can't be imported."""
    folder = tmp_path_factory.mktemp("odd") / "project"
    folder.mkdir()
    for name in ("broker", "bridges", "nlparse", "agents"):
        (folder / f"{name}.py").write_text(f"raise SystemExit('the project\\'s {name} was imported')\n")
    return folder


@pytest.fixture
def shadowed(home: Path) -> Iterator[dict[str, str]]:
    env = {"PATH": os.environ["PATH"], "HOME": str(home), "IPC_HOME": str(home / "i"), "IPC_PORT": "0"}
    yield {**env, "PYTHONPATH": "."}
    subprocess.run([IPC, "down"], env=env, check=True, capture_output=True)


@pytest.mark.deep
def test_a_project_that_has_modules_of_our_names_is_no_hindrance(project: Path, shadowed: dict[str, str]) -> None:
    def run(words: list[str], given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        return subprocess.run([IPC, *words], input=given, env=shadowed, cwd=project, capture_output=True, timeout=50)

    assert run(["register", "fred"]).stdout == b"Registered fred\n"  # which starts the service
    for words, given, wanted in CALLS.values():
        done = run(words, given)
        assert b"was imported" not in done.stdout + done.stderr, done
        assert wanted in done.stdout, done
    server = subprocess.Popen([IPC, "mcp"], env=shadowed, cwd=project, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert server.stdin is not None and server.stdout is not None
    server.stdin.write(json.dumps(_INITIALIZE).encode() + b"\n")
    server.stdin.flush()
    assert json.loads(server.stdout.readline())["result"]["serverInfo"]["name"] == "ipc"
    server.communicate(timeout=20)


@pytest.mark.deep
@pytest.mark.parametrize("python_path", ["", "/nowhere"])
def test_the_command_starts_in_a_folder_that_was_removed(home: Path, shadowed: dict[str, str], python_path: str) -> None:
    gone = home / "gone"
    env = {**shadowed, "PYTHONPATH": python_path}
    for words in ("register fred", "whoami"):
        gone.mkdir()
        script = f"rmdir {gone}; exec {IPC} {words}"
        done = subprocess.run(["/bin/sh", "-c", script], env=env, cwd=gone, capture_output=True, text=True, timeout=50)
        assert (done.returncode, done.stderr) == (0, ""), done
        assert "fred" in done.stdout


def test_a_moved_installation_is_told_once_and_stops_nothing(tmp_path: Path) -> None:
    gone = [str(tmp_path / "gone" / "ipc")]
    for command, told in (
        (if_there(gone) + f"exec {gone[0]} hook claude Stop", b""),
        (if_there(gone, "{ echo moved; exit 0; }"), b"moved\n"),
    ):
        done = subprocess.run(["/bin/sh", "-c", command], capture_output=True)
        assert (done.returncode, done.stdout, done.stderr) == (0, told, b"")
    there = if_there(ipc_command()) + "echo runs"
    assert subprocess.run(["/bin/sh", "-c", there], capture_output=True).stdout == b"runs\n"


@pytest.mark.parametrize(
    ("path", "stays"),
    [
        ("/usr/local/bin/ipc", True),
        ("/home/me/.local/bin/ipc", True),
        ("/tmp/x/bin/ipc", False),  # noqa: S108 (a name only)
        ("/home/me/.cache/uv/archive-v0/x/bin/ipc", False),
    ],
)
def test_a_program_in_a_folder_that_is_cleaned_will_not_last(path: str, stays: bool) -> None:
    assert lasts([path]) is stays


@pytest.mark.deep
def test_doctor_tells_of_an_installation_in_a_host_that_is_not_well(service: Service) -> None:
    env = {**os.environ, **service.env, "HOME": str(service.home)}

    def ipc(*words: str) -> str:
        done = subprocess.run(
            [IPC, *words], env=env, cwd=service.home, stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
        return done.stdout

    assert "ok    hosts     none is installed" in ipc("doctor")
    ipc("install", "codex")
    config = service.home / ".codex" / "config.toml"
    assert json.dumps(["IPC_HOME", "IPC_NAME", "IPC_KEY_FILE", "IPC_SHARED_SECRET"]) in config.read_text()
    assert "ok    hosts     codex" in ipc("doctor")
    (service.home / ".codex" / "hooks.json").write_text("{}")
    assert "warn  hosts     codex: " in (told := ipc("doctor")) and "Next: ipc install codex" in told


@pytest.mark.parametrize(
    ("tool", "ours"),
    [
        ("mcp__plugin_agent-ipc_ipc__check", True),
        ("mcp__ipc__ask", True),
        ("mcp_ipc_say", True),
        ("ipc_check", True),
        ("mcp__ipc__send", False),
        ("mcp__zipcode__check", False),
        ("check", False),
        ("Bash", False),
    ],
)
def test_only_our_own_tools_give_mail(tool: str, ours: bool) -> None:
    assert mail_evidence.gives_mail(tool) is ours
