"""Terms end when their time has passed, not when a clock is set."""

import ast
import json
import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import broker.core
from broker.core.terms import ClockReading, Terms
from broker.home.logs import Log
from broker.server.upkeep import Sweeper
from tests.conftest import Service, wait_for
from tests.engine import Core

DAY_S, HOUR_S = 86400.0, 3600.0


class Machine:
    """A core on a machine whose clock may be set, which may sleep, and which may be switched off."""

    def __init__(self, core: Core) -> None:
        self.core, self.boots = core, 1
        self._begin(None)
        core.register("fred", "claude")

    def _begin(self, saved: ClockReading | None) -> None:
        now = ClockReading(self.core.wall_s, self.core.mono_s, f"boot {self.boots}")
        self.core.terms = Terms.begin(saved, now, HOUR_S)

    def set_clock(self, by_s: float) -> None:
        self.core.wall_s += by_s
        self.core.now()  # the sweeper looks at least once a minute

    def reboot(self, off_s: float) -> None:
        """``off_s`` is what the wall clock says of the time between."""
        assert self.core.terms is not None
        self.core.now()
        saved = ClockReading(**json.loads(json.dumps(self.core.terms.at.to_map())))
        self.boots += 1
        self.core.wall_s += off_s
        self.core.mono_s = 10.0
        self._begin(saved)
        self.core.restart()

    def sweep(self) -> None:
        sweeper = Sweeper(self.core.engine, self.core.store, Log("test"))
        sweeper.step(self.core.now())
        while sweeper._sweep(self.core.now()):
            pass

    def has_all(self) -> list[str]:
        """What of the things with a term is still there."""
        self.sweep()
        core = self.core
        if "code" in core.ask("fred", "whoami"):
            return []
        found = [m["message"]["content"] for m in core.check("claude")]
        core.ask("claude", "release")
        found += [c["resource"] for c in core.ask("fred", "claims")["claims"]]
        found += [m["id"] for m in core.ask("fred", "history")["messages"] if m["message"]["content"] == "read"]
        found += [q["state"] for q in core.ask("fred", "asks")["asks"]]
        found += ["repeat"] if core.send("fred", "claude", "usual", message_id="known").get("duplicate") else []
        found += ["forward"] if "forwarded" in core.send("fred", "nova", "over the old name", ttl_s=1)["message"] else []
        return found


@pytest.fixture
def machine(core: Core) -> Machine:
    one = Machine(core)
    core.register("nova")
    core.ask("nova", "rename", new_id="vega")
    core.ask("claude", "ack", ids=[m["id"] for m in core.check("claude")])
    core.ask("fred", "ack", ids=[m["id"] for m in core.check("fred")])
    core.send("fred", "claude", "read")
    core.ask("claude", "ack", ids=[m["id"] for m in core.check("claude")])
    core.send("fred", "claude", "usual", message_id="known")
    core.send("fred", "claude", "brief", ttl_s=60)
    core.ask("fred", "ask", to_id="claude", message={"content": "which?"}, deadline_s=60)
    core.ask("fred", "claim", resource="src/a.py", ttl_s=60)
    return one


@pytest.mark.deep
@pytest.mark.parametrize("by_s", [8 * DAY_S, 400 * DAY_S, -8 * DAY_S, -20 * 365 * DAY_S])
def test_nothing_ends_because_the_clock_was_set_nor_when_it_is_set_back(machine: Machine, by_s: float) -> None:
    before = machine.has_all()
    assert len(before) == 8
    machine.set_clock(by_s)
    assert machine.has_all() == before
    machine.core.pass_time(30)
    machine.set_clock(-by_s)
    assert machine.has_all() == before


