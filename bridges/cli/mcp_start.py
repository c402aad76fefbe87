"""``ipc mcp``: hands over to the MCP door, which is another door's program and takes this process's place."""

import argparse
import os
import sys

from broker.home.paths import python
from broker.home.settings import Settings

_START = "import sys; from bridges.mcp.__main__ import main; sys.exit(main(sys.argv[1:]))"
"""What ``-m bridges.mcp`` does, without the machinery of ``-m``: 1.6 MB of a process that lives as long as its host."""


def mcp(_settings: Settings, options: argparse.Namespace) -> int:
    """Does not return: the MCP door replaces this process."""
    name = ["--name", options.name] if options.name else []
    os.execv(sys.executable, [*python(), "-c", _START, *name])  # noqa: S606 (our own interpreter and module)
