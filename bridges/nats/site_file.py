"""The files of keys: a site's, which ``ipc nats add-site`` writes and ``ipc nats join`` puts in its place, and the admin's.

Each has two secrets. ``nkey`` answers the challenges of a server, and so signs nothing else; ``sign`` signs what other sites
read. Both files are JSON of mode 0600. What was read is never shown.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from broker.home.files import read_private, write_private
from broker.home.keys import keys_folder
from broker.home.settings import Settings
from broker.protocol.addresses import is_site
from broker.protocol.errors import SettingsError

ADMIN_FILE = "ipc-admin.json"
_HEX = re.compile("[0-9a-f]{64}")
_USER_SEED = re.compile("SU[A-Z2-7]{56}")
_SERVER = re.compile(r"(nats|tls)://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?")


@dataclass(frozen=True, slots=True)
class SiteFile:
    """Who a site is. ``admin`` is the public key whose signature a key of another site must have."""

    site: str
    servers: tuple[str, ...]
    nkey: str = field(repr=False)
    sign: str = field(repr=False)
    admin: str
    ca: str | None = None

    @classmethod
    def load(cls, path: Path) -> SiteFile:
        """Raises FileNotFoundError, OSError, and SettingsError where it is not private or no such file."""
        stored = _stored(path)
        try:
            found = cls(stored["site"], tuple(stored["servers"]), stored["nkey"], stored["sign"], stored["admin"], stored["ca"])
        except (KeyError, TypeError):
            found = None
        if found is None or not is_site(found.site) or not _good(found) or not _HEX.fullmatch(str(found.admin)):
            raise SettingsError(f"{path} is no site's file; ask for one: ipc nats add-site NAME")
        return found

    def save(self, path: Path, *, replace: bool = False) -> None:
        _save(self, path, replace=replace)


@dataclass(frozen=True, slots=True)
class AdminFile:
    """Who may make streams and let sites in. ``entries`` is what he has written to the bucket ``ipc_keys``, by key."""

    servers: tuple[str, ...]
    nkey: str = field(repr=False)
    sign: str = field(repr=False)
    ca: str | None = None
    entries: dict[str, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path) -> AdminFile:
        """Raises FileNotFoundError, OSError, and SettingsError where it is not private or no such file."""
        stored = _stored(path)
        try:
            rows = dict(stored["entries"])
            found = cls(tuple(stored["servers"]), stored["nkey"], stored["sign"], stored["ca"], rows)
        except (KeyError, TypeError, ValueError):
            found = None
        if found is None or not _good(found) or not all(isinstance(row, dict) for row in found.entries.values()):
            raise SettingsError(f"{path} is no admin's file; restore it from a backup, or have new keys made: ipc nats init")
        return found

    def save(self, path: Path, *, replace: bool = False) -> None:
        _save(self, path, replace=replace)


def site_path(settings: Settings) -> Path:
    """Where a site's file is, in its data folder, which is made private. Raises FolderError."""
    return keys_folder(settings) / "site.json"


def is_server(url: object) -> bool:
    """True for nats://HOST, nats://HOST:PORT and the same with tls."""
    return isinstance(url, str) and _SERVER.fullmatch(url) is not None


def _good(keys: SiteFile | AdminFile) -> bool:
    """True if each of the fields that both files have is one."""
    return (
        bool(keys.servers)
        and all(is_server(url) for url in keys.servers)
        and _USER_SEED.fullmatch(str(keys.nkey)) is not None
        and _HEX.fullmatch(str(keys.sign)) is not None
        and (keys.ca is None or "BEGIN CERTIFICATE" in str(keys.ca))
    )


def _stored(path: Path) -> dict[str, Any]:
    text = read_private(path)
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {}


def _save(keys: SiteFile | AdminFile, path: Path, *, replace: bool) -> None:
    """Write the file, mode 0600. Raises FileExistsError: without ``replace`` no key is replaced by accident."""
    if not replace and (path.exists() or path.is_symlink()):
        raise FileExistsError(f"{path} exists already")
    write_private(path, json.dumps(asdict(keys), indent=1) + "\n", replace=replace, durable=True)
