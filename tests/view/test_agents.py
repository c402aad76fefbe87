"""Agents as lines, and who waits for whom."""

from typing import Any

import pytest

from bridges.view.agents import agents_of, waits_of
from bridges.view.needs import needs_of

AT = "2026-03-01T12:00:00+00:00"
SINCE = "2026-03-01T11:30:00+00:00"


def row(name: str, presence: str, **more: Any) -> dict[str, Any]:
    return {"id": name, "last_seen": AT, "presence": presence, "queued": 0, "leased": 0, **more}


STUCK = {"kind": "silent", "since": SINCE, "evidence": "works, and no sign of it for 10 min"}


@pytest.mark.parametrize(
    ("agent", "state", "since", "doing"),
    [
        (row("nova", "working", activity={"state": "working", "since": SINCE, "tool": "Bash"}), "working", SINCE, "runs Bash"),
        (row("nova", "working", note="parser\n2"), "working", AT, "parser\\n2"),
        (row("nova", "idle", activity={"state": "idle", "since": SINCE, "tool": "Bash"}), "idle", SINCE, ""),
        (row("nova", "waiting", activity={"state": "permission", "since": SINCE}), "needs you", SINCE, ""),
        (row("nova", "working", stuck=STUCK), "stuck", SINCE, "works, and no sign of it for 10 min"),
        (row("nova", "gone", activity={"state": "ended", "since": SINCE}), "away", AT, ""),
        (row("nova", "gone", unclaimed=True), "away", AT, ""),
        (row("ada", "idle", person=True, stuck=STUCK), "idle", AT, ""),
    ],
)
def test_an_agent_has_one_word_and_since_when_it_holds(agent: dict[str, Any], state: str, since: str, doing: str) -> None:
    (line,) = agents_of({"agents": [agent]})
    assert (line.state, line.since, line.doing) == (state, since, doing)


def test_those_that_need_the_person_come_first_and_those_away_last() -> None:
    overview = {
        "agents": [row("zoe", "gone"), row("amy", "gone", unclaimed=True), row("Bob", "idle"), row("kim", "working"),
                   row("lea", "working", stuck=STUCK), row("max", "idle")],
        "questions": [{"id": "1", "from": "max", "to": "ada", "content": "?", "state": "open", "asked_at": AT, "deadline": AT}],
    }  # fmt: skip
    names = [line.name for line in agents_of(overview, needs_of(overview, "ada"))]
    assert names == ["max", "lea", "kim", "Bob", "zoe", "amy"]


def test_who_waits_longest_stands_first() -> None:
    asked = {"content": "a\nb", "deadline": AT, "asked_is": "stuck", "state": "open"}
    overview = {
        "questions": [
            {"id": "2", "from": "nova", "to": "otto", "asked_at": AT, **asked},
            {"id": "1", "from": "rex", "to": "nova", "asked_at": SINCE, **asked},
            {"id": "0", "from": "rex", "to": "otto", "asked_at": SINCE, **asked, "state": "stale"},
        ]
    }
    assert [(w.asker, w.asked, w.asked_is, w.text) for w in waits_of(overview)] == [
        ("rex", "nova", "stuck", "a\\nb"),
        ("nova", "otto", "stuck", "a\\nb"),
    ]
