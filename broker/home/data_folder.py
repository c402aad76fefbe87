"""The data folder and its parts, made private before anything is put in them."""

import os
from pathlib import Path

from broker.home.endpoints import prepare_sockets
from broker.home.files import FolderError, private_folder, quoted
from broker.home.settings import Settings


def prepare_home(settings: Settings) -> None:
    """Make the data folder and its parts, mode 0700. Raises FolderError, OSError."""
    for folder in (settings.home, settings.home / "run", settings.home / "logs", settings.home / "sessions"):
        private_folder(folder)
    check_large_folder(settings.large_message_path)
    prepare_sockets(settings)


def check_large_folder(path: Path) -> None:
    """Raise FolderError where the folder for large messages is another user's, or others may write in it: they could put
    another text in a message's place."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return  # it is made when it is needed
    if found.st_uid != os.getuid():
        raise FolderError(f"{path}, the folder for large messages, belongs to another user; set large_message_dir to another")
    if found.st_mode & 0o022:
        raise FolderError(f"{path}, the folder for large messages, can be written by others; run: chmod go-w {quoted(path)}")
