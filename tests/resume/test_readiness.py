"""Which closed session may be started again, in which mode and by which words; and the reasons why not."""

import json
import os
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from bridges import host_sessions, waking
from bridges.known_hosts import catalogue
from bridges.resume import starts
from bridges.resume.readiness import NotReadyError, check_hours, closed_session
from bridges.resume.resume_settings import ResumeSettings, read_resume
from bridges.resume.starts import Start
from broker.home.process_table import process_started
from broker.protocol.errors import SettingsError

WANTED = ResumeSettings(("web",), ("person",), 2, "22:00-07:00", 10, 20, 0.0)
NOON = datetime(2026, 11, 28, 12, 0)


@pytest.fixture
def program(home: Path) -> str:
    """A PATH with every host's program."""
    (home / "bin").mkdir()
    for name in catalogue.names():
        path = home / "bin" / catalogue.about(name).program
        path.write_text("")
        path.chmod(0o755)
    return str(home / "bin")


def bind(home: Path, path: str, session: str = "s1", host: str = "claude", **fields: Any) -> host_sessions.Binding:
    (home / "sessions").mkdir(exist_ok=True)
    known = {"mode": "default", "modes": ["default"], "ended": True, "project": str(home), "token": "t", **fields}
    binding = host_sessions.Binding(host=host, session=session, name="web", path=path, **known)
    host_sessions.save(str(home), binding)
    return binding


@pytest.mark.parametrize(
    ("fields", "mode"),
    [
        ({}, "default"),
        ({"mode": "plan", "modes": ["plan", "acceptEdits"]}, "plan"),
        ({"mode": "acceptEdits", "modes": ["acceptEdits", "plan"]}, "plan"),
        ({"mode": "", "modes": ["acceptEdits"]}, "acceptEdits"),
    ],
)
def test_the_mode_is_that_of_the_start_or_the_last_one_where_that_allows_less(
    home: Path, program: str, fields: dict[str, Any], mode: str
) -> None:
    bind(home, program, **fields)
    assert closed_session(str(home), "web").mode == mode


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"modes": ["default", "bypassPermissions", "default"]}, "bypassPermissions, and such a one is never started again"),
        ({"mode": "yolo"}, "permission mode yolo"),
        ({"mode": "", "modes": []}, "its permission mode is not known"),
        ({"project": "/nowhere/at/all"}, "its folder is gone"),
        ({"host": "gemini"}, "Gemini CLI can't go on with a session without a terminal"),
        ({"host": "another"}, "another can't go on"),
        ({"ended": False, "pid": os.getpid(), "started": process_started(os.getpid())}, "it runs"),
    ],
)
def test_what_is_not_to_be_started_has_a_reason(home: Path, program: str, fields: dict[str, Any], why: str) -> None:
    bind(home, program, **fields)
    with pytest.raises(NotReadyError, match=why):
        closed_session(str(home), "web")


def test_a_program_that_is_gone_and_a_name_without_a_session_are_reasons_too(home: Path, program: str) -> None:
    with pytest.raises(NotReadyError, match="no session of a host is known under this name"):
        closed_session(str(home), "web")
    bind(home, str(home))
    with pytest.raises(NotReadyError, match="claude is not on the PATH"):
        closed_session(str(home), "web")


def test_of_several_sessions_it_is_the_one_that_was_there_last(home: Path, program: str) -> None:
    for number, session in enumerate(("s2", "s1", "s3")):
        bind(home, program, session)
        os.utime(host_sessions.path_of(str(home), session), (1000, 1000 + (number if session != "s1" else 9)))
    assert closed_session(str(home), "web").binding.session == "s1"


def test_each_host_that_can_says_how_and_leaves_limits_out_that_nobody_set(home: Path, program: str) -> None:
    able = [name for name in catalogue.names() if catalogue.about(name).resume]
    assert {"claude", "qwen"} <= set(able)
    for number, name in enumerate(able):
        about = catalogue.about(name)
        for mode in about.resume["modes"]:
            bind(home, program, f"s{number}", host=name, mode=mode, modes=[mode])
            command = closed_session(str(home), "web").command("7", WANTED._replace(turns=0))
            assert (
                command[0] == about.program
                and f"s{number}" in command
                and about.resume.get("words", {}).get(mode, mode) in command
            )
            assert any("mail #7 came" in word for word in command) and not any("{" in word for word in command), command
            os.unlink(host_sessions.path_of(str(home), f"s{number}"))


@pytest.mark.parametrize("session", ["--dangerously-skip-permissions", "-p", "_x", "a b", "a\x00b", "a/b", "x" * 129])
def test_a_session_id_that_is_no_plain_word_never_comes_to_a_command_line(home: Path, program: str, session: str) -> None:
    bind(home, program, session)
    with pytest.raises(NotReadyError, match="the id of its session is none that a host gives"):
        closed_session(str(home), "web")
    queue = bind(home, program, session, host="codex", ended=False, pid=os.getpid(), started=process_started(os.getpid()))
    assert waking.QueueWay(queue).give("mail", {}) == waking.REFUSED


def test_a_mode_that_is_not_known_to_be_safe_outlives_the_file_of_its_session(home: Path) -> None:
    bind(home, "", "wild", modes=["default", "bypassPermissions"])
    bind(home, "", "tame", modes=["default", "plan"])
    for session in ("wild", "tame"):
        os.utime(host_sessions.path_of(str(home), session), (1000, 1000))
    host_sessions.sweep(str(home), time.time())
    assert not any(os.path.exists(host_sessions.path_of(str(home), session)) for session in ("wild", "tame"))
    told = [host_sessions.told_modes(str(home), session, (1, "x")) for session in ("wild", "tame")]
    assert told == [("", ["bypassPermissions"]), ("", [])]


