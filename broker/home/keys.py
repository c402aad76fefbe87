"""Keys of the remote door: the broker's own pair, and which name each client's key stands for.

``HOME/keys`` (mode 0700) has ``server.json``, ``{"public", "secret"}``, made at first use, and ``allowed.json``, a list of
``{"name", "key", "added"}``; both of mode 0600. Keys are CURVE25519 keys as 64 hex digits: unlike ZeroMQ's own Z85 those
need no quoting in a shell. Files are replaced whole, so that a reader sees the list before a change or the one after it.
"""

import json
import os
import string
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from broker.home.files import FolderError, private_folder, read_private, write_private
from broker.home.locks import lock
from broker.home.settings import Settings
from broker.protocol.errors import SettingsError
from broker.protocol.names import is_name, is_reserved

_KEY_DIGITS = 64
_Z85_LENGTH = 40


@dataclass(frozen=True, slots=True)
class Allowed:
    """A client's key that may come in. ``added`` is UTC, ISO 8601."""

    name: str
    key: str
    added: str


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A key pair, hex."""

    public: str
    secret: str


def new_pair() -> KeyPair:
    import zmq
    from zmq.utils import z85

    public, secret = zmq.curve_keypair()
    return KeyPair(z85.decode(public).hex(), z85.decode(secret).hex())


def read_key(text: str) -> str:
    """A public key as hex, from hex or Z85. Raises SettingsError."""
    if len(text) == _KEY_DIGITS and set(text) <= set(string.hexdigits):
        return text.lower()
    if len(text) == _Z85_LENGTH:
        from zmq.utils import z85

        try:
            return z85.decode(text.encode()).hex()
        except (KeyError, ValueError, OverflowError):
            pass
    raise SettingsError(
        f"{text[:80]!r} is no public key: those have {_KEY_DIGITS} hex digits, or {_Z85_LENGTH} characters of Z85"
    )


def keys_folder(settings: Settings) -> Path:
    """``keys`` in the data folder, ours alone. Raises FolderError."""
    private_folder(settings.home)
    folder = settings.home / "keys"
    if folder.is_symlink():
        raise FolderError(f"{folder} is a link, and the folder of the keys must be none")
    private_folder(folder)
    return folder


def server_pair(settings: Settings) -> KeyPair:
    """The broker's own keys, made at first use. Raises OSError, SettingsError."""
    path = keys_folder(settings) / "server.json"
    if not os.path.lexists(path):
        write_private(path, json.dumps(asdict(new_pair())), replace=False, durable=True)
    stored = _json(path)
    try:
        return KeyPair(read_key(stored["public"]), read_key(stored["secret"]))
    except (SettingsError, KeyError, TypeError):  # never show what was read: it is a secret
        raise SettingsError(f"{path} holds no key pair; restore it from a backup, or remove it to have new keys made") from None


def allowed(settings: Settings) -> list[Allowed]:
    """Whose keys may come in, in the order in which they were added. Raises OSError, SettingsError."""
    return read_list(settings.home / "keys" / "allowed.json")


def read_list(path: Path) -> list[Allowed]:
    """The rows of a list of keys; empty where there is no file. Raises OSError, SettingsError."""
    try:
        rows = [Allowed(str(row["name"]), read_key(row["key"]), str(row["added"])) for row in _json(path)]
    except FileNotFoundError:
        return []
    except (SettingsError, KeyError, TypeError) as e:
        raise SettingsError(f"{path} is no list of keys ({e})") from None
    return rows


def check_name(name: str) -> None:
    """Raises SettingsError."""
    if not is_name(name) or is_reserved(name):
        raise SettingsError(f"{name!r} is no name: those have 1-32 letters, digits, hyphens or underscores")


def allow(settings: Settings, name: str, key: str) -> Allowed:
    """Let a key in as a name, and as no other. Raises SettingsError, OSError."""
    check_name(name)
    new = Allowed(name, read_key(key), time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime()))
    _change(settings, lambda rows: [*(row for row in rows if row.key != new.key), new])
    return new


def revoke(settings: Settings, which: str) -> list[Allowed]:
    """Shut out a key, or all keys of a name, also on open connections. Returns the removed rows. Raises OSError."""
    key = which if is_name(which) else read_key(which)  # a key in hex is longer than any name
    gone: list[Allowed] = []

    def without(rows: list[Allowed]) -> list[Allowed]:
        gone.extend(row for row in rows if key in (row.name, row.key))
        return [row for row in rows if row not in gone]

    _change(settings, without)
    return gone


def _change(settings: Settings, change: Callable[[list[Allowed]], list[Allowed]]) -> None:
    path = keys_folder(settings) / "allowed.json"
    with lock(path.with_name("lock"), wait=True):
        before = read_list(path)
        after = change(before)
        if after != before:
            write_private(path, json.dumps([asdict(row) for row in after], indent=1), durable=True)


def _json(path: Path) -> Any:
    text = read_private(path)
    try:
        return json.loads(text)
    except ValueError:
        raise SettingsError(f"{path} is not JSON") from None


class AllowList:
    """The list of allowed keys, read again whenever the file changes, so that a change holds at once."""

    def __init__(self, settings: Settings, complain: Callable[[str], None]) -> None:
        self._path = settings.home / "keys" / "allowed.json"
        self._complain = complain
        self._seen: tuple[int, int, int] | None = None
        self._names: dict[str, str] = {}

    def name_of(self, key: str) -> str | None:
        """The name that a key stands for now; None if it may not come in. Costs one stat (1 us) where nothing changed."""
        try:
            found = os.lstat(self._path)
            now = (found.st_ino, found.st_mtime_ns, found.st_size)
        except OSError:
            now = (0, 0, 0)
        if now != self._seen:
            self._read()
            self._seen = now
        return self._names.get(key)

    def _read(self) -> None:
        """A list that can't be read lets nobody in."""
        try:
            self._names = {row.key: row.name for row in read_list(self._path)}
        except (OSError, SettingsError) as e:
            self._names = {}
            self._complain(str(e))
