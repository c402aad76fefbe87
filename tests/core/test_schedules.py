"""Schedules: mail is sent at its time, once for what was missed, and never twice, whatever becomes of process and clocks."""

from datetime import datetime, timedelta
from math import inf
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from broker.core.standing import Kind
from broker.core.terms import ClockReading, Terms
from broker.protocol.ids import new_message_id
from broker.server.cron import local_zone, next_cron
from tests.engine import DAY, HOUR, Core, kind, one, small, sweep

ROME = ZoneInfo("Europe/Rome")


def with_cron(core: Core) -> Core:
    core.engine.next_cron = lambda spec, after_s: next_cron(spec, after_s, ROME)
    return core


@pytest.fixture
def scheduling(pair: Core) -> Core:
    pair.terms = Terms.begin(None, ClockReading(pair.wall_s, pair.mono_s, "boot"), HOUR)
    return with_cron(pair)


def plan(core: Core, to: str = "claude", **fields: Any) -> dict[str, Any]:
    reply = core.ask("fred", "schedule", **{"to_id": to, "message": {"content": "stand up"}, **fields})
    assert reply["status"] == "ok", reply
    row: dict[str, Any] = reply["schedule"]
    return row


def refusal(core: Core, **fields: Any) -> str:
    reply = core.ask("fred", "schedule", **{"to_id": "claude", "message": {"content": "x"}, **fields})
    return str(reply.get("code"))


def go_on(core: Core, seconds: float = 0.0) -> None:
    core.pass_time(seconds)
    core.keep_house()


def got(core: Core, who: str = "claude") -> list[str]:
    """What has come, acknowledged."""
    messages = core.check(who)
    core.ask(who, "ack", ids=[m["id"] for m in messages])
    return [m["message"]["content"] for m in messages]


def listed(core: Core, who: str = "fred") -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = core.ask(who, "schedules")["schedules"]
    return rows


def restart(core: Core) -> None:
    core.restart()
    with_cron(core)


@pytest.mark.parametrize("when", ["in_s", "at_s"])
def test_a_message_is_sent_once_at_its_time_and_not_before(scheduling: Core, when: str) -> None:
    plan(scheduling, **{when: 600 + (scheduling.wall_s if when == "at_s" else 0)})
    go_on(scheduling, 599)
    assert got(scheduling) == []
    go_on(scheduling, 2)
    assert (got(scheduling), listed(scheduling)) == (["stand up"], [])
    go_on(scheduling, DAY)
    assert got(scheduling) == []


def test_one_that_repeats_keeps_its_pace_and_tells_what_it_sent(scheduling: Core) -> None:
    plan(scheduling, every_s=HOUR, message={"content": "look", "data": {"n": 1}}, land="turn")
    for _ in range(3):
        go_on(scheduling, HOUR)
        message = one(scheduling, "claude")
        assert (message["message"], message["land"]) == ({"content": "look", "data": {"n": 1}}, "turn")
    (row,) = listed(scheduling)
    assert (row["sent"], row["last"], row["kind"], row["spec"]) == (3, message["id"], "every", "3600.0")


def test_what_was_missed_is_sent_once_and_the_pace_goes_on(scheduling: Core) -> None:
    plan(scheduling, every_s=HOUR)
    go_on(scheduling, 5.5 * HOUR)
    assert got(scheduling) == ["stand up"]
    go_on(scheduling, 0.5 * HOUR)
    assert got(scheduling) == ["stand up"]
    assert listed(scheduling)[0]["sent"] == 2


def test_a_schedule_outlives_the_broker_and_what_came_due_meanwhile_is_sent_at_the_start(scheduling: Core) -> None:
    row = plan(scheduling, every_s=HOUR)
    restart(scheduling)
    assert listed(scheduling) == [row]
    scheduling.pass_time(7 * HOUR)
    restart(scheduling)
    go_on(scheduling)
    assert got(scheduling) == ["stand up"]
    restart(scheduling)
    go_on(scheduling)
    assert (got(scheduling), listed(scheduling)[0]["sent"]) == ([], 1)


