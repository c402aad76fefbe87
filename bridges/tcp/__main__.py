"""``python -m bridges.tcp``: the JSON door, on a TCP port. Usually the supervisor starts it."""

import sys

from broker.service.supervised import import_asyncio, is_supervised


def main(argv: list[str] | None = None) -> int:
    """Exit status: 0 stopped, 1 can't start."""
    supervised = is_supervised("bridges.tcp", "Run the JSON over TCP door.", argv)
    import_asyncio()
    from bridges.tcp.port import serve
    from broker.service.door_process import run_door

    return run_door("tcp", serve, supervised=supervised)


if __name__ == "__main__":
    sys.exit(main())
