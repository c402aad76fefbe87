"""The command by which hosts and git start us: the absolute path of ``ipc``, since their PATH is not the user's."""

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
    """The beginning of a shell command line. ``otherwise`` is done if the installation has moved.

    By default that is nothing, so that the host does not complain at every event.
    """
    import shlex

    return f"test -x {shlex.quote(command[0])} || {otherwise}; "


def lasts(command: list[str]) -> bool:
    """False if the program is in a folder that is cleaned now and then."""
    import tempfile

    path = os.path.realpath(command[0])
    passing = (os.path.realpath(tempfile.gettempdir()), "/tmp", "/var/tmp")  # noqa: S108 (nothing is made there)
    return not path.startswith(tuple(f"{folder}/" for folder in passing)) and not any(
        part in path for part in ("/.cache/", "/uv/archive-v")
    )


def environment() -> dict[str, str]:
    """The variables by which the commands find this shell's data folder; empty for the default folder."""
    home = os.environ.get(HOME)
    return {HOME: os.path.abspath(os.path.expanduser(home))} if home else {}


def shell_words(command: list[str]) -> str:
    """A shell command line: the variables that it needs, then the words, quoted."""
    import shlex

    env = [f"{name}={value}" for name, value in environment().items()]
    return shlex.join([*(["env", *env] if env else []), *command])