def test_an_idle_broker_sleeps_until_the_next_is_due_and_looks_at_the_clock_each_minute(scheduling: Core) -> None:
    plan(scheduling, in_s=90)
    go_on(scheduling)
    assert scheduling.engine.state.chore_s == scheduling.mono_s + 60
    go_on(scheduling, 60)
    assert scheduling.engine.state.chore_s == pytest.approx(scheduling.mono_s + 30)
    go_on(scheduling, 30)
    scheduling.ask("claude", "ack", ids=[m["id"] for m in scheduling.check("claude")])
    go_on(scheduling, 600)
    assert scheduling.engine.state.chores["schedules"] == inf


# the wall clock


def at_nine(core: Core) -> float:
    """Make it 2027-01-04, Monday, 08:00 in Rome."""
    core.wall_s = datetime(2027, 1, 4, 8, tzinfo=ROME).timestamp()
    core.terms = Terms.begin(None, ClockReading(core.wall_s, core.mono_s, "boot"), HOUR)
    return core.wall_s


def set_clock(core: Core, by_s: float) -> None:
    """The broker sees it within a minute."""
    core.wall_s += by_s
    go_on(core, 60)


def test_cron_times_are_the_machines_and_go_by_its_clock(scheduling: Core) -> None:
    at_nine(scheduling)
    row = plan(scheduling, cron="0 9 * * 1-5")
    assert (row["kind"], row["next"]) == ("cron", "2027-01-04T08:00:00.000000+00:00")
    for day in range(7):
        go_on(scheduling, HOUR)
        assert got(scheduling) == (["stand up"] if day < 5 else [])
        go_on(scheduling, 23 * HOUR)
    assert listed(scheduling)[0]["next"] == "2027-01-11T08:00:00.000000+00:00"


def test_a_clock_that_is_set_back_sends_no_moment_again(scheduling: Core) -> None:
    at_nine(scheduling)
    plan(scheduling, cron="0 9 * * *")
    go_on(scheduling, HOUR + 1)
    assert got(scheduling) == ["stand up"]
    set_clock(scheduling, -10)
    assert got(scheduling) == []
    go_on(scheduling, DAY)
    assert (got(scheduling), listed(scheduling)[0]["sent"]) == (["stand up"], 2)


def test_a_clock_that_is_a_year_ahead_for_a_minute_delays_nothing_for_a_year(scheduling: Core) -> None:
    at_nine(scheduling)
    plan(scheduling, cron="0 9 * * *")
    plan(scheduling, every_s=HOUR, message={"content": "each hour"})
    set_clock(scheduling, 365 * DAY)
    assert got(scheduling) == ["stand up"]  # by the wall clock it is long due; an hour is not over
    set_clock(scheduling, -365 * DAY)
    go_on(scheduling, HOUR)
    assert got(scheduling) == ["each hour"]  # nine o'clock was sent when it was thought to be over
    go_on(scheduling, DAY)
    assert sorted(got(scheduling)) == ["each hour", "stand up"]


@pytest.mark.parametrize("by_s", [-400 * DAY, -DAY, 400 * DAY])
def test_lengths_of_time_are_counted_whatever_the_clock_says(scheduling: Core, by_s: float) -> None:
    plan(scheduling, in_s=HOUR)
    set_clock(scheduling, by_s)
    go_on(scheduling, HOUR - 70)
    assert got(scheduling) == []
    go_on(scheduling, 20)
    assert got(scheduling) == ["stand up"]


def test_an_appointment_follows_the_clock_when_it_is_set(scheduling: Core) -> None:
    plan(scheduling, at_s=scheduling.wall_s + DAY)
    set_clock(scheduling, -HOUR)
    go_on(scheduling, DAY + 60)
    assert got(scheduling) == []
    set_clock(scheduling, HOUR)
    assert got(scheduling) == ["stand up"]


def test_a_start_with_a_wrong_clock_that_is_put_right_delays_nothing_beyond_its_pace(scheduling: Core) -> None:
    plan(scheduling, every_s=HOUR)
    assert scheduling.terms is not None
    saved = scheduling.terms.at
    scheduling.wall_s, scheduling.mono_s = scheduling.wall_s + 400 * DAY, 10.0
    scheduling.terms = Terms.begin(saved, ClockReading(scheduling.wall_s, scheduling.mono_s, "next boot"), HOUR)
    restart(scheduling)
    go_on(scheduling)
    assert got(scheduling) == ["stand up"]
    set_clock(scheduling, -400 * DAY)
    go_on(scheduling, HOUR + 1)
    assert got(scheduling) == ["stand up"]


