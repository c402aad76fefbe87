"""What the project wants of itself, held against a run. Ratios are taken round by round, then their median.

Sends are those over the broker's Unix socket, which is what its own clients use, unless a target names another door.
"""

import statistics
from dataclasses import dataclass

from bench.report import Results, Verdict, number


@dataclass(frozen=True, slots=True)
class Target:
    """``left``, less ``less`` or divided by the sum of ``right`` where there is one, is to be at least ``low`` or at most
    ``high``."""

    what: str
    left: str
    right: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    unit: str = "x"
    scale: float = 1.0
    """What the measured value is multiplied with to be in ``unit``."""
    less: str = ""

    def wanted(self) -> str:
        if self.low is not None:
            return f"≥ {number(self.low)} {self.unit}"
        return f"≤ {number(self.high or 0.0)} {self.unit}"

    def measured(self, results: Results) -> float | None:
        """None where a side of it has no value."""
        rows = [results.rows.get(key) for key in (self.left, *((self.less,) if self.less else self.right))]
        if any(row is None or not row.values for row in rows):
            return None
        left, *right = [row.values for row in rows if row is not None]
        if not right:
            return statistics.median(left) * self.scale
        rounds = zip(left, *right, strict=False)
        found = [value - sum(parts) if self.less else value / sum(parts) for value, *parts in rounds]
        return float(statistics.median(found)) * self.scale

    def verdict(self, results: Results) -> Verdict:
        value = self.measured(results)
        met = None
        if value is not None:
            met = (self.low is None or value >= self.low) and (self.high is None or value <= self.high)
        return Verdict(self.what, self.wanted(), value, met)


def _faster(what: str, shape: str, rival: str, low: float, door: str = "stream", rival_shape: str = "") -> Target:
    return Target(what, f"sends.{door}.{shape}", (f"sends.{rival}.{rival_shape or shape}",), low=low)


def _flat(what: str, curve: str, sizes: tuple[int, int], column: str, high: float) -> Target:
    return Target(what, f"scale.{curve}.{sizes[1]}.{column}", (f"scale.{curve}.{sizes[0]}.{column}",), high=high)


FLAT = 1.5
"""What a curve may rise from its smallest to its largest size and still be called flat on a noisy machine."""
FLOORS = ("beside.fdatasync", "beside.roundtrip")
TARGETS = (
    _faster("one client, 256 in flight / prototype", "1x256", "prototype", 0.8),
    _faster("16 clients, 64 in flight / prototype", "16x64", "prototype", 0.8),
    _faster("one client, 256 in flight / Redis Streams, appendfsync always", "1x256", "redis-always", 1.3),
    _faster("16 clients, 64 in flight / Redis Streams, appendfsync always", "16x64", "redis-always", 1.0),
    _faster("in turn / Redis Streams, appendfsync always", "1x1", "redis-always", 0.9),
    _faster("one client, 256 in flight / NATS JetStream, sync_interval always", "1x256", "nats-always", 25),
    _faster("one client, 256 in flight / NATS JetStream by default (not durable)", "1x256", "nats-default", 2.5),
    _faster("one client, 256 in flight / a connection and a commit a request", "1x256", "percall", 200, rival_shape="1x1"),
    _faster("in turn / a connection and a commit a request", "1x1", "percall", 5),
    Target("in turn, p50 / (fdatasync + ZeroMQ round trip)", "sends.stream.1x1.p50", FLOORS, high=1.3),
    Target("p99 until received, at 50 % of the top rate", "latency.50%.here.p99", high=10, unit="ms", scale=1e-3),
    Target("durable push to a waiting receiver, p50", "push.p50", high=0.45, unit="ms", scale=1e-3),
    Target("lasting TCP connection / ZeroMQ door, 256 in flight", "sends.tcp.1x256", ("sends.zeromq.1x256",), low=0.6),
    _faster("lasting TCP connection, 256 in flight, over the ROUTER / over the Unix socket", "1x256", "tcp-unix", 0.9, "tcp"),
    Target(
        "lasting TCP connection in turn, p50: what the ROUTER takes more than the Unix socket",
        "sends.tcp.1x1.p50",
        less="sends.tcp-unix.1x1.p50",
        high=0.1,
        unit="ms",
        scale=1e-3,
    ),
    Target("TCP, a connection a request, 16 clients", "sends.oneshot.16x1", low=3000, unit="/s"),
    Target("`ipc send`, whole process", "program.send", high=60, unit="ms"),
    Target("a hook with an empty inbox, whole process", "program.hook", high=50, unit="ms"),
    Target("an agent's MCP server, start to the answer of `initialize`", "program.mcp", high=150, unit="ms"),
    Target("an agent's MCP server, PSS with ten running", "mcp.pss", high=15, unit="MB"),
    Target("processor time of the idle service", "idle", high=0.05, unit="% of one CPU"),
    Target("broker with nothing queued, RSS", "memory.broker", high=45, unit="MB"),
    Target("start with 1,000,000 messages queued", "scale.queued.1000000.start to the first answer", high=1000, unit="ms"),
    _flat("a send with 1,000,000 queued / with 1,000", "queued", (1_000, 1_000_000), "send, pipelined", FLAT),
    _flat("a check with 1,000,000 queued / with 1,000", "queued", (1_000, 1_000_000), "check, p50", FLAT),
    _flat("a send with 10,000 mailboxes / with 10", "mailboxes", (10, 10_000), "send, pipelined", FLAT),
    _flat("a check with 10,000 mailboxes / with 10", "mailboxes", (10, 10_000), "check, p50", FLAT),
    _flat("a send with 1,000 connections / with 1", "connections", (1, 1_000), "send, pipelined", FLAT),
    _flat("a delivery of a broadcast to 1,000 / to 100", "broadcast", (100, 1_000), "a delivery", FLAT),
    Target("soak: p99 of the last quarter / of the first", "soak.last.p99", ("soak.first.p99",), high=1.2),
)


def judge(results: Results, *, complete: bool) -> list[Verdict]:
    """The targets that the run has figures for; of a ``complete`` one also those that could not be measured."""
    found = [(target, target.verdict(results)) for target in TARGETS]
    return [v for t, v in found if v.measured is not None or (complete and not t.left.startswith("soak"))]
