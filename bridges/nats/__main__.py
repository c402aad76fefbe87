"""``python -m bridges.nats``: the door to other sites. The supervisor starts it where ``nats`` is set."""

import sys

from broker.service.supervised import is_supervised


def main(argv: list[str] | None = None) -> int:
    """Exit status: 0 stopped, 1 can't start."""
    supervised = is_supervised("bridges.nats", "Run the door to other sites.", argv)
    from bridges.nats.door import serve
    from broker.service.door_process import run_door

    return run_door("nats", serve, supervised=supervised)


if __name__ == "__main__":
    sys.exit(main())
