"""How hosts and git start us: by the absolute path of the ``ipc`` script, since their PATH is not the user's."""

from __future__ import annotations

import os
import sys

from broker.home.environment import HOME
from broker.home.paths import python


def ipc_command() -> list[str]:
    """The program and its first arguments."""
    script = os.path.join(os.path.dirname(sys.executable), "ipc")
    return [script] if os.path.exists(script) else [*python(), "-m", "bridges.cli"]


def if_there(command: list[str], otherwise: str = "exit 0") -> str:
    """The beginning of a shell command line: what to do where the installation has moved, which is no reason for a host to
    complain at every event."""
    import shlex

    return f"test -x {shlex.quote(command[0])} || {otherwise}; "


def lasts(command: list[str]) -> bool:
    """False where the program is in a folder that is cleaned now and then."""
    import tempfile

    path = os.path.realpath(command[0])
    passing = (os.path.realpath(tempfile.gettempdir()), "/tmp", "/var/tmp")  # noqa: S108 (nothing is made there)
    return not path.startswith(tuple(f"{folder}/" for folder in passing)) and not any(
        part in path for part in ("/.cache/", "/uv/archive-v")
    )


def environment() -> dict[str, str]:
    """What the commands need to find the data folder of this shell, where it is not the default one."""
    home = os.environ.get(HOME)
    return {HOME: os.path.abspath(os.path.expanduser(home))} if home else {}


def shell_words(command: list[str]) -> str:
    """A shell command line: the environment where one is needed, then the words, quoted."""
    import shlex

    env = [f"{name}={value}" for name, value in environment().items()]
    return shlex.join([*(["env", *env] if env else []), *command])