@pytest.mark.parametrize(
    ("spec", "after", "due"),
    [
        ("30 2 * * *", "2027-03-27T03:00+01:00", ["2027-03-28T03:00+02:00", "2027-03-29T02:30+02:00"]),  # 02:30 is left out
        ("30 2 * * *", "2027-10-30T03:00+02:00", ["2027-10-31T02:30+02:00", "2027-11-01T02:30+01:00"]),  # it comes twice
        ("30 2 * * *", "2027-10-31T02:10+01:00", ["2027-11-01T02:30+01:00"]),  # asked within the second
        ("*/30 2 * * *", "2027-03-28T01:00+01:00", ["2027-03-29T02:00+02:00", "2027-03-29T02:30+02:00"]),
        (
            "*/30 2 * * *",
            "2027-10-31T02:00+02:00",
            ["2027-10-31T02:30+02:00", "2027-10-31T02:00+01:00", "2027-10-31T02:30+01:00"],
        ),
        ("0 9 29 2 *", "2027-01-01T00:00+01:00", ["2028-02-29T09:00+01:00", "2032-02-29T09:00+01:00"]),
    ],
)
def test_both_changes_of_summer_time(spec: str, after: str, due: list[str]) -> None:
    at_s = datetime.fromisoformat(after).timestamp()
    for wanted in due:
        at_s = next_cron(spec, at_s, ROME)
        assert datetime.fromtimestamp(at_s, ROME).isoformat(timespec="minutes") == wanted


@pytest.mark.parametrize("tz", ["Europe/Rome", ":Europe/Rome", "/usr/share/zoneinfo/Europe/Rome"])
def test_the_machines_zone_is_that_of_its_environment(monkeypatch: pytest.MonkeyPatch, tz: str) -> None:
    monkeypatch.setenv("TZ", tz)
    summer = datetime(2027, 7, 1, 12, tzinfo=local_zone())
    assert summer.utcoffset() == timedelta(hours=2)


# refusals


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({}, "bad_request"),
        ({"in_s": 60, "every_s": 60}, "bad_request"),
        ({"every_s": 59}, "bad_request"),
        ({"at_s": 1.0}, "bad_request"),
        ({"cron": "every day"}, "bad_request"),
        ({"cron": "61 * * * *"}, "bad_request"),
        ({"cron": "* * * * * *"}, "bad_request"),
        ({"cron": "0 0 31 2 *"}, "bad_request"),
        ({"in_s": 60, "until_s": 4e9}, "bad_request"),
        ({"every_s": 60, "until_s": 1_800_000_030.0}, "bad_request"),
        ({"in_s": 60, "to_id": "no such name"}, "invalid_recipient"),
        ({"in_s": 60, "to_id": "all"}, "name_reserved"),
        ({"in_s": 60, "to_id": "bob@rome"}, "no_site"),
        ({"in_s": 60, "message": {"content": "é" * 32_769}}, "too_large"),
    ],
)
def test_what_can_not_be_kept_is_refused_at_once(scheduling: Core, fields: dict[str, Any], code: str) -> None:
    assert refusal(scheduling, **fields) == code
    assert listed(scheduling) == []


def test_cron_without_its_package_is_refused_with_the_command_that_installs_it(pair: Core) -> None:
    reply = pair.ask("fred", "schedule", to_id="claude", message={"content": "x"}, cron="0 9 * * *")
    assert reply["code"] == "no_cron" and reply["hint"].startswith("Install it there: pip install 'agent-ipc[cron]'.")


def test_a_schedule_whose_package_is_gone_waits_for_it_and_says_so_once(scheduling: Core) -> None:
    at_nine(scheduling)
    plan(scheduling, cron="0 9 * * *")
    scheduling.restart()  # without cron
    go_on(scheduling, HOUR)
    go_on(scheduling, 60)
    assert len(told := got(scheduling, "fred")) == 1 and "cronsim" in told[0]
    with_cron(scheduling)
    go_on(scheduling, 60)
    assert (got(scheduling), listed(scheduling)[0].get("failed")) == (["stand up"], None)


