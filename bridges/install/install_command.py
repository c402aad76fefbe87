"""``ipc install HOST``, ``ipc install HOST --check``, ``ipc uninstall HOST``. What is put where: bridges.install.installation.

A file of the host's is replaced whole, after a backup beside it. A second install changes nothing. What was done is kept in
``hosts/installed.json`` of the data folder: uninstall gives back a file byte by byte if nobody changed it since.
"""

import argparse
import contextlib
import hashlib
import itertools
import json
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from bridges.install import allowed_tools
from bridges.install.check import check
from bridges.install.installation import HOSTS, Edit, Installation, Options, plan
from bridges.install.json_entries import read
from bridges.start_command import ipc_command, lasts
from bridges.terminal import complain, say
from broker.home.data_folder import prepare_home
from broker.home.files import private_folder, write_private
from broker.home.paths import working_folder
from broker.home.settings import Settings
from broker.protocol.errors import IpcError

_NEXT = {
    "claude": "start claude anew: hooks, monitor and tools are there as the plugin agent-ipc@skills-dir",
    "gemini": "start gemini anew, in a folder that you have trusted",
    "codex": "start codex anew, and trust the new hooks once with /hooks",
}


def run(settings: Settings, options: argparse.Namespace) -> int:
    """Exit status 0: installed, printed, or there already. With ``--check`` 1: a piece is missing or wrong."""
    if options.host is None:
        return _check_all(settings, options)
    record = Record(settings, options.host, options.scope)
    if options.check:
        return check(plan(options.host, options.scope, record.options()), allowed=record.options().allow)
    allow = _allow(options, record.options().allow)
    chosen = Options(options.name, options.claims, options.rewake, allow)
    wanted = plan(options.host, options.scope, chosen)
    if options.print_only:
        _show(wanted)
        return 0
    changes = [
        (edit, text, after)
        for edit in [*wanted.retired, *wanted.edits]
        if (text := read(edit.path)) != (after := edit.put(text))
    ]
    files = [path for path, text in _files(wanted) if read(path) != text]
    if not changes and not files:
        say(f"Already installed in {_place(wanted)}")
        return 0
    record.begin(chosen)
    for path, text in _files(wanted):
        record.folders_of(path.parent)
        write_private(path, text)
    _remove_strangers(wanted)
    for edit, text, after in changes:
        record.folders_of(edit.path.parent)
        record.edited(edit.path, text, after, replace(edit.path, text, after))
    record.save()
    say(f"Installed in {_place(wanted)}")
    if not lasts(ipc_command()):
        complain(f"{ipc_command()[0]} may be removed: it is in a folder that is cleaned now and then", _LASTING)
    say(f"tools    {allowed_tools.sentence() if chosen.allow else allowed_tools.MODES[options.host, False]}")
    say(f"next: {_NEXT[options.host]}")
    return 0


_LASTING = "install agent-ipc where it stays, such as by uv tool install or pipx install, then ipc install again"


def _allow(options: argparse.Namespace, before: bool) -> bool:
    """Whether the mail tools are allowed: as the flag says, else as the user says at a terminal, else as before."""
    if _is_for_user_only(options):
        if options.allow:
            raise IpcError("bad_request", detail="Gemini CLI takes such rules for the user only: without --scope project")
        return False
    if options.allow is None and not options.print_only and sys.stdin.isatty():
        say(f"{options.host} may call the mail tools {allowed_tools.sentence()}")
        try:
            return str(input("Allow that? [Y/n] ")).strip().lower() in ("", "y", "yes")
        except EOFError:
            return False
    return before if options.allow is None else bool(options.allow)


def _is_for_user_only(options: argparse.Namespace) -> bool:
    return bool(options.host == "gemini" and options.scope == "project")


def remove(settings: Settings, options: argparse.Namespace) -> int:
    """Exit status 0: nothing of ours is left in the host."""
    record = Record(settings, options.host, options.scope)
    wanted = plan(options.host, options.scope, record.options())
    found = [edit for edit in wanted.edits if (text := read(edit.path)) != edit.take(text)]
    there = wanted.folder is not None and wanted.folder.exists()
    for edit in wanted.edits:
        record.restore(edit)
    for edit in wanted.retired:
        if (after := edit.put(text := read(edit.path))) != text:
            replace(edit.path, text, after)
    if wanted.folder is not None and there:
        shutil.rmtree(wanted.folder)
    record.forget()
    say(f"Removed from {_place(wanted)}" if found or there else f"Not installed in {_place(wanted)}")
    return 0


