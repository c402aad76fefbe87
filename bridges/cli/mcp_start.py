"""``ipc mcp``: hands over to the MCP door, which is another door's program and takes this process's place."""

import argparse
import os
import sys

from broker.home.paths import python
from broker.home.settings import Settings


def mcp(_settings: Settings, options: argparse.Namespace) -> int:
    """Does not return: the MCP door replaces this process."""
    name = ["--name", options.name] if options.name else []
    os.execv(sys.executable, [*python(), "-m", "bridges.mcp", *name])  # noqa: S606 (our own interpreter and module)
