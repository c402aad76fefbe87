"""What the project wants of itself, held against a run. Ratios are taken round by round, then their median.

Sends are those over the broker's Unix socket, which is what its own clients use, unless a target names another door.
"""

import statistics
from dataclasses import dataclass

from bench.earlier import REGRESSED, change, lost, within
from bench.fairness import NAMES, PAIRS
from bench.machine import WHEN
from bench.report import Results, Verdict, number


@dataclass(frozen=True, slots=True)
class Target:
    """``left``, less ``less`` or divided by the sum of ``right`` where there is one, is to be at least ``low`` or at most
    ``high``. Without either it is no target: its line stands beside one, for comparison."""

    what: str
    left: str
    right: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    unit: str = "x"
    scale: float = 1.0
    """What a measured value is multiplied with to be in ``unit``."""
    less: str = ""

    def wanted(self) -> str:
        if self.low is not None:
            return f"≥ {number(self.low)} {self.unit}"
        return f"≤ {number(self.high)} {self.unit}" if self.high is not None else f"({self.unit})"

    def values(self, results: Results) -> list[float]:
        """One a round; none where a side of it has none."""
        rows = [results.rows.get(key) for key in (self.left, *((self.less,) if self.less else self.right))]
        left, *right = [[] if row is None else row.values for row in rows]
        rounds = zip(left, *right, strict=False)
        if self.less:
            return [(value - sum(parts)) * self.scale for value, *parts in rounds]
        return [value / (sum(parts) if parts else 1.0) * self.scale for value, *parts in rounds]

    def met_by(self, results: Results) -> bool | None:
        values = self.values(results)
        if not values or (self.low is None and self.high is None):
            return None
        return within(statistics.median(values), self.low, self.high)

    def note(self, _results: Results) -> str:
        """What a reader must know of how it was met or missed."""
        return ""


@dataclass(frozen=True, slots=True)
class Either:
    """``first`` is to hold; or ``second``, but that counts only where ``excuse``, a ratio to ``rival``, is below 1 in the same
    run."""

    first: Target
    second: Target
    excuse: Target
    rival: str

    @property
    def what(self) -> str:
        return self.first.what

    @property
    def left(self) -> str:
        return self.first.left

    @property
    def low(self) -> float | None:
        return self.first.low

    @property
    def high(self) -> float | None:
        return self.first.high

    def wanted(self) -> str:
        return f"{self.first.wanted()}; or {self.second.wanted()} {self.second.what} where {self.excuse.what}"

    def values(self, results: Results) -> list[float]:
        return self.first.values(results)

    def met_by(self, results: Results) -> bool | None:
        if self.first.met_by(results) is not False:
            return self.first.met_by(results)
        return self._excused(results) and bool(self.second.met_by(results))

    def note(self, results: Results) -> str:
        if self.first.met_by(results) is None:
            return ""
        second, excuse = self.second.values(results), self.excuse.values(results)
        if not second or not excuse:
            return "the second was not measured"
        ratio, its = number(statistics.median(second)), number(statistics.median(excuse))
        sides = f"{ratio} {self.second.what}, which is {its} of {self.rival}"
        if self.first.met_by(results):
            return f"the first holds; {sides}"
        if not self._excused(results):
            return f"the second does not count: {sides}"
        return f"{'the second holds' if self.second.met_by(results) else 'neither holds'}: {sides}"

    def _excused(self, results: Results) -> bool:
        values = self.excuse.values(results)
        return bool(values) and statistics.median(values) < 1.0


def verdict(target: Target | Either, results: Results, before: Results | None = None) -> Verdict:
    """What became of the target in a run, and since an earlier one, whose rows are held against the target of today."""
    values, met = target.values(results), target.met_by(results)
    measured = statistics.median(values) if values else None
    old = target.values(before) if before is not None else []
    since = ""
    if before is not None and values and met is not None:
        said = [v for v in before.verdicts if v.what == target.what and measured is not None]
        if met is False and (target.met_by(before) or any(lost(measured or 0.0, v.wanted, v.met) for v in said)):
            since = REGRESSED
        elif old:
            since = change(values, old, more_is_better=target.low is not None)
    then = statistics.median(old) if old else None
    return Verdict(target.what, target.wanted(), measured, met, target.note(results), then, since)


