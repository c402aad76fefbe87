"""``ipc nats check``: everything between this machine and the others, a line each, and what to do about what is not right."""

from __future__ import annotations

import argparse
import time
from datetime import datetime
from typing import Any

from bridges.nats import layout, nodes, setup
from bridges.nats.admin import BY_HAND, at_work, monitors_of
from bridges.nats.admin_client import AdminClient, connected
from bridges.nats.admin_keys import AdminKeys, admin_path
from bridges.nats.envelope import Identity
from bridges.nats.key_entries import Row, row_of
from bridges.nats.layout import KEYS, STREAMS_KEY
from bridges.nats.rights import rights_found
from bridges.nats.server_findings import Finding, nodes_found, say_all, syncing_found
from bridges.nats.site_file import SiteFile, site_path
from bridges.nats.site_lease import LEASE_S, holder_of
from bridges.nats.tidy import told_by
from bridges.nats.trouble import Trouble
from bridges.terminal import say
from broker.home.settings import Settings

OK, FAILED = 0, 1
_CLOCK_OFF_S = 5.0
_FULL = 0.8
"""Of a stream's room, when it is time to do something."""


async def check(settings: Settings, options: argparse.Namespace) -> int:
    """Exit status 0 if nothing failed. Raises Trouble, OSError, SettingsError."""
    place = site_path(settings)
    if options.admin is None and place.exists():
        return await _check_as_site(settings, SiteFile.load(place), options)
    if options.admin is None and not admin_path(options).exists():
        raise Trouble(
            "this data folder is no site, and the admin's key is not in this folder",
            "at a site: ipc nats join FILE; as the admin: --admin FILE",
        )
    return await _check_as_admin(AdminKeys.load(admin_path(options)), options)


async def _check_as_site(settings: Settings, file: SiteFile, options: argparse.Namespace) -> int:
    say(f"as the site {file.site}")
    good = say_all([_settings_found(settings, file)])
    servers = tuple(one for one in settings.nats.split(",") if one) or file.servers
    found, silent = await nodes.probe(servers)
    good &= say_all(nodes_found(found, silent))
    if not found:
        return FAILED
    text = f"the nats-servers do not know the login of {file.site}"
    unknown = Trouble(
        text, f"the admin puts its account into their configuration, and reloads them: ipc nats add-site {file.site}"
    )
    async with connected(list(servers), file.nkey, file.ca, file.site, unknown) as client:
        say_all([("ok", "login", f"the servers know the key of {file.site}")])
        how = "The admin's ipc nats check looks"
        say_all(syncing_found(found, await nodes.syncing(monitors_of(options, servers)), how))
        if await client.answer(f"$JS.API.STREAM.INFO.{layout.MARKS}", b"") is None:
            step = "start the nodes that are away; if none is, reload each server once more: a new account needs two reloads"
            raise Trouble(f"the nats-servers answer nothing to the account of {file.site}", step)
        streams = await _streams_of(client, file.admin)
        good &= say_all(await _streams_found(client, streams, len(found)))
        good &= say_all(await rights_found(client, file.site, streams))
        good &= say_all([await _key_found(client, file), await _clock_found(client)])
        good &= say_all([await _lease_found(client, file, holder_of(settings.home))])
    return OK if good else FAILED


async def _check_as_admin(keys: AdminKeys, options: argparse.Namespace) -> int:
    say("as the admin")
    found, silent = await nodes.probe(keys.file.servers)
    good = say_all(nodes_found(found, silent))
    if not found:
        return FAILED
    async with at_work(keys, found) as client:
        say_all([("ok", "login", "the servers know the admin's key")])
        say_all(syncing_found(found, await nodes.syncing(monitors_of(options, keys.file.servers)), BY_HAND))
        good &= say_all(await _streams_found(client, keys.streams, len(found)))
        good &= say_all([await _clock_found(client)])
        there = await keys.published(client)
        for site in keys.sites():
            row = keys.file.entries[site]
            if there.get(site) != row:
                finding = "FAIL", site, "its key is not published as the admin signed it. Do: ipc nats init"
            else:
                finding = await _site_found(client, site, row)
            good &= say_all([finding])
    return OK if good else FAILED


def _settings_found(settings: Settings, file: SiteFile) -> Finding:
    wrong = [f"{name} is {value!r}" for name, value, right in _settings_rows(settings, file) if value != right]
    if wrong:
        origins = ", ".join(settings.origins.get(name, "default") for name in ("site", "nats"))
        return (
            "FAIL",
            "settings",
            f"{'; '.join(wrong)} ({origins}), so the link does not run. Do: ipc nats join FILE, or set them right",
        )
    return "ok", "settings", f"site {settings.site}, nats {settings.nats}"


def _settings_rows(settings: Settings, file: SiteFile) -> list[tuple[str, str, str]]:
    # other servers of the same cluster are as good; none are not
    return [("site", settings.site, file.site), ("nats", settings.nats, settings.nats or ",".join(file.servers))]


async def _streams_of(client: AdminClient, admin: str) -> int:
    stored = await client.entry(KEYS, STREAMS_KEY)
    row = row_of(admin, STREAMS_KEY, stored.value) if stored else None
    return int(row["streams"]) if row else 1


async def _streams_found(client: AdminClient, streams: int, count: int) -> list[Finding]:
    lines: list[Finding] = []
    good, copies = [], set()
    for want in setup.wanted(streams, setup.copies_for(count), setup.DISK_GIB):
        info = await client.stream(want["name"])
        lines += [("FAIL", want["name"], text) for text in _faults(info, want)]
        if info is not None:
            lines += [("warn", want["name"], text) for text in _warnings(info)]
            copies.add(int(info["config"].get("num_replicas", 1)))
        if not any(name == want["name"] for _, name, _ in lines):
            good.append(want["name"])
    if good:
        shown = ", ".join(good) if len(good) < 9 else f"{len(good)} of them"
        copied = f"copies of each message: {', '.join(map(str, sorted(copies)))}"
        lines.insert(0, ("ok", "streams", f"{shown}: as they should be; {copied}"))
    return lines