@pytest.mark.parametrize(
    ("hour", "quiet", "until"),
    [
        (23, "22:00-07:00", "07:00"),
        (3, "22:00-07:00", "07:00"),
        (7, "22:00-07:00", ""),
        (13, "12:30-14:00", "14:00"),
        (12, "12:30-14:00", ""),
        (12, "", ""),
    ],
)
def test_quiet_hours_may_go_over_midnight(hour: int, quiet: str, until: str) -> None:
    assert WANTED._replace(quiet=quiet).quiet_until(NOON.replace(hour=hour)) == until


def test_an_agent_is_started_at_most_so_often_in_a_day(home: Path) -> None:
    at_s = NOON.timestamp()
    found = [Start("web", at_s - 86_500, 1), Start("web", at_s - 3600, 2), Start("other", at_s - 60, 3)]
    check_hours(WANTED, "web", found, NOON)
    with pytest.raises(NotReadyError, match="started 2 times in 24 hours, as often as it may; again at 2026-11-29 11:00"):
        check_hours(WANTED, "web", [*found, Start("web", at_s - 60, 4)], NOON)
    with pytest.raises(NotReadyError, match="quiet hours until 07:00"):
        check_hours(WANTED, "web", [], NOON.replace(hour=22))


def test_the_reason_names_the_date_where_it_is_another(home: Path) -> None:
    found = [Start("web", NOON.timestamp() + 80_000, 1)] * 2
    with pytest.raises(NotReadyError, match="again at 2026-11-30 10:13"):
        check_hours(WANTED, "web", found, NOON)


def test_starts_of_a_clock_far_ahead_do_not_count_and_a_damaged_file_is_refused(home: Path) -> None:
    (home / "resume").mkdir()
    kept, now_s = home / "resume" / "starts.json", time.time()
    kept.touch(0o600)
    kept.write_text(json.dumps([["web", now_s + 9 * starts.DAY_S, 1], ["web", now_s - 9, 2], ["web", now_s - 90_000, 3]]))
    assert [start.newest for start in starts.read(str(home))] == [2]
    assert [start.newest for start in starts.read_all(str(home)) if starts.is_ahead(start, now_s)] == [1]
    for damaged in ('[["p", 1.0, 1e400]]', "{", "[1]", "null"):
        kept.write_text(damaged)
        with pytest.raises(ValueError, match="is damaged: remove it, and starts are counted anew"):
            starts.add(str(home), Start("web", now_s, 4))
        assert kept.read_text() == damaged


def test_the_table_is_read_with_its_usual_values(home: Path) -> None:
    assert read_resume(str(home)).names == ()
    (home / "config.toml").write_text('[hosts.resume]\nnames = ["web"]\n')
    assert read_resume(str(home)) == ResumeSettings(("web",), ("person",), 5, "", 10, 20, 0.0)
    (home / "config.toml").write_text(
        '[hosts.resume]\nnames = ["web"]\nfrom = ["person", "webhook-ci", "ada@rome"]\nquiet = "22:00-07:00"\ndollars = 0.5\n'
    )
    found = read_resume(str(home))
    assert (found.senders, found.dollars) == (("person", "webhook-ci", "ada@rome"), 0.5)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('names = ["two words"]', "hosts.resume.names holds names of agents, and 'two words' is none"),
        ('names = ["web"]\nfrom = ["*@rome"]', "not '\\*@rome'"),
        ('names = ["web"]\nfrom = []', "at least one"),
        ('names = ["web"]\nfrom = ["system"]', "not 'system'"),
        ('names = ["web"]\nfrom = ["Person"]', "line 3: .*'Person' would be an agent of that name: write \"person\""),
        ('names = ["web"]\nfrom = ["all"]', "not 'all'"),
        ('names = ["web"]\nfrom = ["System@rome"]', "not 'System@rome'"),
        ('names = ["web"]\nfrom = ["webhook-"]', "not 'webhook-'"),
        ('names = ["Everyone"]', "'Everyone' is none"),
        ('names = ["webhook-ci"]', "'webhook-ci' is none"),
        ('names = ["web"]\nturns = 0.5', "line 3: hosts.resume.turns must be a whole number, not 0.5"),
        ('names = ["web"]\nper_day = 1.9', "per_day must be a whole number, not 1.9"),
        ('names = ["web"]\nminutes = 1.5', "minutes must be a whole number, not 1.5"),
        ('names = ["web"]\nquiet = "22:00-22:00"', "quiet begins and ends at the same time"),
        ('names = ["web"]\nquiet = "10pm"', "must be two times of the day"),
        ('names = ["web"]\nper_day = 0', "must be a number from 1 to 1000, not 0"),
        ('names = ["web"]\nminutes = "ten"', "must be a number"),
        ('names = ["web"]\nname = "x"', "line 3: hosts.resume.name is unknown"),
    ],
)
def test_a_fault_in_the_table_names_its_line_and_what_would_do(home: Path, line: str, said: str) -> None:
    (home / "config.toml").write_text(f"[hosts.resume]\n{line}\n")
    with pytest.raises(SettingsError, match=said):
        read_resume(str(home))


def test_hooks_keep_each_mode_that_they_are_told(home: Path) -> None:
    binding = bind(home, "", mode="", modes=[])
    assert [binding.tell_mode(mode) for mode in ("plan", "plan", "", "default", "plan")] == [True, False, False, True, True]
    assert (binding.mode, binding.modes) == ("plan", ["default", "plan"])
    assert json.loads(Path(host_sessions.path_of(str(home), "s1")).read_text())["modes"] == []
