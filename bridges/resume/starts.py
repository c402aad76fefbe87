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


def read(home: str) -> list[Start]:
    """The starts of the last day; none where the file is missing or makes no sense."""
    try:
        rows = [Start(str(name), float(at_s), int(newest)) for name, at_s, newest in json.loads(read_private(_path(home)))]
    except (OSError, ValueError, TypeError):
        return []
    return [row for row in rows if row.at_s > time.time() - DAY_S]


def add(home: str, start: Start) -> None:
    """Raises OSError: what can't be counted is not begun."""
    write_private(_path(home), json.dumps([*read(home), start]), durable=True)
