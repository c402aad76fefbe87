"""``ipc backup FILE`` and ``ipc restore FILE``."""

import argparse
from pathlib import Path

from bridges.plurals import number_of
from bridges.progress import Progress
from bridges.terminal import complain, say, say_json
from broker.home.settings import Settings
from broker.store.backup import BackupError, Saved
from broker.store.backup import backup as make
from broker.store.backup import restore as put_back

OK, FAILED = 0, 1


def backup(settings: Settings, options: argparse.Namespace) -> int:
    """Exit status 0 if all was saved, 1 if nothing was."""
    try:
        with Progress(Progress.bytes) as tell:
            saved = make(settings, Path(options.file).expanduser().absolute(), tell)
    except BackupError as e:
        complain(str(e), "ipc backup --help")
        return FAILED
    return _show(saved, f"saved to {options.file}", options.json)


def restore(settings: Settings, options: argparse.Namespace) -> int:
    try:
        with Progress(Progress.bytes) as tell:
            saved = put_back(settings, Path(options.file).expanduser().absolute(), force=options.force, tell=tell)
    except BackupError as e:
        complain(str(e), "ipc restore --help")
        return FAILED
    return _show(saved, f"restored to {settings.home}", options.json)


def _show(saved: Saved, where: str, as_json: bool) -> int:
    if as_json:
        fields = ("messages", "unread", "files", "missing", "size_bytes", "set_aside")
        say_json({name: getattr(saved, name) for name in fields})
        return OK
    large = number_of(saved.files, "large file")
    say(f"{number_of(saved.messages, 'message')}, {saved.unread} of them unread, and {large} {where}")
    if saved.missing:
        say(f"{number_of(saved.missing, 'large file')} had been deleted before")
    if saved.set_aside:
        say(f"What was there before is now {saved.set_aside}")
    return OK
