"""Another content for the data folder: what a restore does last, and what the next start finishes if that was killed.

Theory of operation. The new content lies complete and synced in a folder ``.restore-*`` of the data folder. A journal says so,
and from then on there is only forward: what was there is renamed into the folder beside that keeps it, then the new content is
renamed into its place, then the journal goes. Each step finds what the last one left, so it can be begun again after a kill at
any instant. ``run`` and ``logs`` stay: whoever holds the locks in ``run`` holds them throughout.
"""

import json
import os
from pathlib import Path

from broker.home.files import sync_folder, write_private
from broker.home.locks import lock

JOURNAL = "restore.json"
NEW = ".restore-"
COPY = ".backup-"
_NOTES = (f".{JOURNAL}.", ".repair.json.", ".ipc.db.repaired.")
"""Beginnings of the temporary names of files that the holder of the broker's lock writes."""
KEPT = frozenset({"run", "logs"})
"""Folders that stay in a restore. A data folder with nothing else counts as empty."""


def entries(home: Path) -> list[Path]:
    """What belongs to the data folder's content."""
    return [e for e in home.iterdir() if e.name not in KEPT and e.name != JOURNAL and not e.name.startswith((NEW, COPY))]


def begin(home: Path, new: Path, aside: Path) -> None:
    """Put the content of ``new`` in the place of what is there, which goes to ``aside``, an empty folder."""
    for folder in (aside.parent, home):
        sync_folder(folder)
    _note(home, new, aside, "setting aside")
    finish(home)


def _note(home: Path, new: Path, aside: Path, step: str) -> None:
    told = {"new": new.name, "aside": str(aside), "step": step}
    write_private(home / JOURNAL, json.dumps(told), durable=True)


def finish(home: Path) -> bool:
    """Finish a restore that was cut short; False if there is none. The caller holds the broker's lock."""
    try:
        told = json.loads((home / JOURNAL).read_text(encoding="utf-8"))
        new, aside, step = home / Path(told["new"]).name, Path(told["aside"]), told["step"]
    except FileNotFoundError:
        return False
    except (ValueError, KeyError, TypeError) as e:
        raise OSError(f"{home / JOURNAL} says what a restore has begun, and can't be read ({e}); move it away") from e
    if step == "setting aside" and not new.is_dir():  # then there is nothing to put in its place
        _put_back(home, aside)
        return False
    aside.mkdir(mode=0o700, exist_ok=True)
    if step == "setting aside":
        for entry in entries(home):
            _move(entry, aside)
        for folder in (aside, home):
            sync_folder(folder)
        _note(home, new, aside, "putting in")
    if new.is_dir():
        for entry in list(new.iterdir()):
            if (home / entry.name).exists():  # somebody made it meanwhile
                _move(home / entry.name, aside)
            entry.rename(home / entry.name)
        sync_folder(home)
        new.rmdir()
    (home / JOURNAL).unlink()
    sync_folder(home)
    return True


def _put_back(home: Path, aside: Path) -> None:
    for entry in list(aside.iterdir()) if aside.is_dir() else ():
        if not (home / entry.name).exists():
            entry.rename(home / entry.name)
    (home / JOURNAL).unlink()
    sync_folder(home)


def _move(entry: Path, folder: Path) -> None:
    target = folder / entry.name
    entry.rename(target if not target.exists() else folder / f"{entry.name}.{os.urandom(4).hex()}")


def sweep(home: Path) -> list[str]:
    """Remove what a killed backup or restore left. The caller holds the broker's lock, so no restore runs."""
    swept = []
    for entry in list(home.iterdir()):
        if entry.name.startswith(_NOTES) and entry.name.endswith(".tmp"):
            entry.unlink()
        elif entry.name.startswith((NEW, COPY)) and entry.is_dir() and not entry.is_symlink():
            with lock(entry) as unused:
                if unused:
                    import shutil

                    shutil.rmtree(entry, ignore_errors=True)
                    swept.append(entry.name)
    return swept
