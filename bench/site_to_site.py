"""Mail from site to site: real nodes, brokers and doors. Each site sends to the next one, the last to the first."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

from bench import openloop, proc
from bench.doors.pipes import stream_address
from bench.doors.zeromq import BOX
from bench.fleet import Fleet, Job
from bench.members import Members
from bench.openloop import Load
from bench.percentiles import percentile
from bench.report import Results
from bench.service import Service
from bench.sites import LINK, OUTAGE
from bridges.nats import layout
from bridges.nats.site_file import site_path
from broker.client.sync import Client, connect

_NAMES = ("paris", "rome", "oslo")
_IN_FLIGHT = 256
_RATE = 25.0
"""Messages a second of each site while latency is measured."""
_READY_S = 60.0


class Site:
    """A home with its service, and the two clients that the measurements need."""

    def __init__(self, members: Members, name: str) -> None:
        self.name = name
        self.service = Service(IPC_SITE=name, IPC_NATS=",".join(members.nodes.urls))
        members.file(name).save(site_path(self.service.settings))
        self._clients: list[Client] = []

    def start(self) -> None:
        self.service.start()
        self.receiver = self._client(BOX)
        self.sender = self._client("bench-sender")

    def _client(self, name: str) -> Client:
        self._clients.append(connect(name, settings=self.service.settings))
        return self._clients[-1]

    @property
    def address(self) -> str:
        return stream_address(self.service.settings)

    def knows(self, others: set[str]) -> bool:
        """True once its link is up and it has the others' keys."""
        found = self.receiver.request("sites")
        return bool(found["connected"]) and others <= {row["site"] for row in found["sites"]}

    def stop(self) -> None:
        for client in self._clients:
            client.close()
        self.service.stop()


