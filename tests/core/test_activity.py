"""What hooks tell becomes what an agent does, whatever came late."""

import pytest

from broker.core import activity
from broker.core.batch import Batch
from broker.core.facts import Activity
from tests.engine import HOUR, Core


def states(*events: str) -> list[str]:
    """The states that events lead to, each a minute after the one before. ``tool_began Bash 1``: tool and call."""
    now, seen = Activity(), []
    for at_s, told in enumerate(events):
        event, *rest = told.split()
        now = activity.after(now, event, at_s * 60.0, *rest)
        seen.append(now.state)
    return seen


@pytest.mark.parametrize(
    ("events", "seen"),
    [
        (
            "began, turn_began, tool_began Bash 1, tool_ended Bash 1, turn_ended, ended",
            "idle working working working idle ended",
        ),
        ("turn_began, tool_began Bash 1, permission Bash, tool_ended Bash 1", "working working permission working"),
        (
            "turn_began, tool_began A 1, permission B, tool_ended A 1, tool_ended B 2",
            "working working permission permission working",
        ),
        ("turn_began, permission Bash, turn_ended", "working permission idle"),
        ("turn_began, answer, tool_began Bash 1", "working answer working"),
        ("turn_began, failed, turn_began", "working failed working"),
        ("tool_ended Bash 1, turn_ended", "working idle"),
        ("sign Read, turn_began, permission Read, sign Bash, sign Read", " working permission permission working"),
        ("ended, tool_ended Bash 1, turn_ended, began", "ended ended ended idle"),
        ("ended, turn_began", "ended working"),
    ],
)
def test_each_event_leads_to_its_state(events: str, seen: str) -> None:
    assert states(*events.split(", ")) == seen.split(" ")


def test_a_call_that_has_ended_does_not_begin_afterwards() -> None:
    now = activity.after(Activity(), "turn_began", 0)
    now = activity.after(now, "tool_ended", 1.0, "Read", "c1")
    late = activity.after(now, "tool_began", 1.1, "Read", "c1")
    assert (late.running(), late.event_s) == ((), 1.1)
    stopped = activity.after(now, "turn_ended", 1.05)
    assert activity.after(stopped, "tool_began", 1.1, "Read", "c1").state == "idle"


def test_a_call_s_end_that_is_told_after_its_turn_s_begins_no_turn() -> None:
    stopped = activity.after(activity.after(Activity(), "turn_began", 0), "turn_ended", 1.0)
    assert activity.after(stopped, "tool_ended", 1.5, "Read", "c1").state == "idle"
    assert activity.after(stopped, "tool_ended", 9.0, "Read", "c1").state == "working"


def test_calls_beside_each_other_run_until_each_has_ended() -> None:
    now = Activity()
    for key in ("1", "2", "3"):
        now = activity.after(now, "tool_began", float(key) / 10, "Bash", key)
    now = activity.after(now, "tool_ended", 4, "Bash", "2")
    assert [call.key for call in now.running()] == ["1", "3"]
    assert [call.key for call in activity.after(now, "tool_began", 60, "Bash", "4").running()] == ["4"]  # of a later step
    assert activity.after(now, "turn_ended", 5).running() == ()


def test_a_call_of_a_host_without_ids_is_known_by_its_tool() -> None:
    now = activity.after(Activity(), "tool_ended", 0, "shell")
    for at_s in (0.1, 0.3):
        now = activity.after(now, "tool_began", at_s, "shell")
        assert [call.tool for call in now.running()] == ["shell"]
        now = activity.after(now, "tool_ended", at_s + 0.1, "shell")
        assert now.running() == ()


def test_a_call_told_late_does_not_hide_that_its_user_is_asked() -> None:
    now = activity.after(Activity(), "permission", 10, "Bash")
    assert activity.after(now, "tool_began", 10.5, "Bash", "1").state == "permission"
    assert activity.after(now, "tool_began", 15, "Bash", "2").state == "working"


def test_the_same_result_again_is_counted_within_a_turn(pair: Core) -> None:
    def told() -> tuple[str, int]:
        now = pair.engine.state.mailboxes["fred"].activity
        return now.digest, now.repeats

    for digest in ("a", "b", "b", "b"):
        pair.ask("fred", "report", event="tool_ended", tool="Bash", digest=digest)
    assert told() == ("b", 3)
    pair.ask("fred", "report", event="turn_began")
    assert told() == ("", 0)


def test_presence_follows_and_survives_a_restart(pair: Core) -> None:
    def presence() -> str:
        rows = pair.ask("claude", "list")["instances"]
        return str(next(row["presence"] for row in rows if row["id"] == "fred"))

    seen = []
    for event in ("began", "turn_began", "permission", "tool_ended", "failed", "turn_began", "ended"):
        pair.ask("fred", "report", event=event)
        pair.restart()
        seen.append(presence())
    assert seen == ["idle", "working", "waiting", "working", "idle", "working", "gone"]
    pair.ask("fred", "presence", state="working", note="by its old hooks")
    assert presence() == "working"


def test_an_agent_is_there_for_as_long_as_its_tool_call_runs(pair: Core) -> None:
    pair.ask("fred", "report", event="tool_began", tool="Bash", call="1")
    pair.pass_time(HOUR)
    rows = {row["id"]: row["presence"] for row in pair.ask("claude", "list")["instances"]}
    assert rows["fred"] == "working"


def test_those_who_ask_learn_whether_it_works_rests_or_is_away(pair: Core) -> None:
    core = pair

    def standing() -> str:
        batch = Batch(core.engine.state, core.store, core.engine.settings, core.now(), lambda: "")
        return activity.standing_of(batch, core.engine.state.mailboxes["fred"])

    seen = [standing()]
    for event in ("turn_began", "permission", "turn_ended", "ended"):
        core.ask("fred", "report", event=event)
        seen.append(standing())
    assert seen == ["idle", "working", "working", "idle", "away"]


@pytest.mark.parametrize("paths", [[1], [""], ["x" * 5000]])
def test_a_path_that_is_none_is_refused(pair: Core, paths: list[object]) -> None:
    assert pair.ask("fred", "report", event="tool_ended", paths=paths)["code"] == "bad_request"
