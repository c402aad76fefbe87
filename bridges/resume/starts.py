"""The starts of the last day, in ``resume/starts.json`` of the data folder. Each is written down before it is tried."""

import json
import os
import time
from typing import NamedTuple

from bridges import started_bodies
from broker.home.files import read_private, write_private

DAY_S = 86_400.0


class Start(NamedTuple):
    """A start that was tried: whose, when (Unix time), for which message."""

    name: str
    at_s: float
    newest: int


def _path(home: str) -> str:
    return os.path.join(started_bodies.folder(home), "starts.json")


def read_all(home: str) -> list[Start]:
    """All that the file holds, also of a clock that was ahead. Raises OSError, and ValueError where it makes no sense."""
    try:
        found = json.loads(read_private(_path(home)))
        return [Start(str(name), float(at_s), int(newest)) for name, at_s, newest in found]
    except FileNotFoundError:
        return []
    except (ValueError, TypeError, OverflowError):
        raise ValueError(f"{_path(home)} is damaged: remove it, and starts are counted anew") from None


def is_ahead(start: Start, now_s: float) -> bool:
    """True for a start that a clock wrote down which was more than a day ahead. It counts for nothing."""
    return start.at_s > now_s + DAY_S


def read(home: str) -> list[Start]:
    """The starts of the last day. Raises OSError, and ValueError where the file makes no sense."""
    now_s = time.time()
    return [row for row in read_all(home) if row.at_s > now_s - DAY_S and not is_ahead(row, now_s)]


def add(home: str, start: Start) -> None:
    """Raises OSError, ValueError: what can't be counted is not begun."""
    write_private(_path(home), json.dumps([*read(home), start]), durable=True)
