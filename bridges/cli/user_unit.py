"""The systemd unit of a user's service: what it says, where it is, what systemctl knows of it.

What would make a mount namespace is left out (PrivateTmp, ProtectSystem, ProtectHome). Sockets of data folders with a long path
are in /tmp, and large messages and hosts' sockets may be anywhere in the home. A user's manager also needs a user namespace for
it, which some systems forbid, and in which all other users look like one. MemoryDenyWriteExecute and RestrictNamespaces are
left out, too: waking Codex runs its own program, which may be JavaScript.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from broker.home import environment
from broker.home.settings import Settings

NAME = "agent-ipc.service"
_MARK = "# Written by `ipc service install`, which writes it anew; `ipc service remove` removes it."
_UNIT = """\
{mark}
[Unit]
Description=agent-ipc: mail for your agents
StartLimitIntervalSec=0

[Service]
Type=exec
ExecStart={command}
{environment}
Restart=on-failure
RestartSec=2
RestartPreventExitStatus=2
# the service ends its own processes in order; one that the system ends for want of memory is started again by it
KillMode=mixed
TimeoutStopSec=30
OOMPolicy=continue

UMask=0077
NoNewPrivileges=yes
RestrictSUIDSGID=yes
RestrictRealtime=yes
LockPersonality=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
SystemCallArchitectures=native
SystemCallFilter=~@clock @cpu-emulation @debug @module @mount @obsolete @raw-io @reboot @swap
SystemCallErrorNumber=EPERM

[Install]
WantedBy=default.target
"""
_SYSTEMCTL_S = 60.0
"""Seconds that systemctl may take: to stop the service is among it."""


class NoSystemd(OSError):
    """Why nothing of a user can be run by systemd here, in words."""


class Unit(NamedTuple):
    """What is installed."""

    path: Path
    text: str | None
    """None where there is no such file."""

    @property
    def ours(self) -> bool:
        return self.text is not None and self.text.startswith(_MARK)

    def says(self, line: str) -> bool:
        return self.text is not None and line in self.text.splitlines()

    @property
    def program(self) -> str:
        """The interpreter that it runs; empty where that can't be told."""
        lines = (self.text or "").splitlines()
        found = next((line for line in lines if line.startswith("ExecStart=")), "")
        return found.removeprefix('ExecStart="').partition('"')[0].replace("%%", "%")


def installed() -> Unit:
    """The unit of this user, or where it would be. Raises OSError."""
    base = os.environ.get("XDG_CONFIG_HOME") or os.path.join(os.path.expanduser("~"), ".config")
    path = Path(base) / "systemd" / "user" / NAME
    try:
        return Unit(path, path.read_text(encoding="utf-8", errors="surrogateescape"))
    except FileNotFoundError:
        return Unit(path, None)


def wanted(settings: Settings) -> str:
    """What this version writes for a data folder."""
    words = [sys.executable, "-P", "-m", "bridges.cli", "up", "--take-over"]
    lines = [of_folder(settings), _environment("PYTHONPATH", str(Path(__file__).resolve().parents[2]))]
    return _UNIT.format(mark=_MARK, command=" ".join(map(_word, words)), environment="\n".join(lines))


def of_folder(settings: Settings) -> str:
    """The line by which a unit says which data folder it serves."""
    return _environment(environment.HOME, str(settings.home))


def _word(text: str) -> str:
    """A word of a command line, as systemd reads it (systemd.service, "Command lines")."""
    return f'"{_escaped(text).replace("$", "$$")}"'


def _environment(name: str, value: str) -> str:
    return f'Environment="{name}={_escaped(value)}"'


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("\n", "\\n")


def systemctl(*words: str) -> str:
    """What it prints. Raises NoSystemd, or OSError with its words where it refuses."""
    try:
        command = ["systemctl", "--user", *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SYSTEMCTL_S, check=False)  # noqa: S603
    except FileNotFoundError:
        raise NoSystemd("there is no systemctl here") from None
    except subprocess.TimeoutExpired:
        raise OSError(f"systemctl --user {' '.join(words)} has not ended within {_SYSTEMCTL_S:.0f} s") from None
    if done.returncode:
        raise OSError(f"systemctl --user {' '.join(words)}: {done.stderr.strip() or f'status {done.returncode}'}")
    return done.stdout


def look_for_systemd() -> None:
    """Raise NoSystemd where no systemd runs this user's services."""
    try:
        systemctl("show-environment")
    except OSError as e:
        raise NoSystemd(str(e)) from None


def shown() -> dict[str, str]:
    """ActiveState, UnitFileState and MainPID of the unit. Raises NoSystemd, OSError."""
    told = systemctl("show", "--property=ActiveState,UnitFileState,MainPID,NeedDaemonReload", NAME)
    return dict(line.partition("=")[::2] for line in told.splitlines())


def lingers() -> bool | None:
    """Whether this user's services run while nobody is logged in; None where that can't be told."""
    try:
        command = ["loginctl", "show-user", str(os.getuid()), "--property=Linger", "--value"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)  # noqa: S603
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return None
    return {"yes": True, "no": False}.get(done.stdout.strip()) if done.returncode == 0 else None
