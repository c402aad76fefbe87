"""``python -m bridges.answers``: the second listener. The supervisor starts it where ``answers`` is set."""

import sys

from broker.service.supervised import is_supervised


def main(argv: list[str] | None = None) -> int:
    """Exit status: 0 stopped, 1 can't start."""
    supervised = is_supervised("bridges.answers", "Run the listener for answers from elsewhere and webhooks.", argv)
    from bridges.answers.door import serve
    from broker.service.door_process import run_door

    return run_door("answers", serve, supervised=supervised)


if __name__ == "__main__":
    sys.exit(main())
