"""One tar file that holds a data folder: taken while the service runs, put back while it does not.

The database is copied through SQLite's backup interface within one read transaction, which sees one moment of it and holds no
writer up; then come the large files that this moment names, and what settings name (TLS, secrets) where it lies in the folder.
A message that is swept in between takes its file along; it is taken out of the copy. Everything in the file is private (mode
0600): it holds mail, keys and session tokens.
"""

import hashlib
import io
import json
import os
import re
import secrets
import shutil
import sqlite3
import tarfile
import tempfile
import time
import tomllib
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from broker.home import restore_journal
from broker.home.data_folder import prepare_home
from broker.home.files import make_folder, sync_folder, write_private
from broker.home.locks import lock, no_service
from broker.home.message_files import NAME, is_ours, locate
from broker.home.settings import Settings
from broker.protocol.names import is_name
from broker.store.epochs import begin_other_epochs
from broker.store.folding import waiting_in
from broker.store.last_ids import NumbersUsedUp, go_on_beyond
from broker.version import VERSION

_FORMAT = 1
_MEMBER = re.compile(
    r"manifest\.json|ipc\.db|config\.toml|owner\.key|sessions/[^/\x00]{1,255}|keys/(server|allowed|site)\.json"
    rf"|large-messages/{NAME}",
    re.ASCII,
)
_OTHERS = ("config.toml", "owner.key", "keys/server.json", "keys/allowed.json", "keys/site.json")


_STEP_PAGES = 2048
"""Pages copied between two words of how far it is."""
_CHECK_INSTRUCTIONS = 100_000
"""Instructions of SQLite's machine between two such words."""
_COPY_BYTES = 1 << 20

Tell = Callable[[str, int, int], None]
"""Told again and again: what is done now, how many bytes of it, and of how many; of 0 where that is not known."""


def _nobody(_what: str, _done: int, _total: int) -> None:
    """Nobody is told."""


