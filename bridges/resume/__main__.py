"""``python -m bridges.resume``: starts closed sessions again for mail. It runs where ``[hosts.resume]`` has names."""

import sys

from broker.service.supervised import is_supervised


def main(argv: list[str] | None = None) -> int:
    """Exit status: 0 stopped, 1 can't start."""
    supervised = is_supervised("bridges.resume", "Start closed sessions again for mail.", argv)
    from bridges.resume.resumer import serve
    from broker.service.door_process import run_door

    return run_door("resume", serve, supervised=supervised)


if __name__ == "__main__":
    sys.exit(main())
