"""What the service costs while it does nothing, with a given number of messages waiting. Linux only: reads /proc."""

import os
import statistics
import time
from dataclasses import dataclass

from bench.report import Skip
from bench.sends import TEXT
from bench.service import Service, running
from broker.client import Connection, connect

_MAILBOXES = 100
_SETTLE_S = 1.0


@dataclass(frozen=True, slots=True)
class Footprint:
    """Resident memory in MB (10^6 bytes), start in ms, processor use in % of one CPU, and what was stored."""

    filled_mb: float
    restarted_mb: float
    start_ms: float
    idle_percent: float
    stored: int
    acknowledged: int


def measure(messages: int, idle_s: float, starts: int) -> Footprint:
    """Queue ``messages`` of 256 B over 100 mailboxes, restart the service ``starts`` times, then leave it alone."""
    if not os.path.exists("/proc/self/stat"):
        raise Skip("needs /proc")
    with running() as service:
        fill(service, messages)
        filled_mb = resident_mb(service.pids()["broker"])
        times = []
        for _ in range(starts):
            service.stop()
            times.append(start_ms(service))
        restarted_mb = resident_mb(service.pids()["broker"])
        return Footprint(
            filled_mb,
            restarted_mb,
            statistics.median(times),
            idle_percent(service, idle_s),
            service.stored(),
            service.acknowledged,
        )


def fill(service: Service, messages: int) -> None:
    with connect("bench-fill", settings=service.settings) as client:
        pairs = [(f"box-{n % _MAILBOXES}", TEXT) for n in range(messages)]
        for start in range(0, messages, 20_000):
            replies = client.send_many(pairs[start : start + 20_000])
            service.acknowledged += sum(1 for r in replies if r["status"] == "ok")


def start_ms(service: Service) -> float:
    """Milliseconds from no process at all until the broker has answered a first request."""
    began = time.perf_counter()
    service.start()
    connection = Connection(service.settings, autostart=False)
    try:
        connection.request("ping")
        return (time.perf_counter() - began) * 1e3
    finally:
        connection.close()


def idle_percent(service: Service, seconds: float) -> float:
    """CPU time of supervisor, broker and doors together over ``seconds``, in % of one CPU; the kernel counts in ticks."""
    time.sleep(_SETTLE_S)
    pids = list(service.pids().values())
    before = sum(cpu_s(pid) for pid in pids)
    time.sleep(seconds)
    return (sum(cpu_s(pid) for pid in pids) - before) / seconds * 100


def cpu_s(pid: int) -> float:
    """User and system seconds of a process, all its threads, from /proc/PID/stat."""
    with open(f"/proc/{pid}/stat", encoding="utf-8") as f:
        fields = f.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mb(pid: int) -> float:
    """VmRSS of a process in MB (10^6 bytes)."""
    with open(f"/proc/{pid}/status", encoding="utf-8") as f:
        kib = next(int(line.split()[1]) for line in f if line.startswith("VmRSS:"))
    return kib * 1024 / 1e6