class BackupError(Exception):
    """It can't be done; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Saved:
    """What a backup or restore moved. ``missing``: large files that someone has deleted."""

    messages: int
    unread: int
    files: int
    missing: int
    size_bytes: int
    set_aside: str | None = None


def backup(settings: Settings, target: Path, tell: Tell = _nobody) -> Saved:
    """Write the data folder to ``target``, which must not exist. Raises BackupError."""
    home = settings.home
    if not (home / "ipc.db").exists():
        raise BackupError(f"{home} has no mail yet")
    if os.path.lexists(target):
        raise BackupError(f"{target} exists already; choose another name")
    try:
        with tempfile.TemporaryDirectory(dir=home, prefix=restore_journal.COPY) as folder, lock(folder):
            copy = Path(folder) / "ipc.db"
            source = f"{(home / 'ipc.db').as_uri()}?mode=ro"
            with closing(sqlite3.connect(source, uri=True, timeout=10)) as live, closing(sqlite3.connect(copy)) as db:
                _copy(live, db, tell)
                files, missing = _files(settings, db, live)
                saved = _counts(db, tell)
            return _write(settings, target, copy, files, missing, saved, tell)
    except (OSError, sqlite3.Error) as e:
        raise BackupError(f"no backup was made: {e}") from e


def _copy(live: sqlite3.Connection, db: sqlite3.Connection, tell: Tell) -> None:
    """Copy the database as it is at this moment. The transaction is what all steps see; writers go on beside it."""
    page_bytes = live.execute("PRAGMA page_size").fetchone()[0]

    def step(_status: int, remaining: int, total: int) -> None:
        tell("copying", (total - remaining) * page_bytes, total * page_bytes)

    live.execute("BEGIN")
    live.execute("SELECT count(*) FROM sqlite_master").fetchone()  # BEGIN alone reads nothing
    live.backup(db, pages=_STEP_PAGES, progress=step)
    live.rollback()


def _files(settings: Settings, db: sqlite3.Connection, live: sqlite3.Connection) -> tuple[list[Path], int]:
    """The large files of the copy that are there, and how many someone has deleted."""
    files, missing = [], 0
    for message_id, name in db.execute("SELECT id, file_path FROM message WHERE file_path IS NOT NULL").fetchall():
        path = locate(name, settings)
        if path is not None and path.is_file() and not path.is_symlink():
            files.append(path)
        elif live.execute("SELECT 1 FROM message WHERE id = ?", (message_id,)).fetchone():
            missing += 1
        else:  # swept since: its time was over
            db.execute("DELETE FROM queue WHERE message_id = ?", (message_id,))
            db.execute("DELETE FROM receipt WHERE message_id = ?", (message_id,))
            db.execute("DELETE FROM message WHERE id = ?", (message_id,))
    db.commit()
    return files, missing


def _counts(db: sqlite3.Connection, tell: Tell) -> tuple[int, int]:
    db.set_progress_handler(lambda: tell("checking", 0, 0), _CHECK_INSTRUCTIONS)
    verdict = db.execute("PRAGMA quick_check(1)").fetchone()[0]
    if verdict != "ok":
        raise BackupError(f"the database is damaged ({verdict}): ipc doctor --repair")
    messages = db.execute("SELECT count(*) FROM message").fetchone()[0]
    waiting = waiting_in(db.execute("PRAGMA user_version").fetchone()[0])
    return int(messages), int(db.execute(f"SELECT count(*) FROM {waiting}").fetchone()[0])


def _named_files(settings: Settings) -> list[str]:
    """Certificate, key, and files of secrets, relative to the data folder, where they lie in it and are no links."""
    home, found = settings.home.resolve(), dict[str, None]()
    for name in filter(None, (settings.tls_cert, settings.tls_key, "metrics.token", *_secret_files(home))):
        path = settings.home / os.path.expanduser(name)
        if path.is_file() and not path.is_symlink() and path.resolve().is_relative_to(home):
            found[path.resolve().relative_to(home).as_posix()] = None
    return [name for name in found if _may_be_named(name)]


def _secret_files(home: Path) -> list[str]:
    """What config.toml names by keys like ``secret_file``: without them its channels and webhooks are closed."""
    try:
        tables = [tomllib.loads((home / "config.toml").read_text(encoding="utf-8"))]
    except (OSError, ValueError):  # none, or a broken one, which is saved as it is
        return []
    found = []
    for table in tables:
        tables += [value for value in table.values() if isinstance(value, dict)]
        found += [value for key, value in table.items() if key.endswith("_file") and isinstance(value, str)]
    return found


def _may_be_named(name: str) -> bool:
    """True for a path within the data folder that is not one of ours."""
    parts = name.split("/")
    plain = "\0" not in name and not any(part in ("", ".", "..") for part in parts)
    return plain and parts[0] not in restore_journal.KEPT and not name.startswith("ipc.db") and not _MEMBER.fullmatch(name)


class _ToldFile(io.FileIO):
    """A file that is written, and a word of how much of it is."""

    def __init__(self, fd: int, total_bytes: int, tell: Tell) -> None:
        super().__init__(fd, "wb")
        self._done_bytes, self._total_bytes, self._say = 0, total_bytes, tell

    def write(self, part: Any) -> int:
        count = super().write(part)
        self._done_bytes += count
        self._say("writing", self._done_bytes, self._total_bytes)
        return count


def _write(
    settings: Settings, target: Path, copy: Path, files: list[Path], missing: int, counts: tuple[int, int], tell: Tell
) -> Saved:
    home, named_files = settings.home, _named_files(settings)
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(6)}.tmp")
    fd, named = _open_new(temporary)
    try:
        total_bytes = sum(path.stat().st_size for path in (copy, *files))
        with io.BufferedWriter(_ToldFile(fd, total_bytes, tell), _COPY_BYTES) as out:
            with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
                manifest = {
                    "format": _FORMAT,
                    "version": VERSION,
                    "made_s": time.time(),
                    "sha256": _digest(copy),
                    "tls": named_files,
                }
                _add(tar, "manifest.json", json.dumps(manifest).encode())
                tar.add(copy, "ipc.db", recursive=False, filter=_private)
                for path in [home / n for n in (*_OTHERS, *named_files)] + sorted((home / "sessions").glob("*.json")):
                    if path.is_file() and not path.is_symlink():
                        tar.add(path, str(path.relative_to(home)), recursive=False, filter=_private)
                for path in files:
                    tar.add(path, f"large-messages/{path.name}", recursive=False, filter=_private)
            out.flush()
            os.fsync(out.fileno())
            if named:
                os.link(temporary, target)  # unlike a rename it never replaces a file
            else:
                os.link(f"/proc/self/fd/{fd}", target, src_dir_fd=fd, follow_symlinks=True)
        sync_folder(target.parent)
    finally:
        temporary.unlink(missing_ok=True)
    return Saved(*counts, len(files), missing, target.stat().st_size)


def _open_new(temporary: Path) -> tuple[int, bool]:
    """(descriptor, whether the file has a name). Where Linux can make one without, a killed backup leaves nothing behind."""
    if hasattr(os, "O_TMPFILE") and os.path.isdir("/proc/self/fd"):
        with suppress(OSError):  # this file system can't
            return os.open(temporary.parent, os.O_WRONLY | os.O_TMPFILE, 0o600), False
    return os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), True


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(content), 0o600
    tar.addfile(member, io.BytesIO(content))


def _private(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.mode, member.uid, member.gid, member.uname, member.gname = 0o600, 0, 0, "", ""
    return member


def _digest(path: Path) -> str:
    with path.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def restore(settings: Settings, source: Path, *, force: bool = False, tell: Tell = _nobody) -> Saved:
    """Make the data folder what the backup holds. With ``force`` what was there is set aside. Raises BackupError."""
    home = settings.home
    try:
        prepare_home(settings)
        if _held(home) and not force:
            raise BackupError(f"{home} is not empty; --force sets aside what is in it (it is renamed, not removed)")
        with no_service(settings.home) as stopped:
            if not stopped:
                raise BackupError("the service is running; stop it first: ipc down")
            restore_journal.finish(home)
            restore_journal.sweep(home)
            held = _held(home)
            new = Path(tempfile.mkdtemp(prefix=restore_journal.NEW, dir=home))
            try:
                saved = _unpack(source, new, home, tell)
                _keep_shell(home, new)
                aside = _aside(home)
            except BaseException:
                shutil.rmtree(new, ignore_errors=True)
                raise
            try:
                restore_journal.begin(home, new, aside)
            except OSError as e:
                if not (home / restore_journal.JOURNAL).exists():
                    raise
                after = f"ipc up or ipc restore finishes it, and what was there goes to {aside}"
                raise BackupError(f"the restore has begun and could not be finished: {e}. The next {after}") from e
    except (OSError, tarfile.TarError, sqlite3.Error) as e:
        raise BackupError(f"nothing was restored: {e}") from e
    if not held:
        shutil.rmtree(aside, ignore_errors=True)
    return Saved(*saved, set_aside=str(aside) if held else None)


def _held(home: Path) -> list[Path]:
    """What is in use in the data folder; a start makes an empty folder of sessions."""
    return [e for e in restore_journal.entries(home) if not (e.name == "sessions" and e.is_dir() and not any(e.iterdir()))]


def _aside(home: Path) -> Path:
    """A new folder that keeps what was there: beside the data folder, in it where that is a file system of its own."""
    when = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
    name = f"before-restore-{when}-{secrets.token_hex(2)}"
    own = os.stat(home).st_dev != os.stat(home.parent).st_dev
    aside = home / "logs" / name if own else home.with_name(f"{home.name}.{name}")
    aside.mkdir(mode=0o700)
    return aside


def _keep_shell(home: Path, new: Path) -> None:
    """Shells stay who they were, although the backup knows nothing of who that is."""
    for kept in (*(home / "sessions").glob("terminal-*.json"), *(home / "sessions").glob("cli-inherited")):
        copy = new / "sessions" / kept.name
        if not copy.exists():
            write_private(copy, kept.read_bytes(), durable=True)
    current = home / "sessions" / "cli-current"
    with suppress(FileNotFoundError, UnicodeDecodeError):
        name = current.read_text(encoding="utf-8").strip()
        copy = new / "sessions" / current.name
        if is_name(name) and not copy.exists():
            write_private(copy, name + "\n", durable=True)
            session = f"cli-{name}.json"
            if not (new / "sessions" / session).exists():
                write_private(
                    new / "sessions" / session, (home / "sessions" / session).read_text(encoding="utf-8"), durable=True
                )


def _members(tar: tarfile.TarFile, manifest: dict[str, Any]) -> Iterator[tarfile.TarInfo]:
    """The members, none of which may be anything but a plain file that belongs into a data folder. The manifest, which is
    read meanwhile, names the TLS files."""
    for member in tar:
        ours = _MEMBER.fullmatch(member.name) and not member.name.endswith(("/.", "/.."))
        named = manifest.get("tls")
        tls = isinstance(named, list) and member.name in named and _may_be_named(member.name)
        if not member.isreg() or not (ours or tls):
            raise BackupError(f"{member.name[:80]!r} has no place in a backup: this is none, or it was changed")
        yield member


def _manifest(raw: bytes, source: Path) -> dict[str, Any]:
    try:
        told = json.loads(raw)
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict):
        raise BackupError(f"{source} is damaged: what it says of itself can't be read")
    return told


def _unpack(source: Path, new: Path, home: Path, tell: Tell) -> tuple[int, int, int, int, int]:
    """Write all members below ``new``, with the paths of large files as they will be in ``home``."""
    manifest: dict[str, Any] = {}
    size_bytes = source.stat().st_size
    for name in ("sessions", "large-messages", "keys"):
        (new / name).mkdir(mode=0o700)
    with tarfile.open(source, "r:") as tar:
        for member in _members(tar, manifest):
            content = tar.extractfile(member)
            assert content is not None
            if member.name == "manifest.json":
                manifest.update(_manifest(content.read(65536), source))
                continue
            make_folder((new / member.name).parent)
            fd = os.open(new / member.name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(fd, "wb") as out:
                while part := content.read(_COPY_BYTES):
                    out.write(part)
                    tell("unpacking", member.offset_data + content.tell(), size_bytes)
                out.flush()
                os.fsync(out.fileno())
    if manifest.get("format") != _FORMAT or not (new / "ipc.db").exists():
        raise BackupError(f"{source} is no backup of this program, or of a later version")
    if _digest(new / "ipc.db") != manifest.get("sha256"):
        raise BackupError(f"{source} is damaged: its database is not the one that was saved")
    with closing(sqlite3.connect(new / "ipc.db")) as db:
        missing = _move_files(db, new / "large-messages", home / "large-messages")
        counts = _counts(db, tell)
        _begin_another_life(db, source)
    for folder in (*(path for path in new.rglob("*") if path.is_dir()), new):
        sync_folder(folder)
    files = len(list((new / "large-messages").iterdir()))
    return *counts, files, missing, size_bytes


def _begin_another_life(db: sqlite3.Connection, source: Path) -> None:
    """What the saved service, or another restored one, has given out or written since is not this one's: its numbers are not
    given again, and its large files in a folder that both use are not taken for orphans."""
    try:
        go_on_beyond(db)
    except NumbersUsedUp as e:
        raise BackupError(f"{source} is no backup of this program: {e}") from None
    begin_other_epochs(db)
    db.execute("INSERT OR REPLACE INTO meta VALUES ('store_id', ?)", (uuid.uuid4().hex,))
    db.commit()


def _move_files(db: sqlite3.Connection, found: Path, folder: Path) -> int:
    """Let the messages name their files where they will be; how many files are missing."""
    rows = db.execute("SELECT id, file_path FROM message WHERE file_path IS NOT NULL").fetchall()
    for message_id, old in rows:
        if not is_ours(Path(old).name):
            raise BackupError(f"message {message_id} of the backup names a file that is not ours: {old[:80]!a}")
    moved = [(str(folder / Path(old).name), old, i) for i, old in rows if (found / Path(old).name).is_file()]
    if any(new != old for new, old, _ in moved):
        rename = "UPDATE message SET content = replace(content, ?2, ?1), file_path = ?1 WHERE id = ?3"
        db.executemany(rename, moved)
        if db.execute("SELECT 1 FROM sqlite_master WHERE name = 'message_text'").fetchone():
            # the text index follows the text: it is made anew by and by (see broker.store.index)
            db.execute("INSERT INTO message_text(message_text) VALUES ('delete-all')")
            db.execute("DELETE FROM meta WHERE key = 'indexed_id'")
        db.commit()
    return len(rows) - len(moved)
