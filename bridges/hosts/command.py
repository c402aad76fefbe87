"""How hosts and git start us: by the absolute path of the ``ipc`` script, since their PATH is not the user's."""

from __future__ import annotations

import os
import sys


def ipc_command() -> list[str]:
    """The program and its first arguments."""
    script = os.path.join(os.path.dirname(sys.executable), "ipc")
    return [script] if os.path.exists(script) else [sys.executable, "-P", "-m", "bridges.cli"]


def environment() -> dict[str, str]:
    """What the commands need to find the data folder of this shell, where it is not the default one."""
    home = os.environ.get("IPC_HOME")
    return {"IPC_HOME": os.path.abspath(os.path.expanduser(home))} if home else {}


def shell_words(command: list[str]) -> str:
    """A shell command line: the environment where one is needed, then the words, quoted."""
    import shlex

    env = [f"{name}={value}" for name, value in environment().items()]
    return shlex.join([*(["env", *env] if env else []), *command])
