"""Targets held against a run, and beside an earlier one."""

import pytest

from bench.earlier import BETTER, REGRESSED, WORSE, bounds, change
from bench.report import Results, Verdict
from bench.targets import TARGETS, Either, Target, compared_with, judge, verdict

OURS, THEIRS, YARDSTICK = (200.0, 200.0, 200.0), (100.0, 50.0, 400.0), (220.0, 220.0, 220.0)


def run_of(**rows: tuple[float, ...]) -> Results:
    results = Results()
    for key, values in rows.items():
        for value in values:
            results.add(key, "Sends", key, "in turn", "/s", value)
    return results


def test_a_ratio_is_taken_round_by_round() -> None:
    found = verdict(Target("ours / theirs", "ours", ("theirs",), low=2.0), run_of(ours=OURS, theirs=THEIRS))
    assert (found.measured, found.met) == (2.0, True)  # of 2, 4 and 0.5
    found = verdict(Target("ours / theirs", "ours", ("theirs",), low=2.0), run_of(ours=(100, 300, 200), theirs=(10, 300, 500)))
    assert (found.measured, found.met) == (1.0, False)  # that of the medians would be 0.67


def test_a_target_may_have_a_sum_below_the_line_a_difference_and_a_bound_above() -> None:
    results = run_of(ours=OURS, theirs=(100.0, 100.0, 100.0))
    found = verdict(Target("sum", "ours", ("theirs", "theirs"), high=0.9), results)
    assert (found.measured, found.met, found.wanted) == (1.0, False, "≤ 0.90 x")
    found = verdict(Target("more", "ours", less="theirs", high=0.1, unit="ms", scale=1e-3), results)
    assert (found.measured, found.met) == (0.1, True)


@pytest.mark.parametrize("left, right", [("ours", "absent"), ("absent", "ours"), ("absent", "absent")])
def test_a_target_with_an_absent_side_is_neither_met_nor_missed(left: str, right: str) -> None:
    found = verdict(Target("absent", left, (right,), low=1), run_of(ours=OURS))
    assert (found.measured, found.met) == (None, None)


def test_a_line_without_a_bound_is_neither_met_nor_missed() -> None:
    found = verdict(Target("beside", "ours", ("theirs",)), run_of(ours=OURS, theirs=OURS), run_of(ours=OURS, theirs=THEIRS))
    assert (found.measured, found.met, found.wanted, found.before, found.since) == (1.0, None, "(x)", 2.0, "")


EITHER = Either(
    Target("ours / rival", "ours", ("rival",), low=1.0),
    Target("of the prototype", "ours", ("prototype",), low=0.9),
    Target("that is below the rival", "prototype", ("rival",)),
    "the rival",
)


@pytest.mark.parametrize(
    "ours, prototype, rival, met, says",
    [
        (110, 120, 100, True, "the first holds"),
        (110, 90, 100, True, "the first holds"),
        (85, 90, 100, True, "the second holds: 0.94 of the prototype, which is 0.90 of the rival"),
        (70, 90, 100, False, "neither holds"),
        (95, 100, 100, False, "the second does not count"),
        (95, 120, 100, False, "the second does not count"),
        (85, None, 100, False, "the second was not measured"),
        (85, 90, None, None, ""),
    ],
)
def test_an_alternative_counts_only_with_its_excuse_and_the_verdict_says_which_held(
    ours: float, prototype: float | None, rival: float | None, met: bool | None, says: str
) -> None:
    rows = {"ours": ours, "prototype": prototype, "rival": rival}
    found = verdict(EITHER, run_of(**{key: (value,) for key, value in rows.items() if value is not None}))
    assert found.met is met
    assert found.note.startswith(says)
    assert found.wanted == "≥ 1.00 x; or ≥ 0.90 x of the prototype where that is below the rival"


@pytest.mark.parametrize(
    "wanted, found",
    [
        ("≥ 1.30 x", (1.3, None)),
        ("≤ 1,000 ms", (None, 1000.0)),
        ("≤ 0.050 % of one CPU", (None, 0.05)),
        ("≥ 1.00 x; or ≥ 0.90 x of the prototype where that is below Redis", (1.0, None)),
        ("(MB)", (None, None)),
        ("", (None, None)),
    ],
)
def test_bounds_are_read_from_a_report(wanted: str, found: tuple[float | None, float | None]) -> None:
    assert bounds(wanted) == found


@pytest.mark.parametrize(
    "now, before, more, less",
    [
        ((10, 11, 12), (20, 21, 22), WORSE, BETTER),
        ((20, 21, 22), (10, 11, 12), BETTER, WORSE),
        ((10, 11, 30), (20, 21, 22), "", ""),  # a round as good as before: the spread
        ((10, 11, 12), (9, 21, 22), "", ""),
        ((99, 99, 99), (100, 100, 100), "", ""),  # apart, but by 1 % alone
        ((10,), (20,), WORSE, BETTER),
        ((20,), (20,), "", ""),
        ((0,), (0,), "", ""),
    ],
)
def test_a_value_is_worse_where_it_is_so_by_more_than_the_spread(
    now: tuple[float, ...], before: tuple[float, ...], more: str, less: str
) -> None:
    assert change(now, before, more_is_better=True) == more
    assert change(now, before, more_is_better=False) == less


@pytest.mark.parametrize(
    "now, before, low, said, since",
    [
        (90, 110, 100, None, REGRESSED),
        (90, 80, 100, None, BETTER),
        (80, 90, 100, None, WORSE),
        (110, 90, 100, None, BETTER),
        (110, 200, 100, None, WORSE),
        (99, 98, 100, None, ""),
        (90, 95, 100, ("≥ 92.0 /s", True), REGRESSED),  # met what was wanted then, which was less
        (93, 95, 100, ("≥ 92.0 /s", True), ""),
        (90, 91, 100, ("≥ 92.0 /s", False), ""),
        (90, None, 100, ("≥ 92.0 /s", True), REGRESSED),  # its row had another key then
        (90, None, 100, None, ""),
        (None, 110, 100, None, ""),
    ],
)
def test_what_was_met_and_is_not_any_more_has_regressed(
    now: float | None, before: float | None, low: float, said: tuple[str, bool] | None, since: str
) -> None:
    ours, theirs = (run_of(**({} if value is None else {"ours": (value,)})) for value in (now, before))
    theirs.verdicts = [] if said is None else [Verdict("ours", said[0], 95, said[1])]
    found = verdict(Target("ours", "ours", low=low, unit="/s"), ours, theirs)
    assert (found.since, found.before) == (since, before)


def test_rows_that_only_one_run_knows_are_no_error() -> None:
    old = run_of(ours=OURS, forgotten=OURS)
    old.verdicts = [Verdict("a target of old", "≥ 1.00 x", 2.0, True)]
    new = run_of(ours=OURS, unheard=OURS)
    assert judge(new, Results.from_json(old.to_json()), complete=False) == []
    assert "Not asked any more: a target of old." in compared_with(old)


def test_a_complete_run_has_a_line_for_what_it_could_not_measure() -> None:
    found = judge(Results(), complete=True)
    assert {v.what for v in found} >= {"`ipc send`, whole process"}
    assert {v.measured for v in found} == {None}


def test_each_target_is_named_once() -> None:
    names = [target.what for target in TARGETS]
    assert sorted(set(names)) == sorted(names)
