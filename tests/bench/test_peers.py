"""Beside systems that do the same job: our own driver runs every row, one that lies is caught, one that is absent is named."""

import json
import subprocess
import sys
import tomllib
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bench.peers import __main__ as peers
from bench.peers import page, torture
from bench.peers.driver import Driver
from bench.peers.installation import Installed
from bench.peers.place import Place
from bench.peers.torture import Fate
from bench.report import Results
from tests.bench import liars

ROOT = Path(__file__).resolve().parents[2]
DRIVERS = sorted((ROOT / "bench" / "peers" / "drivers").glob("[a-z]*.py"))
OURS = next(path for path in DRIVERS if path.stem == "ipc")
MOST_LINES = 100


def fate_of(driver: type[Driver], scenario: Any, *arguments: Any) -> Fate:
    bin_of_this = Path(sys.executable).parent
    with Place(Installed(driver, bin_of_this, driver.title)) as place:
        fate: Fate = scenario(place, *arguments)
    assert not place.home.exists()
    assert place.pids() == []
    return fate


# systems that lie


@pytest.mark.parametrize(
    ("driver", "stored", "lost", "doubled", "refused"),
    [
        (liars.Honest, 4, 0, 0, 0),
        (liars.Drops, 4, 1, 0, 0),
        (liars.Doubles, 4, 0, 1, 0),
        (liars.Refuses, 3, 0, 0, 1),
    ],
    ids=lambda value: value.title if isinstance(value, type) else "",
)
def test_what_a_system_loses_doubles_and_refuses_is_counted(
    driver: type[Driver], stored: int, lost: int, doubled: int, refused: int
) -> None:
    fate = fate_of(driver, torture.not_born, 4)
    assert (len(fate.stored), fate.lost, fate.doubled, len(fate.refused)) == (stored, lost, doubled, refused)


def test_a_refusal_keeps_its_words() -> None:
    assert fate_of(liars.Refuses, torture.not_born, 4).refused == ["no room for newcomer"]


def test_a_repeated_send_that_is_stored_each_time_is_doubled() -> None:
    assert fate_of(liars.Honest, torture.repeated, 2).doubled == 4


def test_mail_that_goes_with_its_reader_is_lost() -> None:
    assert fate_of(liars.Forgets, torture.reader_killed, 3).lost == 3


def test_a_process_that_a_system_leaves_behind_is_ended_with_its_place() -> None:
    def leave_one(place: Place) -> Fate:
        fate = Fate()
        fate.send(place, "ann", "bob")
        assert len(place.kept()) == 1
        return fate

    assert fate_of(liars.Lingers, leave_one).refused == []


# absences


def run_peers(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bench", "peers", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=170, check=False)


def test_a_system_that_is_not_installed_has_a_line_that_says_so() -> None:
    driver = peers.driver_of(Path(__file__).with_name("absent_driver.py"))
    results = Results()
    assert peers.installed(results, [driver], Path("unused"), here=True) == []
    assert "| not-there | — (not installed here" in results.markdown()


def test_what_a_system_does_not_have_is_said_and_no_failure() -> None:
    results = Results()
    system = Installed(liars.Honest, Path(sys.executable).parent, "honest")
    for scenario in torture.scenarios(2, 1):
        if "stopped" in scenario[0]:
            peers.each(results, f"Torture: {scenario[0]}", [system], partial(torture.measure, scenario=scenario))
    assert results.markdown().count("| honest | — (does not have it: no command waits for mail) |") == 2


def test_unknown_parts_and_systems_are_refused_with_the_known_ones() -> None:
    for arguments, known in ((("tortrue",), "known: first, ways"), (("--systems", "pigeons"), "known: ipc, agent_lease")):
        done = run_peers(*arguments)
        assert done.returncode == 2
        assert known in done.stderr


# the page


def test_the_page_shows_the_last_run() -> None:
    results = Results.from_json((page.RESULTS / "peers.json").read_text(encoding="utf-8"))
    assert page.glance(results) in page.PAGE.read_text(encoding="utf-8"), "python -m bench peers --out bench/results writes it"


def test_a_fault_is_told_in_a_word() -> None:
    results = Results()
    for driver in (liars.Honest, liars.Drops, liars.Refuses):
        system = Installed(driver, Path(sys.executable).parent, driver.title)
        for scenario in torture.scenarios(4, 4):
            if "born" in scenario[0] or "stopped, then killed" in scenario[0]:
                peers.each(results, f"Torture: {scenario[0]}", [system], partial(torture.measure, scenario=scenario))
    lines = page.glance(results).splitlines()
    assert "| receiver not born yet | all there | 1 lost | refused in words |" in lines
    assert "| receiver stopped, then killed | — | — | — |" in lines


# drivers


@pytest.mark.parametrize("path", DRIVERS, ids=lambda path: path.stem)
def test_a_driver_is_one_file_of_at_most_100_lines(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MOST_LINES
    driver = peers.driver_of(path)
    assert driver.title and driver.install and driver.program and driver.note


def test_the_example_of_the_page_is_a_driver(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "peers.md").read_text(encoding="utf-8")
    example = tmp_path / "pigeon.py"
    example.write_text(page.partition("```python\n")[2].partition("```")[0])
    assert peers.driver_of(example).title == "pigeon-mail"


def test_the_extra_installs_the_drivers_that_can_live_beside_us() -> None:
    extra = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["peers"]
    wanted = {peers.driver_of(path).install for path in DRIVERS if path.stem not in ("ipc", "agent_lease")}
    assert set(extra) == wanted


# our own


def test_our_own_driver_loses_and_doubles_nothing_that_is_repeated() -> None:
    fate = fate_of(peers.driver_of(OURS), torture.repeated, 2)
    assert (len(fate.stored), fate.lost, fate.doubled, fate.refused) == (6, 0, 0, [])


@pytest.mark.deep
def test_our_own_driver_has_a_value_in_every_row_and_loses_only_what_a_shell_has_printed(tmp_path: Path) -> None:
    done = run_peers("--installed", "--systems", "ipc", "--quick", "--rounds", "1", "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert done.stdout == (tmp_path / "peers.md").read_text(encoding="utf-8")
    rows = json.loads((tmp_path / "peers.json").read_text(encoding="utf-8"))["rows"]
    without = {row["key"]: row["skipped"] for row in rows if not row["values"]}
    assert all("disk full" in key for key in without), without  # where no file system can be mounted
    assert {row["key"].split(".")[1] for row in rows} == {"system", "first", "way", "memory", "tokens", "torture"}
    bad = {(row["table"], row["column"]) for row in rows if row["column"] in ("lost", "doubled") and row["median"]}
    printed = {("Torture: reader gone after it has printed", "lost"), ("Torture: forged sender, a name of a shell", "lost")}
    assert bad <= printed
