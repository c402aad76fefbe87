"""The admin's commands: make what must be at the servers, let sites in and put them out, remove what was read."""

from __future__ import annotations

import argparse
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from shlex import quote

from bridges.nats import nodes, setup
from bridges.nats.admin_client import AdminClient, connected
from bridges.nats.admin_keys import AdminKeys, admin_path
from bridges.nats.key_entries import Row, new_row, removed_row
from bridges.nats.layout import NAMES, SITES, STREAMS_KEY, bucket_stream, bucket_subject
from bridges.nats.permissions import account_of
from bridges.nats.server_findings import nodes_found, say_all, syncing_found
from bridges.nats.site_file import is_server
from bridges.nats.tidy import tidy_site
from bridges.nats.trouble import Trouble
from bridges.plurals import number_of
from bridges.terminal import complain, say, say_finding
from broker.home.settings import Settings
from broker.protocol.addresses import is_site

OK, FAILED = 0, 1
BY_HAND = "At its machine: --monitor http://127.0.0.1:8222, or look that sync_interval is always in its configuration"
_RELOAD = "nats-server -t -c FILE tests it; nats-server --signal reload, typed twice, makes it hold"
"""At the first reload nats-server 2.12 takes a new account, at the second one what the account may ask of another."""


async def init(settings: Settings, options: argparse.Namespace) -> int:
    """Make or check all that must be at the servers. Exit status 0 if it is there. Raises Trouble."""
    keys, is_new = _keys_for_init(settings, options)
    if is_new:
        say(f"{keys.path} is the admin's key. Without it no site can be let in or put out: keep a copy where nobody else is.")
    found, silent = await nodes.probe(keys.file.servers)
    good = say_all(nodes_found(found, silent))
    if not found or any(node.open for node in found):
        _say_accounts(keys)
    if not good:
        raise Trouble("nothing was made, because of what stands above", "put it right; then again: ipc nats init")
    try:
        async with at_work(keys, found) as client:
            say_all(syncing_found(found, await nodes.syncing(monitors_of(options, keys.file.servers)), BY_HAND))
            worst = await _make_all(client, keys, len(found), options)
            for name, done in await keys.publish(client):
                say_finding("ok", name, done)
    except Unknown as e:
        _say_accounts(keys)
        step = f"put the accounts above into each server's configuration. {_RELOAD}. Then again: ipc nats init"
        raise Trouble(str(e), step) from None
    if worst == OK and not keys.sites():
        say("Next: ipc nats add-site NAME, for each machine")
    return worst


def _keys_for_init(settings: Settings, options: argparse.Namespace) -> tuple[AdminKeys, bool]:
    """The admin's keys, and True if they were made. Raises Trouble."""
    path = admin_path(options)
    given = tuple(one for text in options.servers for one in text.split(",") if one)
    wrong = [url for url in given if not is_server(url)]
    if wrong:
        raise Trouble(f"{wrong[0]!r} is no server", "ipc nats init nats://HOST:4222 (tls:// with TLS; several with spaces)")
    try:
        ca = Path(options.ca).expanduser().read_text() if options.ca else None
    except (OSError, UnicodeDecodeError):
        ca = ""
    if ca is not None and "BEGIN CERTIFICATE" not in ca:
        raise Trouble(
            f"{options.ca} can't be read, or is no certificate in PEM form",
            "--ca FILE: the authority of the servers' certificates",
        )
    if path.exists():
        keys = AdminKeys.load(path)
        if given or ca:
            keys.save(replace(keys.file, servers=given or keys.file.servers, ca=ca or keys.file.ca))
        return keys, False
    servers = given or tuple(one for one in settings.nats.split(",") if one)
    if not servers:
        raise Trouble("no server is named, and there is no ipc-admin.json here", "ipc nats init nats://HOST:4222")
    return AdminKeys.new(path, servers, ca), True


def _say_accounts(keys: AdminKeys) -> None:
    say("The accounts of each server's configuration (sites.conf of deploy/nats is this file):")
    say()
    say(keys.accounts())


async def _make_all(client: AdminClient, keys: AdminKeys, count: int, options: argparse.Namespace) -> int:
    """Make or set right each stream, and say so. Raises Trouble."""
    await keys.refresh(client)
    streams = options.streams or keys.streams
    if streams != keys.streams and keys.streams_are_set:
        raise Trouble(
            f"the mail is in {number_of(keys.streams, 'stream')}, and sites count on that",
            "leave --streams out; another number needs new servers (16 carry 10,000 sites)",
        )
    copies = options.replicas or setup.copies_for(count)
    given = frozenset(field for field, value in (("max_bytes", options.disk), ("num_replicas", options.replicas)) if value)
    worst = OK
    for want in setup.wanted(streams, copies, options.disk or setup.DISK_GIB):
        verdict, done = await setup.make(client, want, given)
        say_finding(verdict, want["name"], done)
        worst = worst if verdict == "ok" else FAILED
    keys.set_streams(streams)
    return worst