@pytest.mark.deep
@pytest.mark.parametrize("by_s", [0.0, 8 * DAY_S, -8 * DAY_S])
def test_terms_end_when_their_time_has_passed_whatever_the_clock_says(machine: Machine, by_s: float) -> None:
    machine.set_clock(by_s)
    machine.core.pass_time(61)
    left = machine.has_all()
    assert "brief" not in left
    assert "src/a.py" not in left
    assert "stale" in left
    assert {"usual", "repeat", "forward"} <= set(left)
    machine.core.pass_time(7 * DAY_S + 60)
    machine.set_clock(-by_s)
    assert machine.has_all() == []


def test_a_sleep_of_the_machine_is_no_jump(machine: Machine) -> None:
    machine.core.pass_time(5 * DAY_S)  # both clocks count it
    assert machine.core.now().ahead_s == 0
    assert "brief" not in machine.has_all()


def test_the_time_the_machine_was_off_counts_after_an_hour(machine: Machine) -> None:
    before = machine.has_all()
    machine.reboot(8 * DAY_S)
    assert machine.has_all() == before
    machine.core.pass_time(HOUR_S - 60)
    assert machine.has_all() == before
    new = machine.core.ask("fred", "claim", resource="src/b.py", ttl_s=2 * HOUR_S)
    assert new["status"] == "ok"
    machine.core.pass_time(120)
    assert machine.core.ask("fred", "claims")["claims"][0]["resource"] == "src/b.py"  # what is new lasts its own time
    assert [m["message"]["content"] for m in machine.core.check("claude")] == []


@pytest.mark.parametrize("off_s", [400 * DAY_S, -400 * DAY_S])
def test_a_wrong_clock_at_a_start_that_is_put_right_within_the_hour_ends_nothing(machine: Machine, off_s: float) -> None:
    before = machine.has_all()
    machine.reboot(off_s)
    machine.core.pass_time(HOUR_S - 60)
    machine.set_clock(-off_s)
    machine.core.pass_time(120)
    assert machine.has_all() == before
    machine.core.pass_time(HOUR_S)
    assert "usual" in machine.has_all()


def test_a_start_in_the_same_boot_goes_by_the_time_since_boot(core: Core) -> None:
    at = ClockReading(1e9, 100.0, "this", ahead_s=5.0)
    terms = Terms.begin(at, ClockReading(1e9 + 8 * DAY_S, 160.0, "this"), HOUR_S)
    assert terms.read(1e9 + 8 * DAY_S, 160.0) == (pytest.approx(5.0 + 8 * DAY_S - 60), 0.0)
    assert terms.jumps == [pytest.approx(8 * DAY_S - 60)]


def test_a_clock_that_drifts_or_is_slewed_does_not_jump() -> None:
    terms = Terms.begin(None, ClockReading(1e9, 0.0, "this"), HOUR_S)
    for minute in range(10_000):
        terms.read(1e9 + minute * 60 * 1.0002, minute * 60.0)
    assert (terms.jumps, terms.at.ahead_s) == ([], 0.0)


def test_only_what_people_are_shown_is_told_by_the_wall_clock() -> None:
    """A term that is compared with ``wall_s`` would end by a jump again."""
    read = []
    for path in Path(str(broker.core.__path__[0])).glob("*.py"):
        if path.name in ("state.py", "terms.py", "schedules.py"):  # an appointment is kept by the wall clock
            continue
        for function in (n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.FunctionDef)):
            found = [n for n in ast.walk(function) if isinstance(n, ast.Attribute) and n.attr == "wall_s"]
            read += [f"{path.stem}.{function.name}"] * len(found)
    assert sorted(read) == [
        "drafts.next_row",
        "far_in.note_answer",
        "far_in.take_letter",
        "fast_sends.take_run",
        "groups.create",
        "imports.import_mail",
        "imports.restore",
        "mailboxes.new_mailbox",
        "notices.notify",
        "owner_view.overview",
        "owner_view.traffic",
        "pauses.pause",
        "pauses.pause",
        "permissions.rows",
        "posts.source_of",
    ]


# the real process


