"""``python -m bridges.mcp [--name NAME]``: the MCP door on standard input and output. ``ipc mcp`` is the same."""

import argparse
import os
import sys

import anyio

from bridges.mcp.server import build
from bridges.mcp.session import BridgeSession
from broker.logs import open_log
from broker.runtime import FolderError, prepare_home
from broker.settings import Settings, SettingsError


def main(argv: list[str] | None = None) -> int:
    """Exit status: 0 the client closed its end, 1 can't start."""
    parser = argparse.ArgumentParser(prog="ipc mcp", description="MCP server on standard input and output.")
    parser.add_argument("--name", default=os.environ.get("IPC_NAME") or None, help="register this name by itself")
    options = parser.parse_args(argv)
    try:
        settings = Settings.load()
        prepare_home(settings)
    except (SettingsError, FolderError) as e:
        print(f"ipc mcp: {e}", file=sys.stderr)
        return 1
    log = open_log("mcp", settings.home / "logs", settings.log_level)
    project = os.environ.get("CLAUDE_PROJECT_DIR") or os.getcwd()
    server = build(BridgeSession(settings, project, options.name), log)
    anyio.run(server.run_stdio_async)
    return 0


if __name__ == "__main__":
    sys.exit(main())
