"""Files of large messages: which names are ours, where they lie, and what is in them.

A message names its file in the database, and a database may come from elsewhere: a restored backup, a repair. So what is
opened or removed is never the stored path but a file of our own form of name in a folder of our own.
"""

import os
import re
from pathlib import Path

from broker.home.settings import Settings
from broker.protocol.digests import text_digest
from broker.protocol.names import BROADCAST

_PARTY = r"[A-Za-z0-9_-]{1,32}(@[a-z0-9-]{1,32})?"
NAME = rf"\d{{8}}-\d{{6}}_{_PARTY}_{_PARTY}_message(-\d+)?\.md"
_OURS = re.compile(NAME, re.ASCII)
HEAD_END = b"\n---\n\n"
"""Between a file's head and the message's own bytes."""


def file_stem(when: str, sender: str, recipient: str) -> str:
    """A file's name without its end; ``when`` is ``YYYYMMDD-HHMMSS``. Everyone at a site (``*@rome``) is ``all@rome`` in it."""
    return f"{when}_{sender}_{recipient.replace('*', BROADCAST)}_message"


def is_ours(name: str) -> bool:
    """Whether a file name has the form ``YYYYMMDD-HHMMSS_from_to_message.md``, perhaps with a number."""
    return _OURS.fullmatch(name) is not None


def locate(stored: str, settings: Settings) -> Path | None:
    """The file that a stored path stands for: its name in the folder for large messages, or in the data folder's own where it
    was stored there. None for a name that no file of ours can have."""
    folder, name = os.path.split(stored)
    if not is_ours(name):
        return None
    inner = settings.home / "large-messages"
    return (inner if folder == str(inner) else settings.large_message_path) / name


def original(path: str | Path, sha256: str) -> bytes | None:
    """The text of a large message. None if the file is gone, is a link, or is not what was stored."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
        with os.fdopen(fd, "rb") as f:
            found = f.read().partition(HEAD_END)[2]
    except OSError:
        return None
    return found if text_digest(found) == sha256 else None
