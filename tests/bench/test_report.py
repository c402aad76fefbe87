"""Tables, and the JSON they can be drawn from again."""

from bench.__main__ import merged
from bench.report import FAILED, Results, Verdict, number, pivot
from bench.run import attempt
from bench.targets import Target, judge, verdict


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


def a_run(stream: float, rival: float, push_us: float) -> Results:
    results = Results({"measured": "one day"}, [1.0, 1.2])
    results.add("sends.stream.1x256", "Sends", "ours", "", "/s", stream)
    results.add("sends.nats-always.1x256", "Sends", "theirs", "", "/s", rival)
    results.add("books.ipc", "Books", "ours", "", "", 0.0)
    results.add("push.p50", "Push", "ours", "", "µs", push_us)
    results.verdicts = judge(results, complete=True)
    return results


def test_parts_that_are_measured_again_take_the_places_of_all_that_they_had_found() -> None:
    whole = a_run(50_000.0, 1_000.0, 300.0)
    whole.add("sends.old-way.1x256", "Sends", "a way that is no more", "", "/s", 7.0)
    whole.add("books.scale", "Books", "scale", "", "", 0.0)
    whole.skip("failed.sends", FAILED, "sends", "TimeoutError")
    again = Results({"measured": "another day"}, [1.1, 1.9])
    again.add("sends.nats-always.1x256", "Sends", "theirs", "", "/s", 2_000.0)
    again.add("sends.stream.1x256", "Sends", "ours", "", "/s", 40_000.0)
    again.add("books.ipc", "Books", "ours", "", "", 0.0)
    found = merged(whole, again, ("sends",))
    kept = ["sends.stream.1x256", "sends.nats-always.1x256", "books.ipc", "push.p50", "books.scale"]
    assert list(found.rows) == kept
    assert found.machine == {"measured": "one day", "measured again: sends": "measured another day; control 1.10 to 1.90"}
    assert whole.median("sends.stream.1x256") == 50_000.0


def test_a_merged_run_judges_what_changed_anew_and_leaves_the_other_verdicts() -> None:
    whole = a_run(50_000.0, 1_000.0, 300.0)
    push = next(v for v in whole.verdicts if v.what == "durable push to a waiting receiver, p50")
    whole.verdicts[whole.verdicts.index(push)] = Verdict(push.what, push.wanted, push.measured, push.met, before=444.0)
    again = a_run(30_000.0, 2_000.0, 300.0)
    del again.rows["push.p50"]
    found = {v.what: v for v in merged(whole, again, ("sends",)).verdicts}
    always = found["one client, 256 in flight / NATS JetStream, sync_interval always"]
    assert (always.measured, always.met, always.before, always.since) == (15.0, False, 50.0, "regressed")
    assert found[push.what].before == 444.0