def _faults(info: dict[str, Any] | None, want: dict[str, Any]) -> list[str]:
    if info is None:
        return ["missing. The admin does: ipc nats init"]
    differs = setup.notable(info["config"], want)
    if differs:
        return [f"{'; '.join(differs.values())}. The admin does: ipc nats init"]
    cluster = info.get("cluster") or {}
    if cluster and not cluster.get("leader"):
        return ["has no leader: start the nodes that are away, then wait for a minute"]
    return []


def _warnings(info: dict[str, Any]) -> list[str]:
    lines = []
    for replica in (info.get("cluster") or {}).get("replicas") or ():
        if replica.get("offline") or not replica.get("current"):
            state = "is away" if replica.get("offline") else f"is {replica.get('lag', 0)} behind"
            lines.append(f"its copy at {replica.get('name')} {state}; mail goes on while most nodes are there")
    most, used = int(info["config"].get("max_bytes") or 0), int(info["state"].get("bytes") or 0)
    if most > 0 and used > _FULL * most:
        more = "ipc nats tidy removes what was read, ipc nats init --disk GIB gives more"
        lines.append(f"{used * 100 // most} % full; senders wait when it is full. {more}")
    return lines


async def _key_found(client: AdminClient, file: SiteFile) -> Finding:
    """Whether others know this site by the key that it signs with."""
    stored = await client.entry(KEYS, file.site)
    row = row_of(file.admin, file.site, stored.value) if stored else None
    if stored is None:
        return "FAIL", "key", f"no key of {file.site} is published, so others drop its mail. The admin does: ipc nats init"
    if row is None:
        return (
            "FAIL",
            "key",
            f"what is published for {file.site} is not signed by the admin of this site's file. The admin does: ipc nats init",
        )
    if row.get("removed"):
        return (
            "FAIL",
            "key",
            f"{file.site} was removed. To come back: ipc nats add-site {file.site} at the admin's, ipc nats join here",
        )
    if row["sign"] != Identity(file.sign).public:
        return (
            "FAIL",
            "key",
            f"another machine has newer keys of {file.site}. Join here with the newest file: ipc nats join {file.site}.site",
        )
    return "ok", "key", f"the admin has signed the key of {file.site}"


async def _clock_found(client: AdminClient) -> Finding:
    """How far this machine's clock is from that of the servers."""
    before = time.time()
    info = await client.stream(layout.MARKS)
    if info is None or not info.get("ts"):
        return "warn", "clock", "not compared: the servers tell no time"
    after = time.time()
    server = seconds_of(info["ts"])
    off = before - server if server < before else server - after if server > after else 0.0
    if off > _CLOCK_OFF_S:
        return (
            "warn",
            "clock",
            f"{off:.0f} s away from the servers': mail is not touched, but ages and times look wrong. Set it (NTP)",
        )
    return "ok", "clock", "as the servers'"


async def _lease_found(client: AdminClient, file: SiteFile, holder: str) -> Finding:
    """Which bridge runs the link of this site."""
    told, why = await told_by(client, file.site, Identity(file.sign).public)
    if why == "the site was never there":
        return "warn", "link", "no bridge has run yet. Do: ipc up; then wait for some seconds"
    if why:
        return "FAIL", "link", f"{why}. Do: ipc down, ipc up, here"
    age = await _age_s(client, file.site)
    host = str(told.get("host"))[:60]
    if told.get("ended") or age > LEASE_S:
        return "warn", "link", f"no bridge runs; the last one was at {host}, {_while(age)} ago. Do: ipc up"
    if told.get("holder") != holder:
        text = f"another bridge runs it, at {host}: two have the keys of {file.site}"
        return "FAIL", "link", f"{text}. End one of them, or let it be a site of its own: ipc nats add-site"
    return "ok", "link", f"the bridge of this data folder runs it, last heard of {age:.0f} s ago"


async def _site_found(client: AdminClient, site: str, row: Row) -> Finding:
    told, why = await told_by(client, site, row["sign"])
    if why:
        return "warn", site, f"{why}; at its machine: ipc nats check"
    age = await _age_s(client, site)
    if told.get("ended") or age > LEASE_S:
        return "warn", site, f"away for {_while(age)}; at its machine: ipc up, ipc nats check"
    return "ok", site, f"there, at {str(told.get('host'))[:60]}, version {str(told.get('version'))[:20]}"


async def _age_s(client: AdminClient, site: str) -> float:
    """Seconds since a site's entry was written, by the servers' clock."""
    stored = await client.entry(layout.SITES, site)
    info = await client.stream(layout.bucket_stream(layout.SITES))
    if stored is None or info is None or not info.get("ts") or not stored.time:
        return 0.0
    return max(0.0, seconds_of(info["ts"]) - seconds_of(stored.time))


def _while(age_s: float) -> str:
    for unit, size_s in (("d", 86400), ("h", 3600), ("min", 60)):
        if age_s >= 2 * size_s:
            return f"{age_s / size_s:.0f} {unit}"
    return f"{age_s:.0f} s"


def seconds_of(timestamp: str) -> float:
    """A time of the servers, which has nanoseconds, as seconds since 1970."""
    whole, _, rest = timestamp.rstrip("Z").partition(".")
    return datetime.fromisoformat(f"{whole}+00:00").timestamp() + float(f"0.{rest or 0}")
