"""Tables, targets and the JSON they can be drawn from again."""

from bench.report import Results, number, pivot
from bench.run import attempt
from bench.targets import Target


def some_results() -> Results:
    results = Results({"CPUs": "2"}, [1.0, 1.5])
    for value in (100.0, 300.0, 200.0):
        results.add("sends.ours.1x1", "Sends", "ours", "in turn", "/s", value)
    for value in (50.0, 100.0, 400.0):
        results.add("sends.theirs.1x1", "Sends", "theirs", "in turn", "/s", value)
    results.skip("sends.absent", "Sends", "absent", "not installed")
    return results


def test_a_cell_has_the_median_and_the_spread_of_its_rounds() -> None:
    assert some_results().rows["sends.ours.1x1"].text() == "200 [100-300]"


def test_what_is_absent_has_a_line_that_says_why() -> None:
    assert "| absent | — (not installed) |" in some_results().markdown()


def test_lines_and_columns_meet_in_the_right_cell() -> None:
    results = some_results()
    results.add("sends.theirs.16x1", "Sends", "theirs", "16 clients", "/s", 7.0)
    lines = pivot(list(results.rows.values())).splitlines()
    assert lines[0] == "| | in turn, /s | 16 clients, /s |"
    assert lines[2] == "| ours | 200 [100-300] |  |"
    assert lines[3] == "| theirs | 100 [50.0-400] | 7.00 |"


def test_results_come_back_from_their_json() -> None:
    results = some_results()
    results.verdicts = [Target("t", "sends.ours.1x1", low=1, unit="/s").verdict(results)]
    again = Results.from_json(results.to_json())
    assert again.to_json() == results.to_json()
    assert again.markdown() == results.markdown()


def test_a_ratio_is_taken_round_by_round() -> None:
    target = Target("ours / theirs", "sends.ours.1x1", ("sends.theirs.1x1",), low=2.0)
    verdict = target.verdict(some_results())
    assert (verdict.measured, verdict.met) == (2.0, True)  # 2, 3 and 0.5; that of the medians would be 2 by chance: 200/100
    shifted = some_results()
    shifted.rows["sends.theirs.1x1"].values = [10.0, 300.0, 500.0]
    assert target.verdict(shifted).measured == 1.0


def test_a_target_may_have_a_sum_below_the_line_and_a_bound_above() -> None:
    results = some_results()
    verdict = Target("sum", "sends.ours.1x1", ("sends.theirs.1x1", "sends.theirs.1x1"), high=0.9).verdict(results)
    assert (verdict.measured, verdict.met, verdict.wanted) == (1.0, False, "≤ 0.90 x")


def test_a_target_whose_rival_is_absent_is_neither_met_nor_missed() -> None:
    verdict = Target("absent", "sends.ours.1x1", ("sends.absent",), low=1).verdict(some_results())
    assert (verdict.measured, verdict.met) == (None, None)


def test_numbers_have_about_three_digits() -> None:
    assert [number(x) for x in (0, 0.0123, 0.5, 12.34, 123.4, 1234567)] == ["0.00", "0.012", "0.50", "12.3", "123", "1,234,567"]


def test_a_part_that_fails_keeps_what_it_had_found_and_says_how_it_ended() -> None:
    results = some_results()

    def fail() -> None:
        results.add("late", "Sends", "ours", "late", "/s", 1.0)
        raise TimeoutError("nothing answers")

    attempt(results, "scale", fail)
    assert results.median("late") == 1.0
    assert "| scale | — (TimeoutError: nothing answers) |" in results.markdown()
