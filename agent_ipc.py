"""The start of the ``ipc`` command, by a name that no project has a module of.

Python looks for modules in PYTHONPATH first. Where that holds a project's own ``broker``, ``bridges`` or ``nlparse``, ours
would not be found, so its folders are left out here and for all processes that we start (``broker.home.paths.python``).
"""

import os
import sys


def main() -> int:
    """Run the command line and return its exit status."""
    if folders := os.environ.get("PYTHONPATH"):
        ours = os.path.dirname(_whole(__file__))
        given = {_whole(path) for path in folders.split(os.pathsep)} - {ours}
        sys.path[:] = [path for path in sys.path if _whole(path) not in given]
    from bridges.cli.__main__ import main as command_line

    return command_line()


def _whole(path: str) -> str:
    try:
        return os.path.abspath(path)
    except OSError:  # the working folder was removed
        return path
