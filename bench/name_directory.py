"""A directory of many names at three nodes: made, read by a door that starts, looked up, watched."""

import asyncio
import json
import random
import time
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any

from bench import proc
from bench.many_sites import timed
from bench.members import Member, Members, persistently
from bench.nats_nodes import Nodes, client_module
from bench.percentiles import percentile
from bench.report import Results
from bench.sites import NAMES
from bridges.link import WINDOW
from bridges.nats import layout
from bridges.nats.envelope import NAME, Identity, verified
from bridges.nats.stream_reader import StreamReader

_SITE, _NAMES_A_SITE = "paris", 100
_SEED = "5" * 64
_PATIENCE_S = 60.0
_SAMPLES = 1_000


class NameDirectory:
    """``count`` names, 100 a site, each entry signed."""

    def __init__(self, results: Results, count: int) -> None:
        self._results = results
        self._count = count
        self._identity = Identity(_SEED)
        self._subjects = [
            layout.bucket_subject(layout.NAMES, f"site-{number // _NAMES_A_SITE}.agent-{number}") for number in range(count)
        ]

    def measure(self) -> None:
        Members([_SITE]).run(self._measure)

    async def _measure(self, members: Members) -> None:
        admin = await members.admin()
        try:
            await members.make_streams(admin)
            self._add("names", "", self._count)
            before_mb = _memory(members.nodes)
            await self._fill(admin.jetstream(timeout=10, publish_async_max_pending=2 * WINDOW))
            self._add("memory that a node took for them", "MB", _memory(members.nodes) - before_mb)
            self._add("disk of a node", "MB", _on_disk_mb(members.nodes))
            await self._use(admin.jetstream(timeout=10))
            await self._start(members)
        finally:
            await admin.close()

    def _add(self, line: str, unit: str, value: float) -> None:
        self._results.add(f"sites.names.{line}", NAMES, line, "", unit, value)

    def _entry(self, subject: str) -> bytes:
        entry = {"name": subject.rpartition(".")[2], "presence": "idle", "note": "", "silent_s": 1.0, "claims": [], "n": 1}
        return self._identity.signed(NAME, subject, json.dumps(entry).encode())

    async def _fill(self, jetstream: Any) -> None:
        few, entries = self._subjects[:_SAMPLES], {subject: self._entry(subject) for subject in self._subjects}
        new = {"Nats-Expected-Last-Subject-Sequence": "0"}
        made = await times([partial(jetstream.publish, subject, entries[subject], headers=new) for subject in few])
        self._percentiles("one made", made)
        rest = self._subjects[len(few) :]
        began_s = time.perf_counter()
        for first in range(0, len(rest), WINDOW):
            window = rest[first : first + WINDOW]
            answers = [await jetstream.publish_async(subject, entries[subject], headers=new) for subject in window]
            await asyncio.wait_for(asyncio.gather(*answers), _PATIENCE_S)
        if rest:
            self._add("made in windows of 256", "/s", len(rest) / (time.perf_counter() - began_s))

    async def _use(self, jetstream: Any) -> None:
        bucket = await jetstream.key_value(layout.NAMES)
        prefix = layout.bucket_subject(layout.NAMES, "")
        keys = [subject.removeprefix(prefix) for subject in self._subjects]
        some = random.Random(1).sample(keys, min(_SAMPLES, len(keys)))  # noqa: S311 (the same in every run)
        self._percentiles("one looked up", await times([partial(bucket.get, key) for key in some]))
        sites = range(min(20, max(1, self._count // _NAMES_A_SITE)))
        read = await times([partial(_read_all, bucket, f"site-{number}.>") for number in sites])
        self._add(f"the {_NAMES_A_SITE} of one site read, p50", "ms", percentile(read, 50))
        self._percentiles("a change until a watcher has it", await self._changes(bucket, keys[:_NAMES_A_SITE]))
        self._add("all read by a watcher", "s", await timed(_read_all(bucket, ">")))

    async def _changes(self, bucket: Any, keys: Sequence[str]) -> list[float]:
        watcher = await bucket.watch("site-0.>")
        while await watcher.updates(timeout=_PATIENCE_S) is not None:
            pass

        async def change(key: str) -> None:
            await bucket.put(key, b"x")
            await watcher.updates(timeout=_PATIENCE_S)

        found = await times([partial(change, key) for key in keys])
        await watcher.stop()
        return found

    async def _start(self, members: Members) -> None:
        """What a door does with the directory when it starts: it reads all, and verifies each."""
        member = Member(members, _SITE, lambda _site: None)
        stream, subjects = layout.bucket_stream(layout.NAMES), layout.bucket_subject(layout.NAMES, ">")
        reader = StreamReader(member.client, stream, _SITE, subjects, newest=True)
        used_s, began_s, left = time.process_time(), time.perf_counter(), 1
        while left:
            for read in await persistently(reader.read):
                left = read.pending
                if len(read.data) > 1:  # not one that was changed above
                    verified(self._identity.public, NAME, read.subject, read.data)
        self._add("read and verified by a door that starts", "s", time.perf_counter() - began_s)
        self._add("processor time of that door", "s", time.process_time() - used_s)
        await reader.close()
        await member.close()

    def _percentiles(self, what: str, ordered_ms: Sequence[float]) -> None:
        for percent in (50, 99):
            self._add(f"{what}, p{percent}", "ms", percentile(ordered_ms, percent))


async def _read_all(bucket: Any, pattern: str) -> None:
    watcher = await bucket.watch(pattern)
    while True:
        try:
            if await watcher.updates(timeout=_PATIENCE_S) is None:
                break
        except client_module().errors.TimeoutError:
            raise TimeoutError(f"{pattern} was not read in {_PATIENCE_S:g} s") from None
    await watcher.stop()


async def times(steps: Sequence[Callable[[], Coroutine[Any, Any, Any]]]) -> list[float]:
    """Milliseconds of each, one after the other, in ascending order."""
    return sorted([await timed(step()) * 1e3 for step in steps])


def _memory(nodes: Nodes) -> float:
    return max(map(proc.resident_mb, nodes.pids()))


def _on_disk_mb(nodes: Nodes) -> float:
    """MB (10^6 bytes) of the node that has most."""
    sizes = [sum(path.stat().st_blocks * 512 for path in node.folder.rglob("*") if path.is_file()) for node in nodes.nodes]
    return max(sizes) / 1e6
