"""The stdlib-only scripts, copied elsewhere and run with a bare interpreter."""

import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

import bridges
from tests.conftest import Service
from tests.lasting import Lasting

SCRIPTS = Path(bridges.__file__).parent / "scripts"


class Agent:
    """A person or model with the scripts, a home of its own and no packages (python -S -E)."""

    def __init__(self, home: Path, port: int, name: str) -> None:
        self.folder = home / f"agent-{name}"
        shutil.copytree(SCRIPTS, self.folder / "scripts")
        self.env = {"HOME": str(self.folder), "IPC_PORT": str(port), "PATH": os.environ["PATH"], "PYTHONIOENCODING": "utf-8"}

    def command(self, script: str, *arguments: str) -> list[str]:
        return [sys.executable, "-S", str(self.folder / "scripts" / f"ipc_{script}.py"), *arguments]

    def run(self, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self.command(script, *arguments), env=self.env, capture_output=True, encoding="utf-8", timeout=20)

    def shell(self, line: str) -> subprocess.CompletedProcess[str]:
        """``ipc_check.py`` in a shell's line, where it is called $CHECK."""
        env = {**self.env, "CHECK": " ".join(self.command("check"))}
        return subprocess.run(["sh", "-c", line], env=env, capture_output=True, encoding="utf-8", timeout=20)

    def ok(self, script: str, *arguments: str) -> str:
        done = self.run(script, *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture
def agents(service: Service, home: Path) -> tuple[Agent, Agent]:
    return Agent(home, service.port(), "fred"), Agent(home, service.port(), "claude")


def test_two_agents_talk_with_the_scripts_alone(agents: tuple[Agent, Agent]) -> None:
    fred, claude = agents
    assert fred.ok("register", "fred") == "Registered as fred\nRegistered fred\n"
    assert fred.ok("send", "claude", "hello", "wörld") == "Message queued for claude (not yet registered): claude\n"
    assert "with 1 queued messages" in claude.ok("register", "claude")
    assert "From: fred" in (text := claude.ok("check")) and "Content: hello wörld" in text
    assert claude.ok("check") == "No new messages\n"
    assert claude.ok("broadcast", "to all") == "Broadcast to 1 instances\n"
    assert "Content: to all" in fred.ok("check")
    assert claude.ok("list").startswith("claude (last seen: 20")
    assert claude.ok("rename", "claude2") == "Renamed claude to claude2\n"
    assert "Message sent" in claude.ok("send", "fred", "still me")


def test_a_script_registers_again_as_itself_and_another_needs_force(agents: tuple[Agent, Agent], service: Service) -> None:
    fred, other = agents
    fred.ok("register", "fred")
    listening = Lasting(service)
    token = json.loads((fred.folder / ".ipc-session").read_text())["session_token"]
    assert listening.ask({"action": "subscribe", "session_token": token})["status"] == "ok"
    done = other.run("register", "fred")
    assert done.returncode == 1 and "fred is held by another program since" in done.stderr and "force" in done.stderr
    assert fred.ok("register", "fred").endswith("Registered fred\n")  # by the token that it keeps
    assert listening.read()["push"] == "session_replaced"
    token = json.loads((fred.folder / ".ipc-session").read_text())["session_token"]
    assert listening.ask({"action": "subscribe", "session_token": token})["status"] == "ok"
    assert other.ok("register", "--force", "fred").endswith("Registered fred\n")
    done = fred.run("check")
    assert done.returncode == 1 and "fred was registered again elsewhere: by another program, at 2" in done.stderr
    assert other.run("register", "--force").returncode == other.run("register", "a", "b").returncode == 2
    listening.close()


@pytest.mark.deep
@pytest.mark.parametrize("line", ["$CHECK > /dev/full", "$CHECK >&-", "PYTHONIOENCODING=nonsense $CHECK"])
def test_mail_that_could_not_be_printed_comes_again(agents: tuple[Agent, Agent], line: str) -> None:
    fred, claude = agents
    fred.ok("register", "fred")
    claude.ok("register", "claude")
    fred.ok("send", "claude", "x" * 5000)
    done = claude.shell(line)
    assert "Traceback" not in done.stderr
    assert "Content: xxx" in claude.ok("check")
    assert claude.ok("check") == "No new messages\n"


@pytest.mark.deep
def test_what_the_terminal_has_no_characters_for_is_marked_and_read(agents: tuple[Agent, Agent]) -> None:
    fred, claude = agents
    fred.ok("register", "fred")
    claude.ok("register", "claude")
    fred.ok("send", "claude", "smörgås")
    claude.env["PYTHONIOENCODING"] = "ascii"
    assert "Content: sm?rg?s" in claude.ok("check")
    assert claude.ok("check") == "No new messages\n"


def test_the_port_is_found_from_the_data_folder(service: Service, agents: tuple[Agent, Agent]) -> None:
    fred, _ = agents
    del fred.env["IPC_PORT"]
    fred.env["IPC_HOME"] = str(service.home)
    assert "Registered as fred" in fred.ok("register", "fred")


@pytest.mark.deep
def test_a_send_with_an_id_of_ones_own_can_be_repeated(agents: tuple[Agent, Agent]) -> None:
    fred, claude = agents
    fred.ok("register", "fred")
    claude.ok("register", "claude")
    assert fred.ok("send", "--id", "build-7", "claude", "green") == "Message sent: claude\n"
    assert "before" in fred.ok("send", "--id", "build-7", "claude", "green")
    assert claude.ok("check").count("green") == 1
    assert fred.run("send", "--id", "build-7", "claude").returncode == 2


def test_the_session_file_is_private(agents: tuple[Agent, Agent]) -> None:
    fred, _ = agents
    fred.ok("register", "fred")
    assert stat.S_IMODE((fred.folder / ".ipc-session").stat().st_mode) == 0o600


def test_errors_are_one_line_that_says_what_to_do(agents: tuple[Agent, Agent]) -> None:
    fred, _ = agents
    done = fred.run("send", "claude", "x")
    assert (done.returncode, done.stderr) == (1, "error: not registered. Next: ipc_register.py NAME\n")
    assert fred.run("send", "claude").returncode == 2
    done = fred.run("register", "a b")
    assert (done.returncode, done.stderr.startswith("error: Invalid instance ID format.")) == (1, True)


def test_mail_can_not_steer_the_terminal(agents: tuple[Agent, Agent]) -> None:
    fred, claude = agents
    fred.ok("register", "fred")
    fred.ok("send", "claude", "\x1b[2J\x1b]0;owned\x07 \u202e x")
    claude.ok("register", "claude")
    assert "\x1b" not in (text := claude.ok("check")) and "\u202e" not in text and "\x07" not in text


def test_the_scripts_read_as_python_3_8() -> None:
    import ast

    for path in SCRIPTS.glob("*.py"):
        ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 8))
