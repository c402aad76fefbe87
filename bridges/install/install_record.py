"""What an installation changed: ``hosts/installed.json`` of the data folder, and the backups beside a host's files."""

import contextlib
import hashlib
import itertools
import json
import os
import shutil
import time
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from bridges.known_hosts.installation import Edit, Options
from bridges.known_hosts.json_entries import read
from bridges.terminal import say
from broker.home.data_folder import prepare_home
from broker.home.files import private_folder, write_private
from broker.home.paths import working_folder
from broker.home.settings import Settings
from broker.protocol.names import is_name


def replace(path: Path, before: str, after: str) -> Path | None:
    """Replace the file whole; its mode stays. Returns the backup beside it; None if there was no file."""
    backup = None
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o600
    if path.exists():
        stamp = f"{path.name}.bak-{time.strftime('%Y%m%d-%H%M%S')}"
        names = itertools.chain([stamp], (f"{stamp}-{n}" for n in itertools.count(2)))
        backup = next(copy for name in names if not (copy := path.with_name(name)).exists())
        shutil.copy2(path, backup)
        say(f"Backup: {backup}")
    if after:
        write_private(path, after, mode=mode)
    else:
        path.unlink(missing_ok=True)
    return backup


_KINDS: dict[str, type[list[Any]] | type[dict[str, Any]]] = {"folders": list, "files": list, "edits": dict, "options": dict}
_IN = " in "
"""Between a host and the project it was installed for, in the note's keys."""


class InstallRecord:
    """What an installation changed: which folders it made, and each edited file's hash after it with the backup's path."""

    def __init__(self, settings: Settings, host: str, scope: str) -> None:
        self.host, self.scope = host, scope
        self._settings = settings
        self._path = settings.home / "hosts" / "installed.json"
        self._key = host if scope == "user" else f"{host}{_IN}{working_folder()}"
        self._mine: dict[str, Any] = _sound(_load(self._path).get(self._key))

    @property
    def known(self) -> bool:
        """Whether the host was installed, and not uninstalled since."""
        return bool(self._mine)

    def options(self) -> Options:
        """How it was installed."""
        return Options(**self._mine.get("options", {}))

    def files(self) -> list[Path]:
        """The files in folders of ours that were written; none in a note of an earlier version."""
        return [Path(name) for name in self._mine.get("files", [])]

    def begin(self, chosen: Options, files: list[Path]) -> None:
        self._mine.setdefault("folders", [])
        self._mine.setdefault("edits", {})
        self._mine["options"] = asdict(chosen)
        self._mine["files"] = [str(path) for path in files]

    def folders_of(self, folder: Path) -> None:
        """Make the folder, and note which of its parents were made for it."""
        missing = [p for p in [folder, *folder.parents] if not p.exists()]
        folder.mkdir(parents=True, exist_ok=True)
        self._mine["folders"] += [str(p) for p in missing]

    def edited(self, path: Path, before: str, after: str, backup: Path | None) -> None:
        """The first state that we met is what uninstalling gives back; a later edit of ours keeps it if it was still ours."""
        known = self._mine["edits"].get(str(path), {"after": "", "backup": None, "backups": []})
        mine = [str(backup)] if backup else []
        first = known["backup"] if known["after"] == _hash(before) else next(iter(mine), None)
        self._mine["edits"][str(path)] = {"after": _hash(after), "backup": first, "backups": known["backups"] + mine}

    def restore(self, edit: Edit) -> None:
        """Give the file back as it was; where others changed it since, take out what is ours."""
        text = read(edit.path)
        known = self._mine.get("edits", {}).get(str(edit.path), {})
        backup = Path(known["backup"]) if known.get("backup") else None
        if known.get("after") == _hash(text) and (backup is None or backup.exists()):
            if backup is not None:
                # by a rename, as it was written: the file itself may be read-only
                write_private(edit.path, backup.read_bytes(), mode=backup.stat().st_mode & 0o777)
                shutil.copystat(backup, edit.path)
            else:
                edit.path.unlink(missing_ok=True)
            for copy in known["backups"]:
                Path(copy).unlink(missing_ok=True)
        elif (after := edit.take(text)) != text:
            replace(edit.path, text, after)

    def forget(self) -> None:
        """Remove the folders that were made and are empty, and the note itself."""
        for folder in sorted(set(self._mine.get("folders", [])), key=len, reverse=True):
            with contextlib.suppress(OSError):  # not empty, or gone
                os.rmdir(folder)
        self._write(None)

    def save(self) -> None:
        self._write(self._mine)

    def _write(self, mine: dict[str, Any] | None) -> None:
        """Other hosts' notes may have been written meanwhile."""
        known = _load(self._path)
        known.pop(self._key, None)
        if mine is not None:
            known[self._key] = mine
        if known:
            prepare_home(self._settings)
            private_folder(self._path.parent)
            write_private(self._path, json.dumps(known, indent=1))
        elif self._path.exists():
            self._path.unlink()
            with contextlib.suppress(OSError):  # not empty
                self._path.parent.rmdir()


def installed_in_projects(settings: Settings) -> list[tuple[str, str]]:
    """(host, folder) of each installation for a project alone, as it was noted."""
    keys = _load(settings.home / "hosts" / "installed.json")
    return [(host, folder) for host, found, folder in (key.partition(_IN) for key in keys) if found]


def _load(path: Path) -> dict[str, Any]:
    with contextlib.suppress(OSError, ValueError, RecursionError):
        known = json.loads(path.read_text(encoding="utf-8"))
        return known if isinstance(known, dict) else {}
    return {}


def _sound(mine: Any) -> dict[str, Any]:
    """The note without options that this version does not have; empty for one that no version of ours wrote."""
    if not isinstance(mine, dict):
        return {}
    folders, files, edits, chosen = (mine.get(key, kind()) for key, kind in _KINDS.items())
    if not (_are_texts(folders) and _are_texts(files) and isinstance(edits, dict) and isinstance(chosen, dict)):
        return {}
    if not all(_is_edit(edit) for edit in edits.values()):
        return {}
    name = chosen.get("name")
    flags = {one.name: chosen[one.name] is True for one in fields(Options) if one.name != "name" and one.name in chosen}
    return {**mine, "options": {"name": name if is_name(name) else None, **flags}} if mine else {}


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _is_edit(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and isinstance(value.get("after"), str)
        and isinstance(value.get("backup"), str | None)
        and _are_texts(value.get("backups"))
    )


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
