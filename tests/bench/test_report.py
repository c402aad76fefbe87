"""Tables, and the JSON they can be drawn from again."""

from bench.report import Results, number, pivot
from bench.run import attempt
from bench.targets import Target, verdict


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
    results.verdicts = [verdict(Target("t", "sends.ours.1x1", low=1, unit="/s"), results)]
    again = Results.from_json(results.to_json())
    assert again.to_json() == results.to_json()
    assert again.markdown() == results.markdown()


def test_an_earlier_run_has_columns_of_its_own_where_there_was_one() -> None:
    results = some_results()
    target = Target("ours", "sends.ours.1x1", low=150, unit="/s")
    results.verdicts = [verdict(target, results)]
    assert "| ours | ≥ 150 /s | 200 | yes |\n" in results.markdown()
    slow = Results()
    slow.add("sends.ours.1x1", "Sends", "ours", "in turn", "/s", 20.0)
    slow.verdicts = [verdict(target, slow, results)]
    assert slow.markdown().splitlines()[2:5] == [
        "| target | wanted | measured | met? | before | since |",
        "|---|---|---|---|---|---|",
        "| ours | ≥ 150 /s | 20.0 | **no** | 200 | **regressed** |",
    ]


def test_numbers_have_about_three_digits() -> None:
    assert [number(x) for x in (0, 0.0123, 0.5, 12.34, 123.4, 1234567)] == ["0.00", "0.012", "0.50", "12.3", "123", "1,234,567"]


def test_a_part_that_fails_keeps_what_it_had_found_and_says_how_it_ended() -> None:
    results = some_results()

    def fail() -> None:
        results.add("late", "Sends", "ours", "late", "/s", 1.0)
        raise TimeoutError("nothing answers")

    assert attempt(results, "scale", fail) is False
    assert results.median("late") == 1.0
    assert "| scale | — (TimeoutError: nothing answers) |" in results.markdown()