async def add_site(_settings: Settings, options: argparse.Namespace) -> int:
    """Make the keys of a site, publish them, and write the one file that goes there. Raises Trouble, OSError."""
    name = options.name
    if not is_site(name):
        raise Trouble(f"{name!r} is no name of a site: 1 to 32 small letters, digits or hyphens", "ipc nats add-site rome")
    keys = AdminKeys.load(admin_path(options))
    path = Path(options.out or f"{name}.site").expanduser()
    if path.exists() or path.is_symlink():
        raise Trouble(f"{path} exists already", f"move it away, or: ipc nats add-site {name} --out FILE")
    found, _ = await nodes.probe(keys.file.servers)
    async with at_work(keys, found) as client:
        await keys.refresh(client)
        old = keys.file.entries.get(name)
        if old and not old.get("removed"):
            raise Trouble(
                f"{name} is a site already, and new keys would put out the machine that has the present ones",
                f"to see its account again: ipc nats accounts. For new keys: ipc nats remove-site {name}; then again",
            )
        file, user = keys.new_site(name)
        file.save(path)
        try:
            await keys.put(client, name, new_row(name, keys.public_of(file), user, old))
        except BaseException:
            path.unlink()
            raise
    for url in filter(nodes.is_here, keys.file.servers):
        text = f"{path} names {url}, which is reached from this machine alone"
        complain(text, "where that is not meant: ipc nats init nats://ADDRESS:4222, ipc nats remove-site, and again")
    say(f"{path} makes its holder the site {name}: whoever has it reads and writes as {name}.")
    say(f"Move it to that machine, for instance with scp, and keep no copy. There: ipc nats join {quote(path.name)}")
    say()
    say("At each nats-server, add this account to accounts { ... } of its configuration (sites.conf of deploy/nats).")
    say(f"{_RELOAD}.")
    say()
    say(keys.block(name))
    return OK


async def remove_site(_settings: Settings, options: argparse.Namespace) -> int:
    """Take a site's keys back. Raises Trouble, OSError."""
    name = options.name
    keys = AdminKeys.load(admin_path(options))
    found, _ = await nodes.probe(keys.file.servers)
    async with at_work(keys, found) as client:
        await keys.refresh(client)
        old: Row | None = keys.file.entries.get(name)
        if old is None or name == STREAMS_KEY:
            known = ", ".join(keys.sites()) or "none"
            raise Trouble(f"no site is called {name!r}; known: {known}", "ipc nats remove-site NAME")
        again = bool(old.get("removed"))
        if not again:
            await keys.put(client, name, removed_row(old))
        for bucket, key in ((SITES, name), (NAMES, f"{name}.>")):
            await client.api(f"STREAM.PURGE.{bucket_stream(bucket)}", {"filter": bucket_subject(bucket, key)})
    say(f"{name} was removed before" if again else f"{name} is a site no more: the others drop what it writes from now on.")
    say(f"Its login holds until you take its account out of each server's configuration: {account_of(name)} {{ ... }}")
    say(f"{_RELOAD}.")
    say(f"Mail for {name} waits at its senders, and ends there as it would for a site that is away.")
    say("Its own machine keeps its mail: ipc down there, and take site and nats out of its config.toml.")
    return OK


async def show_accounts(_settings: Settings, options: argparse.Namespace) -> int:
    """Print the accounts of a server's configuration: the streams' and each site's."""
    say(AdminKeys.load(admin_path(options)).accounts())
    return OK


async def tidy(_settings: Settings, options: argparse.Namespace) -> int:
    """Remove the mail that each site says that it has read. Raises Trouble, OSError."""
    keys = AdminKeys.load(admin_path(options))
    found, _ = await nodes.probe(keys.file.servers)
    async with at_work(keys, found) as client:
        await keys.refresh(client)
        for name in keys.sites():
            verdict, done = await tidy_site(client, name, keys.file.entries[name]["sign"], keys.streams)
            say_finding(verdict, name, done)
    if not keys.sites():
        say("There are no sites")
    return OK


WORK: dict[str, Callable[[Settings, argparse.Namespace], Coroutine[None, None, int]]] = {
    "init": init,
    "add-site": add_site,
    "remove-site": remove_site,
    "accounts": show_accounts,
    "tidy": tidy,
}


class Unknown(Trouble):
    """The servers do not know the admin's key."""


@asynccontextmanager
async def at_work(keys: AdminKeys, found: list[nodes.Node]) -> AsyncIterator[AdminClient]:
    """A connection as the admin. Raises Trouble, Unknown."""
    if not found:
        raise Trouble(
            f"no nats-server answers at {', '.join(keys.file.servers)}",
            "start it, or name others: ipc nats init nats://HOST:4222",
        )
    text = f"the nats-servers do not know the admin's key {keys.user}"
    unknown = Unknown(text, "ipc nats init shows what their configuration needs")
    async with connected(list(keys.file.servers), keys.file.nkey, keys.file.ca, "", unknown) as client:
        yield client


def monitors_of(options: argparse.Namespace, servers: tuple[str, ...]) -> list[str]:
    """Where the servers' monitors are: as given, or at their usual place. Raises Trouble."""
    given = [one for one in (options.monitor or "").split(",") if one]
    wrong = [url for url in given if not nodes.is_monitor(url)]
    if wrong:
        raise Trouble(f"{wrong[0]!r} is no monitor", "--monitor http://127.0.0.1:8222 (several with commas)")
    return given or nodes.guessed_monitors(servers)
