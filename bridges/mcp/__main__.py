"""``python -m bridges.mcp [--name NAME]``, which ``ipc mcp`` becomes: an MCP server on standard input and output.

This is the relay. ``--serve`` is the process behind all relays. The supervisor starts it (``--listening FD``), or a relay does,
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
    from broker.service.door_process import DoorProcess, run_door
    from broker.service.supervised import parser_of

    parser = parser_of("bridges.mcp --serve", "Run the MCP SDK for all agents.")
    parser.add_argument("--serve", action="store_true", required=True)
    end = parser.add_mutually_exclusive_group(required=True)
    end.add_argument("--listening", type=int, metavar="FD", help="an inherited listening Unix socket")
    end.add_argument("--connected", type=int, metavar="FD", help="an inherited connection of one relay")
    options = parser.parse_args(argv)

    async def serve(door: DoorProcess) -> None:
        from bridges.mcp import shared_process  # after the process is tied to its supervisor: it costs half a second

        await shared_process.serve(door, listening=options.listening, connected=options.connected)

    return run_door("mcp", serve, supervised=options.supervised)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