def _faster(what: str, shape: str, rival: str, low: float | None = None, door: str = "stream", rival_shape: str = "") -> Target:
    return Target(what, f"sends.{door}.{shape}", (f"sends.{rival}.{rival_shape or shape}",), low=low)


def _sustained(what: str, rival: str) -> Target:
    return Target(what, "sustained.stream.rate", (f"sustained.{rival}.rate",))


def _flat(what: str, curve: str, sizes: tuple[int, int], column: str, high: float) -> Target:
    return Target(what, f"scale.{curve}.{sizes[1]}.{column}", (f"scale.{curve}.{sizes[0]}.{column}",), high=high)


def _quiet(flood: str, other: str) -> Target:
    what = f"a quiet agent's p99 beside a flood / beside the same at another service: {NAMES[other]}, flood over {NAMES[flood]}"
    return Target(what, f"fairness.{flood}-{other}.ratio", high=2)


def _beside_idle(door: str) -> Target:
    what = f"a quiet agent's p99 beside a flood / on an idle machine: both over {NAMES[door]}"
    return Target(what, f"fairness.{door}-{door}.rest", high=2)


def _kept(door: str) -> Target:
    return Target(
        f"what a flood keeps of its rate beside a quiet agent: {NAMES[door]}", f"fairness.{door}-{door}.kept", low=70, unit="%"
    )