@pytest.fixture
def fake_clock(tmp_path: Path) -> Path:
    """A folder for PYTHONPATH: the wall clock is ahead by the seconds in its file ``ahead``."""
    (tmp_path / "sitecustomize.py").write_text(
        "import time, pathlib\n"
        "_real, _file = time.time, pathlib.Path(__file__).with_name('ahead')\n"
        "time.time = lambda: _real() + float(_file.read_text() or 0)\n"
    )
    set_ahead(tmp_path, 0)
    return tmp_path


def set_ahead(folder: Path, seconds: float) -> None:
    (folder / "new").write_text(str(seconds))
    os.replace(folder / "new", folder / "ahead")


def test_a_service_outlives_a_clock_that_is_wrong_for_a_while_and_says_so(
    make_service: Callable[..., Service], fake_clock: Path
) -> None:
    service = make_service(PYTHONPATH=str(fake_clock)).start()
    fred, claude = service.connect("fred"), service.connect("claude")
    fred.send("claude", "kept", ttl_s=600)

    def clock() -> dict[str, Any]:
        told: dict[str, Any] = fred.request("status")["clock"]
        return told

    set_ahead(fake_clock, 8 * DAY_S)
    wait_for("the jump", lambda: clock()["jumps"] == 1)
    assert clock()["ahead_s"] == pytest.approx(8 * DAY_S, abs=5)
    service.kill("broker")
    wait_for("the next broker", lambda: service.pid("broker"))
    assert clock() == {"jumps": 0, "ahead_s": pytest.approx(8 * DAY_S, abs=5), "held_s": 0.0}
    set_ahead(fake_clock, 0)
    wait_for("the jump back", lambda: clock()["jumps"] == 1)
    assert [m.content for m in claude.check()] == ["kept"]
    assert [line["by_s"] < 0 for line in service.log("broker") if line["event"] == "clock_jumped"] == [False, True]


def test_an_appointment_is_kept_when_the_clock_is_set_to_it_and_a_length_of_time_is_not(
    make_service: Callable[..., Service], fake_clock: Path
) -> None:
    service = make_service(PYTHONPATH=str(fake_clock)).start()
    fred = service.connect("fred")
    fred.schedule("fred", "at six", at_s=time.time() + DAY_S)
    fred.schedule("fred", "in a day", in_s=DAY_S)
    set_ahead(fake_clock, DAY_S + 60)
    assert [m.content for m in fred.check(wait=20)] == ["at six"]
    assert [row["content"] for row in fred.schedules()["schedules"]] == ["in a day"]


@pytest.mark.deep
def test_after_a_boot_of_the_machine_nothing_ends_for_an_hour_that_a_setting_shortens(
    make_service: Callable[..., Service], home: Path
) -> None:
    service = make_service(IPC_CLOCK_HOLD="3600").start()
    service.connect("fred").send("claude", "old")
    service.stop()
    with closing(sqlite3.connect(home / "ipc.db")) as db:
        told = ClockReading(**json.loads(db.execute("SELECT value FROM meta WHERE key = 'clock'").fetchone()[0]))
        assert told.wall_s == pytest.approx(time.time(), abs=600)
        other = {**told.to_map(), "boot_id": "another", "wall_s": told.wall_s - 8 * DAY_S}
        db.execute("UPDATE meta SET value = ? WHERE key = 'clock'", (json.dumps(other),))
        db.execute("UPDATE message SET expires_s = expires_s - ?", (8 * DAY_S,))
        db.commit()
    service.start()
    with service.connect("claude") as claude:
        assert claude.request("status")["clock"]["held_s"] == pytest.approx(8 * DAY_S, abs=600)
        assert [m.content for m in claude.check()] == ["old"]
        claude.request("release")
    service.stop()
    service.env["IPC_CLOCK_HOLD"] = "0"
    with closing(sqlite3.connect(home / "ipc.db")) as db:
        db.execute("UPDATE meta SET value = ? WHERE key = 'clock'", (json.dumps(other),))
        db.commit()
    service.start()
    with service.connect("claude") as claude:
        assert claude.check() == []
