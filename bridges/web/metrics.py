"""``/metrics`` in the form of Prometheus: what the broker says of itself and of the agents, and what its processes use.

Names follow the conventions (prometheus.io/docs/practices/naming): a unit at the end, ``_total`` for what only grows. Agents
are labels, so whoever reads this knows their names: it stands behind a bearer token (bridges.web.metrics_token).
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

_PREFIX = "agent_ipc_"
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_TICKS = os.sysconf("SC_CLK_TCK")
_AGENT_GAUGES = {
    "mailbox_queued_messages": ("queued", "Messages that wait for the agent, on lease or not."),
    "mailbox_leased_messages": ("leased", "Of them those that were handed out and not acknowledged."),
    "agent_claims": ("claims", "Claims that the agent holds."),
    "agent_wakes_last_hour": ("wakes", "Times that mail woke the agent in the last hour."),
    "agent_silent_seconds": ("silent_s", "Time since the agent's last sign."),
}
"""Metric to the field of an agent's row in the overview."""


class Snapshot(Collector):
    """The metrics of one moment."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = list(metrics)

    def collect(self) -> Iterable[Metric]:
        return self._metrics


def exposed(metrics: Iterable[Metric], accept: str) -> tuple[bytes, str]:
    """The metrics in the form that the reader asks for, and its content type."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Snapshot(metrics))
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type


def all_metrics(home: Path, overview: dict[str, Any] | None, status: dict[str, Any] | None, streams: int) -> Iterator[Metric]:
    """Every metric. Without a broker (None) those of the processes alone."""
    yield _gauge("broker_up", "1 where the broker answers.", float(overview is not None and status is not None))
    yield _gauge("page_event_streams", "Open pages that are told of changes.", float(streams))
    yield from _of_processes(home)
    if overview is None or status is None:
        return
    yield from _of_broker(status, overview)
    yield from _of_agents(overview)
    yield from _of_what_waits(overview)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(_PREFIX + name, text, value=value)


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(_PREFIX + name, text, value=value)


def _labelled(name: str, text: str, label: str, values: Iterable[tuple[str, float]]) -> Metric:
    family = GaugeMetricFamily(_PREFIX + name, text, labels=[label])
    for of, value in values:
        family.add_metric([of], value)
    return family


def _of_broker(status: dict[str, Any], overview: dict[str, Any]) -> Iterator[Metric]:
    info = InfoMetricFamily(_PREFIX + "build", "The broker's version.")
    info.add_metric([], {"version": str(status["version"]), "durability": str(status["durability"])})
    yield info
    yield _gauge("broker_uptime_seconds", "Time since the broker's start.", status["uptime_s"])
    yield _counter("requests", "Requests that the broker answered since its start.", status["requests"])
    yield _counter("messages", "Number of the last message: it grows with each.", overview["sent"])
    yield _gauge("database_size_bytes", "Size of the database.", status["database_bytes"])
    yield _gauge("queued_messages", "Messages that wait, of all mailboxes.", status["queued"])
    yield _gauge("leased_messages", "Of them those that were handed out and not acknowledged.", status["leased"])
    yield _counter("refused_overloaded", "Requests refused since a queue was full.", status["overloaded"])
    yield _counter("refused_bad_frames", "Frames that could not be read.", status["bad_frames"])


def _of_agents(overview: dict[str, Any]) -> Iterator[Metric]:
    agents, at_s = overview["agents"], _unix(overview["at"])
    states = Counter("ended" if row.get("ended") else str(row["presence"]) for row in agents)
    yield _labelled("agents", "Names by what they do.", "state", sorted(states.items()))
    for name, (field, text) in _AGENT_GAUGES.items():
        yield _labelled(name, text, "agent", ((row["id"], row.get(field, 0)) for row in agents))
    ages = ((row["id"], max(0.0, at_s - _unix(row["oldest"])) if "oldest" in row else 0.0) for row in agents)
    yield _labelled("mailbox_oldest_message_age_seconds", "Age of the oldest message that waits.", "agent", ages)
    state = GaugeMetricFamily(_PREFIX + "agent_state_seconds", "Time in the present state.", labels=["agent", "state"])
    for row in agents:
        if told := row.get("activity"):
            state.add_metric([row["id"], told["state"]], max(0.0, at_s - _unix(told["since"])))
    yield state


def _of_what_waits(overview: dict[str, Any]) -> Iterator[Metric]:
    asked = Counter((q["state"], "person" if q.get("person") else "agent") for q in overview["questions"])
    questions = GaugeMetricFamily(_PREFIX + "questions", "Questions without an answer.", labels=["state", "asked"])
    for state in ("open", "stale"):
        for whom in ("agent", "person"):
            questions.add_metric([state, whom], asked[state, whom])
    yield questions
    alarms = Counter(str(alarm["kind"]) for alarm in overview["alarms"])
    yield _labelled("alarms", "Agents that are stuck, by how that is known.", "kind", sorted(alarms.items()))
    yield _gauge("claims", "Claims of all agents.", len(overview["claims"]))
    yield _gauge("dead_letters", "Dead letters on the owner's list; at most 1000 are counted.", overview["dead"])
    yield _gauge("pending_permissions", "Prompts of hosts that wait for the person.", len(overview.get("permissions", ())))
    yield _gauge("pauses", "What the person has paused.", len(overview["pauses"]))


def _of_processes(home: Path) -> Iterator[Metric]:
    """What the service's processes use, by the kernel's word, and how often the supervisor has started them again."""
    labels = ["process"]
    memory = GaugeMetricFamily(_PREFIX + "process_resident_memory_bytes", "Resident memory.", labels=labels)
    cpu = CounterMetricFamily(_PREFIX + "process_cpu_seconds", "Processor time, user and system.", labels=labels)
    restarts = CounterMetricFamily(_PREFIX + "process_restarts", "Times that it ended and was started again.", labels=labels)
    for name, pid, again in _children(home):
        restarts.add_metric([name], again)
        if (used := _used(pid)) is not None:
            memory.add_metric([name], used[0])
            cpu.add_metric([name], used[1])
    yield from (memory, cpu, restarts)


def _children(home: Path) -> Iterator[tuple[str, int, int]]:
    """(name, process, restarts) of the supervisor and its children."""
    try:
        state = json.loads((home / "run" / "supervisor.json").read_text(encoding="utf-8"))
        yield "supervisor", int(state["pid"]), 0
        for name, row in state["children"].items():
            yield str(name), int(row["pid"] or 0), int(row["restarts"])
    except (OSError, ValueError, KeyError, TypeError):
        return  # no supervisor runs, or it writes just now


def _used(pid: int) -> tuple[float, float] | None:
    """(bytes of resident memory, seconds of processor time) of a process; None where nothing tells (proc(5))."""
    try:
        pages = Path(f"/proc/{pid}/statm").read_text().split()[1]
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (OSError, IndexError):
        return None
    return int(pages) * _PAGE_BYTES, (int(fields[11]) + int(fields[12])) / _TICKS


def _unix(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()