FLAT = 1.5
"""What a curve may rise from its smallest to its largest size and still be called flat on a noisy machine."""
FLOORS = ("beside.fdatasync", "beside.roundtrip")
TARGETS: tuple[Target | Either, ...] = (
    _faster("one client, 256 in flight / prototype", "1x256", "prototype", 0.8),
    _faster("16 clients, 64 in flight / prototype", "16x64", "prototype", 0.8),
    _faster("one client, 256 in flight / Redis Streams, appendfsync always", "1x256", "redis-always", 1.6),
    _faster("the same over the ZeroMQ door: one client, 256 in flight", "1x256", "redis-always", door="zeromq"),
    Either(
        _faster("16 clients, 64 in flight / Redis Streams, appendfsync always", "16x64", "redis-always", 1.0),
        _faster("of the prototype", "16x64", "prototype", 0.9),
        _faster("that is below Redis", "16x64", "redis-always", door="prototype"),
        "Redis",
    ),
    _faster("the same over the ZeroMQ door: 16 clients, 64 in flight", "16x64", "redis-always", door="zeromq"),
    _sustained("16 clients, 64 in flight, 10 s without a pause / Redis Streams, appendfsync always", "redis-always"),
    _sustained("16 clients, 64 in flight, 10 s without a pause / prototype", "prototype"),
    _faster("in turn / Redis Streams, appendfsync always", "1x1", "redis-always", 0.9),
    _faster("the same over the ZeroMQ door: in turn", "1x1", "redis-always", door="zeromq"),
    _faster("one client, 256 in flight / NATS JetStream, sync_interval always", "1x256", "nats-always", 25),
    _faster("one client, 256 in flight / NATS JetStream by default (not durable)", "1x256", "nats-default", 2.5),
    _faster("one client, 256 in flight / a connection and a commit a request", "1x256", "percall", 220, rival_shape="1x1"),
    _faster("in turn / a connection and a commit a request", "1x1", "percall", 5),
    Target("in turn, p50 / (fdatasync + ZeroMQ round trip)", "sends.stream.1x1.p50", FLOORS, high=1.3),
    Target("p99 until received, at 50 % of the top rate", "latency.50%.here.p99", high=4, unit="ms", scale=1e-3),
    Target("p99 until received, at 90 % of the top rate", "latency.90%.here.p99", high=15, unit="ms", scale=1e-3),
    Target("durable push to a waiting receiver, p50", "push.p50", high=0.35, unit="ms", scale=1e-3),
    Target("lasting TCP connection / ZeroMQ door, 256 in flight", "sends.tcp.1x256", ("sends.zeromq.1x256",), low=0.65),
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
    Target("from nothing running: `ipc mcp` to the answer of `initialize`", "cold.initialize", high=400, unit="ms"),
    Target("from nothing running: `ipc mcp` to the first tool result", "cold.call", high=900, unit="ms"),
    Target("the page Now of 1,000 agents and 10,000 messages: opened to the first paint", "web.now.paint", high=300, unit="ms"),
    Target("an agent's MCP server, PSS with ten running", "mcp.pss", high=15, unit="MB"),
    Target("the service without MCP agents (supervisor, broker, TCP door), PSS", "memory.service", high=50, unit="MB"),
    Target("the whole with ten agents' MCP servers, 60 s after the last call, PSS", "memory.whole.rested", high=110, unit="MB"),
    Target("an installation with all that it needs, on disk", "install.mb", unit="MB"),
    Target("packages of an installation, this one counted", "install.packages", unit="packages"),
    Target("processor time of the idle service", "idle", high=0.05, unit="% of one CPU"),
    Target("broker with nothing queued, RSS", "memory.broker", high=45, unit="MB"),
    Target("start with 1,000,000 messages queued", "scale.queued.1000000.start to the first answer", high=1000, unit="ms"),
    _flat("a send with 1,000,000 queued / with 1,000", "queued", (1_000, 1_000_000), "send, pipelined", FLAT),
    _flat("a check with 1,000,000 queued / with 1,000", "queued", (1_000, 1_000_000), "check, p50", FLAT),
    _flat("a send with 10,000 mailboxes / with 10", "mailboxes", (10, 10_000), "send, pipelined", 1.3),
    _flat("the same for 10 s without a pause", "mailboxes", (10, 10_000), "send, pipelined, without a pause", 1.3),
    _flat("a check with 10,000 mailboxes / with 10", "mailboxes", (10, 10_000), "check, p50", FLAT),
    _flat("a send with 1,000 connections / with 1", "connections", (1, 1_000), "send, pipelined", FLAT),
    _flat("a delivery of a broadcast to 1,000 / to 100", "broadcast", (100, 1_000), "a delivery", FLAT),
    *(_beside_idle(key) for key in NAMES),
    *(_quiet(*pair) for pair in PAIRS),
    *(_kept(key) for key in NAMES),
    Target("soak: p99 of the last quarter / of the first", "soak.last.p99", ("soak.first.p99",), high=1.2),
)


def judge(results: Results, before: Results | None = None, *, complete: bool) -> list[Verdict]:
    """The targets that the run has figures for; of a ``complete`` one also those that could not be measured."""
    found = [(target, verdict(target, results, before)) for target in TARGETS]
    return [v for t, v in found if v.measured is not None or (complete and not t.left.startswith("soak"))]


def judge_again(results: Results, before: Results) -> list[Verdict]:
    """The targets of a whole run of which parts were measured again: what did not change keeps its verdict."""
    old = {target.what: target.values(before) for target in TARGETS}
    now = {target.what: target.values(results) for target in TARGETS}
    kept = {v.what: v for v in before.verdicts if now.get(v.what) == old.get(v.what)}
    return [kept.get(v.what, v) for v in judge(results, before, complete=True)]


def compared_with(before: Results) -> str:
    """Which run the columns of before are of, and which of its targets are none any more."""
    text = f"*before*: the run of {before.machine.get(WHEN, 'an unknown day')}, held against the targets of today."
    known = {target.what for target in TARGETS}
    gone = [v.what for v in before.verdicts if v.what not in known]
    return f"{text} Not asked any more: {', '.join(gone)}." if gone else text