def test_there_are_limits_for_one_and_for_all(scheduling: Core) -> None:
    small(scheduling, schedule_limit=1)
    plan(scheduling, in_s=60)
    assert refusal(scheduling, in_s=60) == "too_many_schedules"
    names = [f"n{i}" for i in range(10)]
    scheduling.register(*names)
    codes = [scheduling.ask(n, "schedule", to_id="claude", message={"content": "x"}, in_s=60).get("code") for n in names]
    assert codes == [None] * 9 + ["schedules_full"]


def test_a_full_mailbox_is_told_once_and_the_next_is_tried_at_its_time(scheduling: Core) -> None:
    small(scheduling, mailbox_limit=1)
    scheduling.send("claude", "claude", "full")
    plan(scheduling, every_s=HOUR)
    for _ in range(3):
        go_on(scheduling, HOUR)
    (told,) = got(scheduling, "fred")
    assert "Message queue full for claude" in told and "stand up" in told
    assert "full" in listed(scheduling)[0]["failed"]
    assert got(scheduling) == ["full"]
    go_on(scheduling, HOUR)
    assert got(scheduling) == ["stand up"]
    assert "failed" not in listed(scheduling)[0]


def test_one_for_once_is_tried_for_an_hour_where_the_reason_passes(scheduling: Core) -> None:
    small(scheduling, mailbox_limit=1)
    scheduling.send("claude", "claude", "full")
    plan(scheduling, in_s=60)
    go_on(scheduling, 60)
    assert "tried again" in got(scheduling, "fred")[0]
    assert got(scheduling) == ["full"]
    go_on(scheduling, 60)
    assert (got(scheduling), listed(scheduling)) == (["stand up"], [])
    scheduling.send("claude", "claude", "full")
    plan(scheduling, in_s=60)
    go_on(scheduling, 60)
    go_on(scheduling, HOUR)
    assert listed(scheduling) == []
    assert "tried again" in got(scheduling, "fred")[0]


def test_one_for_once_that_is_blocked_is_over_and_its_sender_is_told(scheduling: Core) -> None:
    plan(scheduling, in_s=60)
    scheduling.ask("claude", "block", name="fred")
    go_on(scheduling, 60)
    assert "tried no more" in got(scheduling, "fred")[0]
    assert listed(scheduling) == []


def test_a_store_that_is_full_holds_no_other_chore_up_and_loses_nothing(scheduling: Core) -> None:
    plan(scheduling, in_s=60)
    scheduling.ask("fred", "claim", resource="src/a.py", ttl_s=30)
    scheduling.pass_time(60)
    small(scheduling, storage_limit=1)
    scheduling.store._settings = scheduling.store._settings.but(storage_limit_mib=1)
    scheduling.store._large.size_bytes = 2**30  # as large messages would fill it
    scheduling.store._large.grown = True
    _, events = scheduling.engine.keep_house(scheduling.now())
    assert [e.name for e in events] == ["chores_postponed"]
    assert scheduling.engine.state.claims == {}
    scheduling.store._large.size_bytes = 0
    go_on(scheduling, 5)
    assert got(scheduling) == ["stand up"]


# names


def test_it_follows_the_renames_of_its_owner_and_of_its_reader(scheduling: Core) -> None:
    plan(scheduling, every_s=DAY)
    scheduling.ask("fred", "rename", new_id="freddy")
    scheduling.ask("claude", "rename", new_id="clyde")
    go_on(scheduling, DAY)
    (message,) = scheduling.check("claude")[-1:]
    assert (message["from"], message["to"]) == ("freddy", "clyde")
    assert listed(scheduling)[0]["to"] == "clyde"


def test_it_stays_when_another_body_takes_the_name_and_ends_with_the_name(scheduling: Core) -> None:
    plan(scheduling, in_s=60)
    scheduling.tokens["fred"] = scheduling.ask("fred", "register", instance_id="fred", force=True)["session_token"]
    assert len(listed(scheduling)) == 1
    scheduling.ask("fred", "unregister")
    scheduling.register("fred")
    assert listed(scheduling) == []
    go_on(scheduling, 60)
    assert got(scheduling) == []


