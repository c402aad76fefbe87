"""The judge of several sites sees what it must see, and the plan of their faults is the seed's."""

from collections import Counter
from typing import Any

from tests.deep.faults.sites_judge import SitesHistory
from tests.deep.faults.sites_plan import BACKUP, RESTORE, WEIGHTS, WIPE, drawn

ANN, BEN = "ann@paris", "ben@rome"


def test_a_seed_draws_the_same_faults_and_each_kind_of_them() -> None:
    faults = drawn("a", 105, 1.5)
    assert faults == drawn("a", 105, 1.5) != drawn("b", 105, 1.5)
    kinds = [fault.kind for fault in faults]
    assert set(kinds) == {*WEIGHTS, WIPE, BACKUP, RESTORE}
    assert Counter(kinds)[WIPE] == Counter(kinds)[RESTORE] == 1
    assert kinds.index(WIPE) < kinds.index(BACKUP) < kinds.index(RESTORE)
    assert faults[kinds.index(BACKUP)].victim == faults[kinds.index(RESTORE)].victim


class Wire:
    """Mail from ann to ben, as a broker would hand it out."""

    def __init__(self) -> None:
        self.history = SitesHistory([ANN, BEN])
        self.texts: dict[int, str] = {}
        self.keys: dict[int, str] = {}

    def sent(self, *numbers: int) -> None:
        for number in numbers:
            self.keys[number], self.texts[number] = self.history.begin(ANN, BEN)
            self.history.end(self.keys[number], "ok")

    def got(self, *numbers: int, life: int = 1, acked: bool = True) -> None:
        messages: list[dict[str, Any]] = [
            {"id": f"{life}-{n}", "from": ANN, "message": {"content": self.texts[n]}} for n in numbers
        ]
        self.history.delivered(BEN, 10**18, messages)
        if acked:
            self.history.acked(BEN, [m["id"] for m in messages])

    def rules(self) -> list[str]:
        self.history.finish()
        return [problem.rule for problem in self.history.problems]


def test_what_came_to_a_site_after_its_backup_must_come_again() -> None:
    wire = Wire()
    wire.sent(1, 2, 3)
    wire.got(1)
    saved = wire.history.saved([BEN])
    wire.got(2, 3)
    wire.history.set_back(saved, [])
    assert wire.history.missing() == 2
    wire.got(2, life=2)
    assert wire.rules() == ["lost"]
    wire.history.problems.clear()
    wire.got(3, life=2)
    assert wire.rules() == []


def test_what_was_acknowledged_before_the_backup_must_not_come_again() -> None:
    wire = Wire()
    wire.sent(1, 2)
    wire.got(1)
    wire.history.set_back(wire.history.saved([BEN]), [])
    wire.got(1, life=2)
    wire.got(2, life=2)
    assert "duplicate" in wire.rules()


def test_order_and_doubles_are_judged_in_the_life_after_a_restore_too() -> None:
    wire = Wire()
    wire.sent(1, 2, 3)
    saved = wire.history.saved([BEN])
    wire.got(1, 2, 3)
    wire.history.set_back(saved, [])
    wire.got(2, 1, 3, life=2)
    wire.got(3, life=3)
    assert wire.rules() == ["order", "duplicate"]


def test_only_what_nobody_has_any_more_may_be_missing() -> None:
    wire = Wire()
    wire.sent(1, 2, 3)
    wire.got(1)
    wire.history.set_back({}, [wire.keys[2]])
    assert wire.rules() == ["lost"]
    wire.history.problems.clear()
    wire.got(3)
    assert wire.rules() == []
    assert wire.history.counts["gone with the restored database"] == 1
