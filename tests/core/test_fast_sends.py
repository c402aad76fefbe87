"""The fast lane decides runs of ordinary sends; whatever comes, nobody can tell it from the general path."""

import itertools
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from broker.core import fast_sends
from broker.core.batch import Answers, Frame, Incoming, Outgoing
from broker.core.state import Moment
from tests.engine import Core
from tests.examples import examples

NAMES = ("ann", "bob", "cid", "dan")
LIMITS = {
    "IPC_MAILBOX_LIMIT": "25",
    "IPC_RATE_LIMIT": "3",
    "IPC_RATE_BURST": "20",
    "IPC_PAIR_LIMIT": "6",
    "IPC_LARGE_MESSAGE_BYTES": "256",
    "IPC_MESSAGE_LIMIT": "300",
    "IPC_DURABILITY": "normal",
}
"""Small, so that every limit is met."""


class Twin:
    """A core with four agents that makes the same tokens as any other."""

    def __init__(self) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="ipc-"))
        self.core = Core(self.home, env=LIMITS)
        numbers = itertools.count()
        self.core.engine.make_token = lambda: f"token-{next(numbers)}"
        self.core.register(*NAMES)
        self.core.ask("dan", "block", name="ann", mode="block")
        self.core.ask("dan", "block", name="bob", mode="mute")
        self.core.ask("ann", "group_create", group="team")
        self.core.ask("bob", "group_join", group="team")
        self.core.batch({"action": "subscribe", "window": 4, "id": 1000}, name="bob")
        self.core.batch({"action": "subscribe", "notify": True, "id": 1001}, name="cid")

    def close(self) -> None:
        self.core.store.close()
        shutil.rmtree(self.home)

    def run(self, work: list[Frame] | list[Incoming], *, disk_fails: bool) -> list[str]:
        """What goes out, in order."""
        self.core.store._sql.execute(f"PRAGMA query_only = {int(disk_fails)}")
        out, self.core.events = self.core.engine.run(work, Moment(self.core.wall_s, self.core.mono_s))
        self.core.store._sql.execute("PRAGMA query_only = 0")
        told = [(o.route, sorted(body.items())) for o in out for body in (o.bodies if isinstance(o, Answers) else [o.body])]
        return [repr(one).replace(str(self.home), "") for one in told]

    def rows(self) -> list[str]:
        tables = ("message", "queue", "receipt", "mailbox", "session", "forward", "block", "member")
        rows = [(t, row) for t in tables for row in self.core.store._sql.execute(f"SELECT * FROM {t}")]  # noqa: S608
        return [repr(row).replace(str(self.home), "") for row in rows]

    def memory(self) -> list[Any]:
        state = self.core.engine.state
        mailboxes = [
            (
                m.id,
                name,
                m.name,
                m.claimed,
                m.queued,
                m.cursor,
                m.returned,
                m.leased,
                m.urgent,
                m.later,
                m.last_seen_s,
                m.hint[1],
            )
            for name, m in state.mailboxes.items()
        ]
        listeners = [(m.id, len(m.waiters), len(m.watchers), m.subscription is not None) for m in state.by_id.values()]
        sessions = [(s.mailbox.id, s.tokens, s.refilled_s, s.replaced, s.last_seen_s) for s in state.sessions.values()]
        pairs = {key: (p.last_sender, p.since_s, p.count) for key, p in state.pairs.items()}
        counts = (
            state.last_message_id,
            state.last_mailbox_id,
            state.next_expiry_s,
            state.touched,
        )  # names_version counts what was undone, too
        return [mailboxes, listeners, sessions, pairs, counts, list(state.forwards), sorted(state.lease_ends)]


texts = st.sampled_from(["hello", "", "ü" * 30, "x" * 64, "x" * 65, "y" * 280, "z" * 301])
recipients = st.sampled_from([*NAMES, *NAMES, "team", "ann2", "nobody", "not a name", "system"])
client_ids = st.none() | st.integers(0, 10**9).map(lambda n: f"id-{n}") | st.sampled_from(["id-1", "id-2", "", "x" * 65])
ordinary = st.builds(
    lambda to, text, client_id: {
        "action": "send",
        "to_id": to,
        "message": {"content": text},
        **({} if client_id is None else {"message_id": client_id}),
    },
    recipients,
    texts,
    client_ids,
)
plain = st.builds(
    lambda to, n: {"action": "send", "to_id": to, "message": {"content": "hi"}, "message_id": f"p-{n}"},
    st.sampled_from(NAMES),
    st.integers(0, 10**12),
)
odd_parts: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    [
        {"message": {"content": "x", "data": {"a": 1}}},
        {"message": {"content": "x", "data": None}},
        {"message": {}},
        {"message": {"text": "x"}},
        {"message": {"content": 5}},
        {"message": "x"},
        {"land": "interrupt"},
        {"land": "turn"},
        {"land": None},
        {"ttl_s": 30},
        {"person": True},
        {"thread": "1"},
        {"from_id": "ann"},
        {"from_id": None},
        {"from_id": 5},
        {"message_id": 5},
        {"message_id": None},
        {"to_id": ["ann"]},
        {"to_id": None},
        {"door": "tcp"},
        {"door": 7},
        {"session_token": "token-1"},
        {"session_token": None},
        {"session_token": "wrong"},
        {"unknown": 1},
    ]
)
odd = st.builds(lambda base, part: {**base, **part}, plain, odd_parts)
other: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    [
        {"action": "check"},
        {"action": "check", "wait_s": 5},
        {"action": "ack", "ids": ["1", "2", "3"]},
        {"action": "release"},
        {"action": "count"},
        {"action": "broadcast", "message": {"content": "all"}},
        {"action": "rename", "new_id": "ann2"},
        {"action": "register", "instance_id": "ann"},
        {"action": "register", "instance_id": "eve"},
        {"action": "unblock", "name": "ann"},
        {"action": "nonsense"},
        {"action": 5},
        {},
    ]
)
bursts = st.builds(
    lambda to, first, count: [
        {"action": "send", "to_id": to[n % len(to)], "message": {"content": "hi"}, "message_id": f"b-{first}-{n}"}
        for n in range(count)
    ],
    st.lists(st.sampled_from(NAMES), min_size=1, max_size=2),
    st.integers(0, 10**12),
    st.integers(2, 12),
)
spoilt = st.builds(lambda burst, part: [*burst, {**burst[0], "message_id": "odd", **part}], bursts, odd_parts)
singles = (plain | ordinary | odd | other).map(lambda one: [one])
bodies = st.lists(bursts | spoilt | singles, min_size=1, max_size=6).map(
    lambda parts: [body for part in parts for body in part]
)
frames = st.tuples(st.sampled_from(NAMES), st.booleans(), bodies)
batches = st.lists(
    st.tuples(st.lists(frames, min_size=1, max_size=3), st.sampled_from([0.0, 0.5, 31.0, 61.0]), st.integers(0, 9)),
    min_size=1,
    max_size=5,
)


