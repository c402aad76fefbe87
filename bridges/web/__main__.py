"""``python -m bridges.web``: the person's page. The supervisor starts it where ``web`` is true."""

import sys

from broker.service.supervised import is_supervised


def main(argv: list[str] | None = None) -> int:
    """Exit status: 0 stopped, 1 can't start."""
    supervised = is_supervised("bridges.web", "Run the person's page.", argv)
    from bridges.web.door import serve
    from broker.service.door_process import run_door

    return run_door("web", serve, supervised=supervised)


if __name__ == "__main__":
    sys.exit(main())
