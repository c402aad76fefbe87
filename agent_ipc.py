"""The start of the ``ipc`` command, by a name that no project has a module of.

Python looks for modules in PYTHONPATH first. Where that holds a project's own ``broker``, ``bridges`` or ``nlparse``, ours
would not be found, so its folders are left out here and for all processes that we start (``broker.place.python``).
"""

import os
import sys


def main() -> int:
    """Run the command line and return its exit status."""
    ours = os.path.dirname(os.path.abspath(__file__))
    given = {os.path.abspath(path) for path in os.environ.get("PYTHONPATH", "").split(os.pathsep)} - {ours}
    if "PYTHONPATH" in os.environ:
        sys.path[:] = [path for path in sys.path if os.path.abspath(path) not in given]
    from bridges.cli.__main__ import main as command_line

    return command_line()
