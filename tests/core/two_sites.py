"""Sites over a carrier in memory: what one takes, the others read, in the order in which it was published."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgpack
import pytest

from broker.core.batch import Batch
from broker.core.link import GONE, put_out
from broker.home.logs import Log
from broker.server.upkeep import Sweeper
from tests.engine import OWNER, Core

BORN = "2026-01-01T00:00:00Z"


def without_link_key(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in ("to", "try")}


@dataclass
class Site:
    """One broker with its place in the carrier."""

    name: str
    core: Core
    lease: int = 0
    stream: list[dict[str, Any]] = field(default_factory=list)
    """What was published for it; an entry's place is its index + 1."""
    cursor: int = 0

    def ask(self, action: str, **fields: Any) -> dict[str, Any]:
        reply = self.core.ask("door", action, session_token=OWNER, **fields)
        assert reply["status"] == "ok", reply
        return reply

    def open(self) -> dict[str, Any]:
        reply = self.ask("link_open", carrier="memory")
        self.lease = reply["lease"]
        self.cursor = max((place["cursor"] for place in reply["streams"].values()), default=0)
        return reply


class Sites:
    """A broker a site."""

    def __init__(self, home: Path, *names: str, **env: str) -> None:
        self.by_name: dict[str, Site] = {}
        self.said: dict[str, Any] = {}
        """By uid what is published in place of what the broker has."""
        for name in names:
            (home / name).mkdir(mode=0o700, parents=True)
            self.by_name[name] = Site(name, Core(home / name, {"IPC_WAKE_PAUSE": "0", "IPC_SITE": name, **env}))
            self.by_name[name].open()

    def __getitem__(self, name: str) -> Core:
        return self.by_name[name].core

    def publish(self, site: Site) -> int:
        """Publish what waits at a site; how many entries."""
        count = 0
        while rows := site.ask("link_take", lease=site.lease)["rows"]:
            for row in rows:
                stream = self.by_name[row["to"]].stream
                row["body"] = self.said.get(row["uid"], row["body"])
                stream.append({"from": site.name, "at": len(stream) + 1, **without_link_key(row)})
                acked = [[row["seq"], len(stream)]]
                site.ask("link_sent", lease=site.lease, to=row["to"], epoch=row["epoch"], born=BORN, acked=acked)
            count += len(rows)
        return count

    def read(self, site: Site, most: int = 1000) -> int:
        """Read what was published for a site, and give its marks to those who wrote; how many entries."""
        entries = site.stream[site.cursor : site.cursor + most]
        if not entries:
            return 0
        site.cursor += len(entries)
        place = {"stream": "IPC_IN_0", "born": BORN, "cursor": site.cursor}
        marks = site.ask("link_arrived", lease=site.lease, entries=entries, **place)["marks"]
        for source, mark in marks.items():
            other = self.by_name[source]
            other.ask("link_marks", lease=other.lease, marks={site.name: mark})
        return len(entries)

    def say(self, source: str, to: str, *bodies: Any) -> None:
        """What a site may sign: bodies of any form, rightly numbered, behind what it has sent."""
        core = self[source]
        batch = Batch(core.engine.state, core.store, core.engine.settings, core.now(), lambda: os.urandom(8).hex())
        for body in bodies:
            uid = f"said{len(self.said)}"
            self.said[uid] = body
            put_out(batch, to, None, uid, msgpack.packb(GONE))
        core.store.commit()
        batch.journal.commit()

    def exchange(self) -> None:
        """Until nothing moves any more."""
        while sum(self.publish(one) + self.read(one) for one in self.by_name.values()):
            pass

    def set(self, name: str, **env: str) -> Core:
        """The same site with other settings."""
        site = self.by_name[name]
        site.core.env.update(env)
        site.core.restart()
        site.open()
        return site.core

    def tokens_follow(self, name: str, old: str, new: str) -> None:
        """Who was renamed is asked by the new name from now on."""
        tokens = self[name].tokens
        tokens[new] = tokens[old]

    def connect(self, *, connected: bool = True, why: str = "") -> None:
        """What each door tells of the link."""
        for site in self.by_name.values():
            site.ask("link_told", lease=site.lease, connected=connected, why=why)

    def pass_time(self, seconds: float) -> None:
        """At every site; sweepers and chores do what is due then."""
        for site in self.by_name.values():
            core = site.core
            core.pass_time(seconds)
            sweeper = Sweeper(core.engine, core.store, Log("test"))
            for _ in range(20):
                sweeper._next_s = None
                sweeper.step(core.now(), busy=True)
                core.engine.keep_house(core.now())
            core.pass_time(3)
            core.engine.keep_house(core.now())

    def close(self) -> None:
        for site in self.by_name.values():
            site.core.store.close()


@pytest.fixture
def sites(home: Path) -> Iterator[Sites]:
    """Ann and Amy at paris, Bob and Ben at rome, Carl at berlin."""
    found = Sites(home, "paris", "rome", "berlin")
    for site, names in (("paris", ("ann", "amy")), ("rome", ("bob", "ben")), ("berlin", ("carl",))):
        found[site].register(*names)
    yield found
    found.close()
