"""What real hosts run as a tool: ``ipc`` there is their session. ``pytest -m host`` runs it (bench/hosts/machine.py)."""

import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bench.hosts import copilot as copilot_settings
from bench.hosts.machine import IPC, Machine, missing
from bench.hosts.recording_model import RecordingModel

pytestmark = [pytest.mark.host, pytest.mark.timeout(180)]
_IPC = shlex.join(IPC)
SHELL = f"{_IPC} whoami; {_IPC} register site; {_IPC} whoami; {_IPC} register shop"


@pytest.fixture
def machine(home: Path) -> Iterator[Machine]:
    machine = Machine(home)
    yield machine
    machine.ipc("down")


def claude(machine: Machine, model: RecordingModel) -> None:
    machine.write(".claude/settings.json", '{"permissions": {"allow": ["Bash"]}}')
    model.order("Bash", {"command": SHELL, "description": "who am I"})
    machine.run("claude", "-p", "who are you?", "--allowedTools", "Bash", **machine.claude_env(model.url))


def codex(machine: Machine, model: RecordingModel) -> None:
    model.order("exec_command", {"cmd": SHELL, "yield_time_ms": 30_000})
    flags = ("--dangerously-bypass-hook-trust", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox")
    machine.codex_env(model.url)
    machine.ipc("install", "codex")
    machine.run("codex", "exec", *flags, "who are you?", **machine.codex_env(model.url))


def gemini(machine: Machine, model: RecordingModel) -> None:
    model.order("run_shell_command", {"command": SHELL})
    env = machine.gemini_env(model.url)
    machine.run("gemini", "-m", "gemini-2.5-flash", "--approval-mode", "yolo", "-p", "who are you?", **env)


def copilot(machine: Machine, model: RecordingModel) -> None:
    model.order("bash", {"command": SHELL, "description": "who am I", "mode": "sync", "initial_wait": 60})
    machine.run("copilot", "-p", "who are you?", "--allow-all", **copilot_settings.env(machine, model.url))


@pytest.mark.parametrize("host", [claude, codex, gemini, copilot], ids=lambda host: str(host.__name__))
def test_in_the_shell_of_a_real_host_ipc_is_its_session_and_register_renames_it(
    machine: Machine, host: Callable[[Machine, RecordingModel], None]
) -> None:
    if missing(host.__name__):
        pytest.skip(f"not installed: {host.__name__} (see bench/hosts/machine.py)")
    machine.ipc("register", "bob")  # the name of shells without a terminal
    machine.ipc("install", host.__name__)
    with RecordingModel() as model:
        host(machine, model)
    told = model.texts()[1]
    for said in ("web, 0 unread", "Renamed this agent from web to site", "site, 0 unread", "can rename again in"):
        assert said in told, told
    assert "bob, 0 unread" not in told
