"""Death and a full disk at every write of an ending and of a bounce: nothing is lost, and nothing is told twice."""

import sqlite3
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from broker.home.logs import Log
from broker.server.upkeep import Sweeper
from tests.engine import HOUR, Core

pytestmark = pytest.mark.deep


class Killed(BaseException):
    """The process is gone."""


class Failing:
    """A connection that fails at its Nth write."""

    def __init__(self, real: sqlite3.Connection, nth: int, error: type[BaseException]) -> None:
        self.real, self.left, self.error = real, nth, error

    def _write(self, sql: str) -> None:
        if sql.lstrip().split(None, 1)[0] in ("INSERT", "UPDATE", "DELETE", "COMMIT", "BEGIN"):
            self.left -= 1
            if self.left == 0:
                raise self.error("database or disk is full")

    def execute(self, sql: str, *parameters: Any) -> Any:
        self._write(sql)
        return self.real.execute(sql, *parameters)

    def executemany(self, sql: str, rows: Any) -> Any:
        self._write(sql)
        return self.real.executemany(sql, rows)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


def restart(core: Core) -> None:
    """As after kill -9: what is not committed is gone, with all that was in memory."""
    real = core.store._sql
    if isinstance(real, Failing):
        core.store._sql = real.real
    core.store._sql.rollback()
    core.store.close()
    core.open()


def work(core: Core, seconds: float) -> None:
    """The sweeper and the chores, as the server runs them."""
    core.pass_time(seconds)
    sweeper = Sweeper(core.engine, core.store, Log("test"))
    for _ in range(4):
        sweeper.step(core.now(), busy=True)
        sweeper._next_s = None
    while core.engine.state.chore_s <= core.mono_s:
        core.engine.keep_house(core.now())


def begin(core: Core) -> None:
    """Mail of fred that will end in each way, or wait for somebody who is away."""
    core.register("fred", "claude")
    core.send("fred", "claude", "refused")
    core.check("claude")
    core.send("fred", "claude", "expires", ttl_s=60)
    core.send("fred", "nobody", "waits", land="interrupt")
    core.send("fred", "claude", "waits", land="interrupt")


def go_on(core: Core) -> None:
    core.ask("claude", "release", ids=["1"], refuse=True)
    for seconds in (61.0, 5.0, 600.0, 60.0, HOUR, 10.0):
        work(core, seconds)


def told(core: Core) -> Counter[int]:
    """How often fred was told of each message."""
    texts = core.store._sql.execute("SELECT content FROM message WHERE sender_id = 0").fetchall()
    return Counter(n for (text,) in texts for n in range(1, 5) if f"#{n} to " in text)


def expect_all_told_once(core: Core) -> None:
    core.register("claude")  # who asks again for what was not answered
    core.ask("claude", "release", ids=["1"], refuse=True)
    for seconds in (61.0, 10.0, 660.0, HOUR, 10.0, HOUR, HOUR, 10.0):
        work(core, seconds)
    assert told(core) == Counter({1: 1, 2: 1, 3: 1, 4: 1})
    assert core.store._sql.execute("SELECT count(*) FROM untold").fetchone() == (0,)
    ended = core.store._sql.execute("SELECT message_id, ending FROM receipt WHERE ending IS NOT NULL ORDER BY message_id")
    assert ended.fetchall() == [(1, "refused"), (2, "expired")]
    boxes = core.engine.state.mailboxes
    assert [boxes[name].queued for name in ("claude", "nobody")] == [1, 1]


@pytest.mark.parametrize("error", [Killed, sqlite3.OperationalError], ids=["killed", "disk full"])
def test_at_every_write(home: Path, error: type[BaseException]) -> None:
    nth, failed = 0, True
    while failed:
        nth += 1
        (home / str(nth)).mkdir(0o700)
        core = Core(home / str(nth))
        begin(core)
        dying = core.store._sql = Failing(core.store._sql, nth, error)  # type: ignore[assignment]
        with suppress(Killed):
            go_on(core)
        failed = dying.left <= 0
        restart(core)
        expect_all_told_once(core)
        core.store.close()
    assert nth > 30, "there are that many writes"
