"""``python -m bridges.mcp [--name NAME]``, which ``ipc mcp`` becomes: an MCP server on standard input and output.

It is the relay. ``--serve`` is the process behind all relays; the supervisor starts it (``--listening FD``), or a relay does
for itself alone (``--connected FD``).
"""

from __future__ import annotations

import sys

from broker.home import environment


def main(argv: list[str]) -> int:
    """Exit status: 0 the other side closed its end, 1 can't start or go on, 2 usage."""
    if "--serve" in argv:
        return _serve(argv)
    if argv and (argv[0] != "--name" or len(argv) != 2):
        print("usage: ipc mcp [--name NAME]", file=sys.stderr)
        return 2
    from bridges.mcp.relay import main as relay

    return relay(argv[1] if argv else environment.own_name())


def _serve(argv: list[str]) -> int:
    import argparse
    import asyncio

    parser = argparse.ArgumentParser(prog="python -m bridges.mcp --serve", description="Run the MCP SDK for all agents.")
    parser.add_argument("--serve", action="store_true", required=True)
    end = parser.add_mutually_exclusive_group(required=True)
    end.add_argument("--listening", type=int, metavar="FD", help="an inherited listening Unix socket")
    end.add_argument("--connected", type=int, metavar="FD", help="an inherited connection of one relay")
    parser.add_argument("--supervised", action="store_true", help="stop when standard input closes")
    options = parser.parse_args(argv)
    if options.supervised:
        from broker.service.supervised import die_with_parent

        die_with_parent()
    from bridges.mcp.shared_process import serve
    from broker.home.data_folder import prepare_home
    from broker.home.files import FolderError
    from broker.home.logs import open_log
    from broker.home.settings import Settings
    from broker.protocol.errors import SettingsError

    try:
        settings = Settings.load()
        prepare_home(settings)
    except (SettingsError, FolderError) as e:
        print(f"mcp: {e}", file=sys.stderr)
        return 1
    log = open_log("mcp", settings.home / "logs", settings.log_level)
    asyncio.run(
        serve(
            settings,
            log,
            listening=options.listening,
            connected=options.connected,
            supervised=options.supervised,
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