def make_frame(who: str, each: bool, made: list[dict[str, Any]], first_id: int) -> Frame:
    """A connection's frame; its token is in the first request, or with ``each`` in all."""
    token = f"token-{NAMES.index(who)}"
    numbered = [{"id": n, **body} for n, body in enumerate(made, first_id)]
    named = [{"session_token": token, **body} if each or n == 0 else body for n, body in enumerate(numbered)]
    return Frame(who.encode(), named)


@examples(50, suppress_health_check=list(HealthCheck))
@given(batches)
def test_both_paths_give_the_same_replies_rows_and_memory(work: list[Any]) -> None:
    fast, general = Twin(), Twin()
    try:
        first_id = 1
        for made, pause_s, chance in work:
            batch = []
            for who, each, bodies in made:
                batch.append(make_frame(who, each, bodies, first_id))
                first_id += len(bodies)
            fails = chance == 0
            went = fast.run(batch, disk_fails=fails)
            assert went == general.run([r for f in batch for r in f.requests()], disk_fails=fails)
            assert fast.core.events == general.core.events
            assert fast.rows() == general.rows()
            assert fast.memory() == general.memory()
            for twin in (fast, general):
                twin.core.pass_time(pause_s)
    finally:
        fast.close()
        general.close()


def send(to: str = "ann", **fields: Any) -> dict[str, Any]:
    return {"id": 1, "action": "send", "to_id": to, "message": {"content": "hi"}, **fields}


def taken(core: Core, *bodies: dict[str, Any]) -> list[int]:
    """Sizes of the replies' groups: one number a run, 1 a request that the general path decided."""
    frame = Frame(b"fred", [{"session_token": core.tokens["fred"], **b} if n == 0 else b for n, b in enumerate(bodies)])
    out, _events = core.engine.run([frame], Moment(core.wall_s, core.mono_s))
    return [len(o.bodies) if isinstance(o, Answers) else 1 for o in out if isinstance(o, (Answers, Outgoing))]


def test_a_frame_of_plain_sends_is_one_run(core: Core) -> None:
    core.register("fred", "ann", "bob")
    taken(core, send("ann"), send("bob"))  # the pair guard's first look at each pair
    assert taken(core, *[send("ann"), send("bob")] * 100) == [200]


def test_what_is_not_plain_is_decided_alone_and_the_run_goes_on_behind_it(core: Core) -> None:
    core.register("fred", "ann")
    taken(core, send())
    assert taken(core, send(), send(), send(message={"content": "x", "data": 1}), send(), send("nobody"), send()) == [
        2,
        1,
        1,
        1,
        1,
    ]


def test_a_run_ends_where_the_mailbox_is_full(home: Path) -> None:
    core = Core(home, env={"IPC_MAILBOX_LIMIT": "10"})
    core.register("fred", "ann")
    taken(core, send())
    assert taken(core, *[send()] * 11) == [9, 1, 1]
    assert core.engine.state.mailboxes["ann"].queued == 10
    core.store.close()


@pytest.mark.parametrize("folded", [False, True], ids=["in memory", "on the disk"])
@pytest.mark.parametrize(
    ("before", "ids", "known"),
    [
        ("", "aba", "a"),
        ("", "bab", "b"),
        ("ab", "abc", "ab"),
        ("c", "abc", "c"),
        ("bd", "acbde", "bd"),
        ("z", "abcabc", "abc"),
        ("bdfhj", "cdefghijk", "dfhj"),
        ("bdfhjca", "abcdefk", "abcdf"),
        ("abcdefgh", "hgfedcba", "hgfedcba"),
    ],
)
def test_a_repeated_id_in_a_run_is_stored_once(core: Core, before: str, ids: str, known: str, folded: bool) -> None:
    core.register("fred", "ann")
    taken(core, *[send(message_id=i) for i in before])
    if folded:
        core.store.fold_all()
    out, _events = core.engine.run(
        [Frame(b"fred", [{**send(message_id=i), "session_token": core.tokens["fred"]} for i in ids])],
        Moment(core.wall_s, core.mono_s),
    )
    bodies = [body for o in out for body in ([o.body] if isinstance(o, Outgoing) else o.bodies)]
    assert [body["message_id"] for body in bodies] == list(ids)
    assert [body["message_id"] for body in bodies if body.get("duplicate")] == list(known)
    assert len(core.check("ann", limit=50)) == len({*before, *ids})


def test_the_lane_is_short_enough_to_read() -> None:
    assert len(Path(fast_sends.__file__).read_text().splitlines()) < 170
