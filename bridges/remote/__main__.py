"""``python -m bridges.remote``: the door for other machines, with keys. The supervisor starts it where ``remote`` is set."""

import sys

from broker.service.supervised import import_asyncio, is_supervised


def main(argv: list[str] | None = None) -> int:
    """Exit status: 0 stopped, 1 can't start."""
    supervised = is_supervised("bridges.remote", "Run the door for other machines.", argv)
    import_asyncio()
    from bridges.remote.address import serve
    from broker.service.door_process import run_door

    return run_door("remote", serve, supervised=supervised)


if __name__ == "__main__":
    sys.exit(main())
