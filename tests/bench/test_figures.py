"""The figures of the pages are those of the run in bench/results."""

from pathlib import Path

import pytest

from bench.figures import BLOCKS, PAGES, RESULTS, SPEED, fill, outlived, renew, unexplained
from bench.plots import by_page
from bench.report import Results, Verdict
from bench.targets import TARGETS

ROOT = Path(__file__).resolve().parents[2]


def a_run() -> Results:
    results = Results({"CPUs": "8, 4 of them for this run"})
    for key, value in (("push.p50", 350.0), ("latency.50%.here.p99", 3456.0), ("program.hook", 28.6)):
        results.add(key, "t", key, "", "", value)
    return results


@pytest.mark.parametrize("name", PAGES)
def test_a_page_has_the_figures_of_the_run_in_the_tree(name: str) -> None:
    page = (ROOT / name).read_text(encoding="utf-8")
    assert "<!-- figures: " in page
    renewed = renew(page, Results.from_json((ROOT / RESULTS).read_text(encoding="utf-8")))
    assert page == renewed, "python -m bench.figures"


def test_a_sentence_has_the_medians_of_its_rows_and_is_left_out_without_one() -> None:
    template = "received after [push.p50|ms], 99 % within [latency.50%.here.p99|short ms]"
    assert fill(template, a_run()) == "received after 0.35 ms, 99 % within 3.5 ms"
    assert fill(template + " [sends.absent|/s]", a_run()) == ""


def test_a_block_is_written_anew_and_the_rest_of_the_page_stays() -> None:
    page = "before\n<!-- figures: speed -->\n- of old\n<!-- end of figures -->\nafter 1.00 ms\n"
    lines = renew(page, a_run()).splitlines()
    assert lines[:2] == ["before", "<!-- figures: speed -->"]
    assert lines[2] == "- A receiver that waits has a message after 0.35 ms; at half of the top rate 99 % arrive within 3.5 ms."
    assert "on 8 cores" in lines[3]
    assert lines[4:] == ["<!-- end of figures -->", "after 1.00 ms"]


def test_a_table_of_targets_keeps_what_was_written_by_hand() -> None:
    target = "durable push to a waiting receiver, p50"
    table = f"| target | wanted | measured | why |\n|---|---|---|---|\n| {target} | | 9.99 | two wake-ups |"
    found = BLOCKS["targets"](a_run(), table)
    assert found.splitlines()[2] == f"| {target} | ≤ 0.35 ms | 0.35 | two wake-ups |"
    assert BLOCKS["targets"](a_run(), found) == found


def test_a_table_may_name_only_what_is_a_target() -> None:
    with pytest.raises(LookupError, match="'of old'"):
        BLOCKS["targets"](a_run(), "| target | measured |\n|---|---|\n| of old | 1 |")


def test_a_missed_target_that_no_table_speaks_of_is_named_and_a_met_one_that_it_speaks_of() -> None:
    verdicts = [Verdict("a", "", 1, False), Verdict("b", "", 1, False), Verdict("c", "", 1, True), Verdict("d", "", 1, None)]
    assert unexplained("| a | why |\n", verdicts) == ["b"]
    assert outlived("| a | why |\n| c | why |\n", verdicts) == ["c"]


def test_every_row_that_a_sentence_needs_is_one_that_a_run_has() -> None:
    known = {row.key for row in Results.from_json((ROOT / RESULTS).read_text(encoding="utf-8")).rows.values()}
    known |= {target.left for target in TARGETS}
    results = Results()
    for key in known:
        results.add(key, "t", key, "", "", 1.0)
    assert [template for templates in SPEED for template in templates if not fill(template, results)] == []


def test_a_picture_takes_the_colours_of_its_page() -> None:
    svg = (
        '<svg>\n <defs/>\n <path style="fill: #ffffff"/><text style="fill: #1f2328">x</text><path style="fill: #ffffff"/></svg>'
    )
    found = by_page(svg.replace("<defs/>", "<defs></defs>"))
    assert "prefers-color-scheme: dark" in found
    assert '<path class="ground"/><text style="fill: currentColor">x</text><path style="fill: #ffffff"/>' in found
