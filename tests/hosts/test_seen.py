"""What was seen of hosts: who writes it, what is claimed, and the table in docs/hosts.md."""

import json
import os
import subprocess
import sys
from pathlib import Path

from bench.hosts.seen import FEATURES, PAGE, ROOT, Sight, load, merged, with_table, write
from bridges.known_hosts.catalogue import about, names
from tests.hosts.showing import VARIABLE

MONDAY, TUESDAY = "2026-11-23", "2026-11-24"
RUN = """\
import pytest
from tests.hosts.real import shows

@shows("claude", "start", "prompt")
def test_one(): pass

@shows("claude", "prompt")
def test_two(): raise ValueError("not seen")

@shows("claude", "tool")
@pytest.mark.skip
def test_three(): pass

@shows("claude", "wake")
@pytest.mark.xfail
def test_four(): raise ValueError("not seen")

@pytest.fixture
def left_behind():
    yield
    raise ValueError("not ended")

@shows("claude", "end")
def test_five(left_behind): pass
"""


def test_the_table_is_made_from_what_was_seen() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == with_table(page, load()), "run: python -m bench.hosts.seen"


def test_only_hosts_that_are_run_were_seen_and_only_doing_what_there_is() -> None:
    run = {host for host in names() if about(host).evidence == "run"}
    assert [sight for sight in load() if sight.host not in run or sight.feature not in FEATURES] == []


def test_rows_of_what_did_not_run_stay_and_what_failed_goes() -> None:
    known = [Sight("claude", "2.1.9", "tool", MONDAY), Sight("codex", "0.9.0", "tool", MONDAY)]
    known += [Sight("claude", "2.1.10", feature, MONDAY) for feature in ("start", "tool", "wake")]
    ran = {("claude", "2.1.10", "start"): True, ("claude", "2.1.10", "tool"): False, ("claude", "2.1.10", "end"): True}
    assert merged(known, ran, TUESDAY) == [
        Sight("claude", "2.1.9", "tool", MONDAY),
        Sight("claude", "2.1.10", "start", TUESDAY),
        Sight("claude", "2.1.10", "wake", MONDAY),
        Sight("claude", "2.1.10", "end", TUESDAY),
        Sight("codex", "0.9.0", "tool", MONDAY),
    ]


def test_a_run_claims_what_passed_for_the_version_that_the_program_says(tmp_path: Path) -> None:
    program = tmp_path / "node_modules/.bin/claude"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\necho '2.7.1 (Claude Code)'\n")
    program.chmod(0o755)
    (tmp_path / "test_run.py").write_text(RUN)
    seen = tmp_path / "seen.json"
    write(seen, [Sight("claude", "2.7.1", "prompt", MONDAY), Sight("claude", "2.7.1", "tool", MONDAY)])
    words = ["-c", "/dev/null", "-q", "-p", "tests.hosts.showing", "-p", "no:cacheprovider", "-n", "1"]
    env = {**os.environ, "AGENT_IPC_TEST_HOSTS": str(tmp_path), VARIABLE: str(seen)}
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", *words, str(tmp_path)], cwd=ROOT, env=env, capture_output=True, text=True, check=False
    )
    assert "1 failed, 2 passed, 1 skipped, 1 xfailed, 1 error" in ran.stdout, ran.stdout + ran.stderr
    rows = json.loads(seen.read_text())
    assert [(row["version"], row["feature"], row["date"] != MONDAY) for row in rows] == [
        ("2.7.1", "start", True),
        ("2.7.1", "tool", False),
    ]
