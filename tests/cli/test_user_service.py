"""``ipc service``: with a real systemd of one user where one can be started, and with a systemctl that notes its words."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bridges.cli import user_unit
from broker.home.settings import Settings
from tests.shell import Shell

ROOT = Path(__file__).parent.parent.parent
NAMESPACES = ["unshare", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child"]
RECORDING = """\
#!/bin/sh
echo "$@" >> "$HOME/told"
case "$2" in
  show) echo "ActiveState=inactive"; echo "UnitFileState=disabled"; echo "MainPID=0" ;;
  show-environment) test ! -e "$HOME/offline" || { echo "Failed to connect to bus" >&2; exit 1; } ;;
  restart) setsid "$PYTHON" -P -m bridges.cli up --foreground </dev/null >/dev/null 2>&1 & ;;
esac
"""


def systemd_can_run() -> bool:
    if os.getuid() or not Path("/usr/lib/systemd/systemd").exists() or shutil.which("unshare") is None:
        return False
    command = [*NAMESPACES, "mount", "-t", "tmpfs", "tmpfs", "/run"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.fixture
def shell(shell: Shell) -> Shell:
    """A shell whose systemctl notes what it is told, and starts the service where it should."""
    tools = shell.home / "bin"
    tools.mkdir()
    (tools / "systemctl").write_text(RECORDING)
    (tools / "systemctl").chmod(0o755)
    shell.env |= {"PATH": f"{tools}:{shell.env['PATH']}", "PYTHON": sys.executable, "PYTHONPATH": str(ROOT)}
    return shell


def unit_of(shell: Shell) -> Path:
    return shell.home / ".config" / "systemd" / "user" / "agent-ipc.service"


def told(shell: Shell) -> list[str]:
    return [line.removeprefix("--user ") for line in (shell.home / "told").read_text().splitlines()]


def test_it_writes_the_unit_enables_it_and_takes_it_away_again(shell: Shell) -> None:
    said = shell.run("service", "install")
    assert said.returncode == 0 and "Installed" in said.stdout
    assert "IPC_PORT of this shell is not in the unit" in said.stderr
    assert [line for line in told(shell) if line.split()[0] in ("daemon-reload", "enable", "restart")] == [
        "daemon-reload",
        "enable agent-ipc.service",
        "restart agent-ipc.service",
    ]
    assert f'Environment="IPC_HOME={shell.data}"' in unit_of(shell).read_text()
    assert shell.fails(2, "service", "install", IPC_HOME=str(shell.home / "other")).count("another data folder") == 1
    shell.ok("service", "remove")
    assert "disable --now agent-ipc.service" in told(shell)
    assert not (shell.home / ".config" / "systemd").exists()
    assert shell.ok("service", "remove") == "Not installed\n"


def test_a_unit_of_somebody_else_is_left_alone(shell: Shell) -> None:
    unit_of(shell).parent.mkdir(parents=True)
    unit_of(shell).write_text("[Service]\nExecStart=/bin/true\n")
    for what in ("install", "remove"):
        assert "not written by ipc" in shell.fails(2, "service", what)
    assert unit_of(shell).read_text() == "[Service]\nExecStart=/bin/true\n"


def test_without_systemd_it_says_so_and_changes_nothing(shell: Shell) -> None:
    (shell.home / "offline").touch()
    assert "Failed to connect to bus" in shell.fails(1, "service", "install")
    assert not unit_of(shell).exists()
    assert "no systemctl" in shell.fails(1, "service", "install", PATH=str(shell.home / "nothing"))


def test_a_unit_whose_interpreter_is_gone_is_named_by_doctor_and_written_anew_by_up(shell: Shell) -> None:
    unit_of(shell).parent.mkdir(parents=True)
    gone = user_unit.wanted(Settings.load(env={"IPC_HOME": str(shell.data)})).replace(sys.executable, "/gone/python")
    unit_of(shell).write_text(gone)
    assert "/gone/python, which is gone. Next: ipc service install" in shell.run("doctor").stdout
    assert "was written anew for this version" in shell.run("up").stderr
    assert sys.executable in unit_of(shell).read_text()
    assert told(shell)[-1] == "daemon-reload"


def test_the_unit_of_another_installation_that_is_there_is_kept_and_named(shell: Shell) -> None:
    unit_of(shell).parent.mkdir(parents=True)
    other = user_unit.wanted(Settings.load(env={"IPC_HOME": str(shell.data)})).replace(sys.executable, "/bin/sh")
    unit_of(shell).write_text(other)
    assert "with /bin/sh. Next: ipc service install" in shell.run("up").stderr
    assert unit_of(shell).read_text() == other


@pytest.mark.parametrize(
    "name", ["plain", "with blank", "50%off", 'quo"te', "back\\slash", "dollar$HOME", "two\nExecStop=lines"]
)
def test_any_folder_is_written_as_systemd_reads_it(home: Path, name: str) -> None:
    (home / name).mkdir(mode=0o700)
    text = user_unit.wanted(Settings.load(env={"IPC_HOME": str(home / name)}))
    unit = home / "agent-ipc.service"
    unit.write_text(text)
    read = user_unit.Unit(unit, text)
    assert (read.ours, read.program) == (True, sys.executable)
    assert not read.says('ExecStop=lines"')
    if shutil.which("systemd-analyze"):
        verify = ["systemd-analyze", "verify", "--user", str(unit)]
        environment = {**os.environ, "XDG_RUNTIME_DIR": str(home)}
        done = subprocess.run(verify, env=environment, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.deep
@pytest.mark.skipif(not systemd_can_run(), reason="no systemd of a user can be started here")
def test_a_real_systemd_runs_it_heals_it_and_lets_go_of_it(home: Path) -> None:
    command = [*NAMESPACES, sys.executable, "-m", "tests.cli.under_systemd", str(home)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=55, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert "Not installed" in found["before"]
    assert "Installed" in found["install"]
    assert {k: found["status"][k] for k in ("active", "enabled", "runs", "problem")} == {
        "active": "active",
        "enabled": "enabled",
        "runs": True,
        "problem": "",
    }
    assert (found["mail"], found["mcp"]) == (["kept"], True)
    assert found["again"][1] is True and "Up to date" in found["again"][0]
    assert "not as this version writes it. Next: ipc service install" in found["stale"]
    assert "written anew" in found["healed"] and "not as this version" not in found["doctor"]
    assert found["down"] == [1, "inactive"]
    assert found["beside"][0] == 1 and "systemd did not start it" in found["beside"][1]
    assert found["back"] is True
    assert (found["left"], found["ended"], found["name"]) == ([], True, "fred, 0 unread")
