"""``python -m bridges.notify``: tells the person what waits. The supervisor starts it where config.toml has ``[notify]``."""

import sys

from broker.service.supervised import is_supervised


def main(argv: list[str] | None = None) -> int:
    """Exit status: 0 stopped, 1 can't start."""
    supervised = is_supervised("bridges.notify", "Tell the person what waits.", argv)
    from bridges.notify.door import serve
    from broker.service.door_process import run_door

    return run_door("notify", serve, supervised=supervised)


if __name__ == "__main__":
    sys.exit(main())