class SiteToSite:
    """``sites`` homes over ``nodes`` nodes. ``count`` messages of each site in a flood; ``seconds`` of a steady load."""

    def __init__(self, results: Results, fleet: Fleet, count: int, seconds: float) -> None:
        self._results = results
        self._fleet = fleet
        self._count = count
        self._seconds = seconds

    def measure(self, sites: int, nodes: int, rounds: int) -> None:
        members = Members(_NAMES[:sites], nodes=nodes)
        with ExitStack() as stack:
            stack.callback(members.nodes.stop)
            members.nodes.start()
            asyncio.run(_make(members))
            ring = [Site(members, name) for name in members.sites]
            for site in ring:
                stack.callback(site.stop)
                site.start()
            _wait_for_links(ring)
            key, line = f"sites.link.{sites}x{nodes}", f"{sites} sites, {'1 node, R1' if nodes == 1 else f'{nodes} nodes, R3'}"
            for _ in range(rounds):
                for far in (False, True):
                    self._flood(key, line, ring, members.nodes.pids(), far=far)
                self._steady(key, line, ring)
            self._outage(key, line, ring, members)

    def _add(self, key: str, table: str, line: str, column: str, unit: str, value: float) -> None:
        self._results.add(f"{key}.{column}", table, line, column, unit, value)

    def _flood(self, key: str, line: str, ring: list[Site], nodes: list[int], *, far: bool) -> None:
        """As much as goes, from every site at once: to the next one, or to a mailbox of its own."""
        used_s = _used(ring, nodes)
        jobs: list[tuple[Job, tuple[Any, ...]]] = [
            *((openloop.receive, (site.address, site.receiver.token, self._count)) for site in ring),
            *(
                (openloop.flood, (site.address, site.sender.token, self._count, _IN_FLIGHT, box))
                for site, box in zip(ring, _boxes(ring, far), strict=True)
            ),
        ]
        begin_s, found = self._fleet.run(*jobs)
        total = self._count * len(ring)
        rate = total / (max(ended_s for ended_s, _times in found[: len(ring)]) - begin_s)
        self._add(key, LINK, line, "from site to site" if far else "within each site", "/s", rate)
        us = {what: (seconds - used_s[what]) / total * 1e6 for what, seconds in _used(ring, nodes).items()}
        if not far:
            self._add(key, LINK, line, "processor time of the brokers, within", "µs a message", us["brokers"])
        for what, value in us.items() if far else ():
            self._add(key, LINK, line, f"processor time of the {what}", "µs a message", value)

    def _load(self, ring: list[Site], rate: float, seconds: float) -> list[float]:
        """The µs of each message from being due to its receiver, ascending, of all sites."""
        load = Load(rate, int(rate * seconds))
        jobs: list[tuple[Job, tuple[Any, ...]]] = [
            *((openloop.receive, (site.address, site.receiver.token, load.count)) for site in ring),
            *(
                (openloop.send, (site.address, site.sender.token, load, box))
                for site, box in zip(ring, _boxes(ring, True), strict=True)
            ),
        ]
        _begin_s, found = self._fleet.run(*jobs)
        return sorted(us for _ended_s, times in found[: len(ring)] for us in times)

    def _steady(self, key: str, line: str, ring: list[Site]) -> None:
        times_us = self._load(ring, _RATE, self._seconds)
        for percent in (50, 99):
            self._add(key, LINK, line, f"{_RATE:g}/s of each, p{percent}", "ms", percentile(times_us, percent) / 1e3)

    def _outage(self, key: str, line: str, ring: list[Site], members: Members) -> None:
        """Kill the leader of the mail's stream under a steady load, and start it again 10 s later."""
        leader = members.nodes.nodes[0] if len(members.nodes.nodes) == 1 else asyncio.run(_leader(members))
        away_s = 2.0 if len(members.nodes.nodes) == 1 else self._seconds
        with ThreadPoolExecutor(1) as pool:  # nodes end with the thread that started them, so the load gets another one
            load = pool.submit(self._load, ring, _RATE, self._seconds * 3)
            time.sleep(self._seconds / 2)
            members.nodes.kill(leader)
            time.sleep(away_s)
            members.nodes.start_node(leader)
            times_us = load.result()
        what = "the node away for 2 s" if len(members.nodes.nodes) == 1 else "the leading node killed"
        self._add(key, OUTAGE, f"{line}: {what}", "longest from being due to its receiver", "s", times_us[-1] / 1e6)
        late = sum(us > 1e6 for us in times_us) / len(times_us) * 100
        self._add(key, OUTAGE, f"{line}: {what}", "later than 1 s", "%", late)


def _boxes(ring: list[Site], far: bool) -> list[str]:
    """To whom each site sends."""
    return [f"{BOX}@{site.name}" for site in [*ring[1:], ring[0]]] if far else [BOX] * len(ring)


def _used(ring: list[Site], nodes: list[int]) -> dict[str, float]:
    """Processor seconds so far of all brokers, all doors to other sites, all nodes."""
    pids = [site.service.pids() for site in ring]
    return {
        "brokers": sum(proc.cpu_s(one["broker"]) for one in pids),
        "doors": sum(proc.cpu_s(one["nats"]) for one in pids),
        "nodes": sum(map(proc.cpu_s, nodes)),
    }


def _wait_for_links(ring: list[Site]) -> None:
    names = {site.name for site in ring}
    end_s = time.monotonic() + _READY_S
    while not all(site.knows(names - {site.name}) for site in ring):
        if time.monotonic() > end_s:
            raise TimeoutError("the sites do not reach each other")
        time.sleep(0.1)


async def _make(members: Members) -> None:
    admin: Any = await members.admin()
    await members.make_streams(admin)
    await members.put_keys(admin)
    await admin.close()


async def _leader(members: Members) -> Any:
    admin: Any = await members.admin()
    info = await admin.jetstream(timeout=5).stream_info(layout.mail_stream(0))
    await admin.close()
    return members.nodes.named(info.cluster.leader)
