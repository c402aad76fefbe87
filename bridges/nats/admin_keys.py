"""The admin's file at work: keys of sites are made, signed, published in ``ipc_keys``, and written down in the file itself.

What stands in the file counts. The bucket is its copy for the sites, made again by ``ipc nats init`` where it is lost.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from pathlib import Path

import nkeys

from bridges.nats.admin_client import AdminClient
from bridges.nats.envelope import Identity
from bridges.nats.key_entries import Row, row_of, signed_row, streams_row
from bridges.nats.layout import KEYS, STREAMS_KEY, bucket_stream, bucket_subject
from bridges.nats.permissions import accounts, site_block, streams_block
from bridges.nats.site_file import ADMIN_FILE, AdminFile, SiteFile
from bridges.nats.trouble import Trouble


class AdminKeys:
    """The admin's file and what is done with it."""

    def __init__(self, path: Path, file: AdminFile) -> None:
        self.path = path
        self.file = file
        self.identity = Identity(file.sign)
        self.user = user_of(file.nkey)

    @classmethod
    def load(cls, path: Path) -> AdminKeys:
        """Raises Trouble where there is none, OSError, SettingsError."""
        if not path.exists():
            raise Trouble(
                f"there is no {path} here: the admin's key, which ipc nats init makes",
                "change to the folder that has it, or: --admin FILE. For the first time: ipc nats init nats://HOST:4222",
            )
        return cls(path, AdminFile.load(path))

    @classmethod
    def new(cls, path: Path, servers: tuple[str, ...], ca: str | None) -> AdminKeys:
        file = AdminFile(servers, new_user(), os.urandom(32).hex(), ca)
        file.save(path)
        return cls(path, file)

    def save(self, file: AdminFile) -> None:
        self.file = file
        file.save(self.path, replace=True)

    # what is known

    @property
    def streams_are_set(self) -> bool:
        return STREAMS_KEY in self.file.entries

    @property
    def streams(self) -> int:
        return int(self.file.entries[STREAMS_KEY]["streams"]) if self.streams_are_set else 1

    def sites(self) -> list[str]:
        """Those that are sites now."""
        return sorted(name for name, row in self.file.entries.items() if name != STREAMS_KEY and not row.get("removed"))

    def block(self, site: str) -> str:
        """A site's account, for the servers' configuration."""
        return site_block(site, self.file.entries[site]["user"], self.streams)

    def accounts(self) -> str:
        return accounts(streams_block(self.user), *map(self.block, self.sites()))

    def new_site(self, name: str) -> tuple[SiteFile, str]:
        """(the file of a new site, the public key of its login)."""
        seed = new_user()
        file = SiteFile(name, self.file.servers, seed, os.urandom(32).hex(), self.identity.public, self.file.ca)
        return file, user_of(seed)

    def public_of(self, file: SiteFile) -> str:
        return Identity(file.sign).public

    # what others see

    def set_streams(self, streams: int) -> None:
        if not self.streams_are_set:
            self._note(STREAMS_KEY, streams_row(streams))

    async def put(self, client: AdminClient, key: str, row: Row) -> None:
        """Publish an entry, and write it down. Raises Trouble."""
        await client.put(KEYS, key, signed_row(self.identity, key, row))
        self._note(key, row)

    async def refresh(self, client: AdminClient) -> None:
        """Take over entries of the bucket that are newer than the file, which may come from a backup. Raises Trouble."""
        for key, row in (await self.published(client)).items():
            if row is not None and row["n"] > self.file.entries.get(key, {"n": 0})["n"]:
                self._note(key, row)

    async def publish(self, client: AdminClient) -> list[tuple[str, str]]:
        """Write entries again that the bucket has lost, or that the admin did not sign. (name, what was done) of each."""
        there = await self.published(client)
        done = []
        for key, row in self.file.entries.items():
            if there.get(key) != row:
                await client.put(KEYS, key, signed_row(self.identity, key, row))
                if key != STREAMS_KEY:
                    done.append((key, "its key is published again: it was not as the admin signed it"))
        return done

    async def published(self, client: AdminClient) -> dict[str, Row | None]:
        """By key what the bucket holds; None for what the admin did not sign."""
        info = await client.stream(bucket_stream(KEYS), subjects=bucket_subject(KEYS, ">"))
        found: dict[str, Row | None] = {}
        prefix = bucket_subject(KEYS, "")
        for subject in (info or {}).get("state", {}).get("subjects") or {}:
            key = subject.removeprefix(prefix)
            stored = await client.entry(KEYS, key)
            found[key] = row_of(self.identity.public, key, stored.value) if stored else None
        return found

    def _note(self, key: str, row: Row) -> None:
        self.save(replace(self.file, entries={**self.file.entries, key: row}))


def new_user() -> str:
    """The seed of a new login."""
    return str(nkeys.encode_seed(os.urandom(32), nkeys.PREFIX_BYTE_USER).decode())


def user_of(seed: str) -> str:
    """The public key of a login, which the servers' configuration has."""
    return str(nkeys.from_seed(bytearray(seed.encode())).public_key.decode())


def admin_path(options: argparse.Namespace) -> Path:
    """Where the admin's file is: as given, or in the present folder."""
    return Path(options.admin or ADMIN_FILE).expanduser()