def _check_all(settings: Settings, options: argparse.Namespace) -> int:
    """Check every host that has something of ours. Exit status 1 if one is not well, or if there is none."""
    if not options.check:
        raise IpcError("bad_request", detail="name a host: claude, gemini or codex")
    records = [Record(settings, host, options.scope) for host in HOSTS]
    wanted = [plan(host, options.scope, record.options()) for host, record in zip(HOSTS, records, strict=True)]
    there = [one for one in wanted if _is_there(one)]
    if not there:
        complain(f"no host has anything of ours ({options.scope})", "ipc install claude")
        return 1
    return max([check(one, allowed=r.options().allow) for one, r in zip(wanted, records, strict=True) if one in there])


def installed(settings: Settings, scope: str) -> list[Installation]:
    """The installation of each host that has something of ours, with the options it was made with."""
    return [wanted for host in HOSTS if _is_there(wanted := plan(host, scope, Record(settings, host, scope).options()))]


def _is_there(wanted: Installation) -> bool:
    if wanted.folder is not None and wanted.folder.exists():
        return True
    return any(edit.take(text := read(edit.path)) != text for edit in wanted.edits)


def _files(wanted: Installation) -> list[tuple[Path, str]]:
    return [(wanted.folder / name, text) for name, text in wanted.files.items()] if wanted.folder else []


def _place(wanted: Installation) -> str:
    edited = [str(e.path) for e in wanted.edits if wanted.folder is None or e.path.exists()]
    return " and ".join([str(wanted.folder), *edited] if wanted.folder else edited)


def _show(wanted: Installation) -> None:
    """Print what would be written, file by file."""
    for path, text in _files(wanted):
        say(f"# {path}")
        say(text.rstrip())
    for edit in [*wanted.retired, *wanted.edits]:
        text = read(edit.path)
        if (after := edit.put(text)) != text:
            say(f"# {edit.path}")
            say(after.rstrip())


def _remove_strangers(wanted: Installation) -> None:
    """Remove files of an earlier version from our own folder. The host would still load them."""
    assert wanted.folder is None or wanted.folder.name == "agent-ipc"
    for path in [p for p in wanted.folder.rglob("*") if p.is_file()] if wanted.folder else []:
        if wanted.folder and str(path.relative_to(wanted.folder)) not in wanted.files:
            path.unlink()


def replace(path: Path, before: str, after: str) -> Path | None:
    """Replace the file whole; its mode stays. Returns the backup beside it; None if there was no file."""
    backup = None
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o600
    if before:
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


class Record:
    """What an installation changed: which folders it made, and each edited file's hash after it with the backup's path."""

    def __init__(self, settings: Settings, host: str, scope: str) -> None:
        self._settings = settings
        self._path = settings.home / "hosts" / "installed.json"
        self._key = host if scope == "user" else f"{host} in {working_folder()}"
        self._all: dict[str, Any] = {}
        with contextlib.suppress(OSError, ValueError):
            self._all = json.loads(self._path.read_text(encoding="utf-8"))
        self._mine: dict[str, Any] = self._all.get(self._key, {})

    def options(self) -> Options:
        """How it was installed."""
        return Options(**self._mine.get("options", {}))

    def begin(self, chosen: Options) -> None:
        self._mine.setdefault("folders", [])
        self._mine.setdefault("edits", {})
        self._mine["options"] = {"name": chosen.name, "claims": chosen.claims, "rewake": chosen.rewake, "allow": chosen.allow}

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
                shutil.copy2(backup, edit.path)
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
        if self._all.pop(self._key, None) is not None:
            self._write()

    def save(self) -> None:
        self._all[self._key] = self._mine
        self._write()

    def _write(self) -> None:
        prepare_home(self._settings)
        private_folder(self._path.parent)
        if self._all:
            write_private(self._path, json.dumps(self._all, indent=1))
        else:
            self._path.unlink(missing_ok=True)
            self._path.parent.rmdir()


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
