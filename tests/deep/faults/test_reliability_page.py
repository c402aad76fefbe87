"""The page says what the runs said."""

import shutil
from pathlib import Path

from tests.deep.faults import report

PAGE = report.RESULTS.with_name("reliability.md")


def test_the_page_is_filled_from_the_results(tmp_path: Path) -> None:
    copy = tmp_path / "page.md"
    shutil.copy(PAGE, copy)
    report.fill(copy)
    assert copy.read_text() == PAGE.read_text(), "run: python -m tests.deep.faults --report docs/reliability.md"
    assert "### Killed under load" in copy.read_text()


def test_a_run_keeps_its_result_beside_the_others(tmp_path: Path) -> None:
    file = tmp_path / "r.json"
    report.keep(file, "a", {"n": 1})
    report.keep(file, "b", {"n": 2})
    report.keep(file, "a", {"n": 3})
    assert '"n": 3' in file.read_text()
    assert '"n": 2' in file.read_text()
    assert '"n": 1' not in file.read_text()