def test_it_ends_when_its_owners_name_lapses_and_its_maker_was_told_so(scheduling: Core) -> None:
    reply = scheduling.ask("fred", "schedule", to_id="claude", message={"content": "x"}, in_s=30 * DAY)
    assert reply["note"] == "It is dropped if fred gives no sign for 7 days before"
    scheduling.pass_time(8 * DAY)
    sweep(scheduling)
    assert kind(scheduling, "fred") is Kind.FREE
    assert scheduling.engine.state.schedules == {}
    restart(scheduling)
    assert scheduling.engine.state.schedules == {}


def test_one_sees_and_drops_ones_own_alone(scheduling: Core) -> None:
    row = plan(scheduling, in_s=60)
    assert listed(scheduling, "claude") == []
    assert scheduling.ask("claude", "schedule_drop", schedule_id=row["id"])["dropped"] == 0
    assert scheduling.ask("claude", "schedule_drop")["dropped"] == 0
    assert scheduling.ask("fred", "schedule_drop", schedule_id=row["id"])["dropped"] == 1
    go_on(scheduling, 60)
    assert got(scheduling) == []


def test_a_group_gets_it_whoever_is_in_it_by_then(scheduling: Core) -> None:
    scheduling.ask("fred", "group_create", group="team")
    plan(scheduling, to="team", every_s=HOUR)
    scheduling.ask("claude", "group_join", group="team")
    go_on(scheduling, HOUR)
    message = one(scheduling, "claude")
    assert (message["group"], scheduling.check("fred")) == ("team", [])


def test_a_name_that_nobody_has_gets_a_hint_now_and_a_mailbox_then(scheduling: Core) -> None:
    reply = scheduling.ask("fred", "schedule", to_id="claud", message={"content": "x"}, in_s=60)
    assert reply["did_you_mean"] == "claude"
    assert "claud" not in scheduling.engine.state.mailboxes
    go_on(scheduling, 60)
    assert scheduling.engine.state.mailboxes["claud"].queued == 1


# once


@pytest.mark.parametrize("when", [{"in_s": 60}, {"every_s": 60}, {"cron": "* * * * *"}])
def test_a_request_that_is_made_again_makes_one_schedule(scheduling: Core, when: dict[str, Any]) -> None:
    row = plan(scheduling, message_id="mine", **when)
    restart(scheduling)
    again = scheduling.ask("fred", "schedule", to_id="claude", message={"content": "stand up"}, message_id="mine", **when)
    assert (again["duplicate"], again["schedule"]["id"], len(listed(scheduling))) == (True, row["id"], 1)
    assert refusal(scheduling, message={"content": "other"}, message_id="mine", **when) == "id_conflict"
    go_on(scheduling, 60)
    message = one(scheduling, "claude")
    again = scheduling.ask("fred", "schedule", to_id="claude", message={"content": "stand up"}, message_id="mine", **when)
    assert (again["duplicate"], again["schedule"]["last"]) == (True, message["id"])


def test_ids_of_what_was_sent_do_not_slow_down_the_sends_that_follow(scheduling: Core) -> None:
    plan(scheduling, every_s=60)
    go_on(scheduling, 60)
    mailbox = scheduling.engine.state.mailboxes["fred"]
    assert scheduling.store.highest_id(mailbox.id) < new_message_id()


def test_many_that_are_due_at_once_are_sent_in_steps_between_which_others_are_served(scheduling: Core) -> None:
    small(scheduling, schedule_limit=120)
    for number in range(120):
        plan(scheduling, in_s=60, message={"content": str(number)})
    scheduling.pass_time(60)
    sent = []
    while scheduling.engine.state.chore_s <= scheduling.mono_s:
        scheduling.keep_house()
        sent.append(scheduling.engine.state.mailboxes["claude"].queued)
    assert sent[:3] == [50, 100, 120]
    assert sorted(int(m["message"]["content"]) for m in scheduling.check("claude", limit=200)) == list(range(120))
