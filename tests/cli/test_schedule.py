"""``ipc schedule``: made, listed, dropped, and sent by a service that may be killed meanwhile."""

import json
from argparse import ArgumentTypeError
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from bridges.cli.times import moment_after, seconds
from tests.conftest import Service, wait_for
from tests.lasting import Lasting
from tests.shell import Shell

ROME = ZoneInfo("Europe/Rome")


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("90", 90),
        ("90s", 90),
        ("20m", 1200),
        ("20 min", 1200),
        ("1h30m", 5400),
        ("1h 30m", 5400),
        ("1.5h", 5400),
        ("2d", 172_800),
    ],
)
def test_a_length_of_time_is_read_as_people_write_it(text: str, length: float) -> None:
    assert seconds(text) == length


@pytest.mark.parametrize("text", ["", "soon", "20x", "m", "1h30", "-5m", "1e3"])
def test_what_is_no_length_of_time_is_refused(text: str) -> None:
    with pytest.raises(ArgumentTypeError):
        seconds(text)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("17:30", "2027-03-01T17:30+01:00"),
        ("9:00", "2027-03-02T09:00+01:00"),
        ("12:00", "2027-03-02T12:00+01:00"),
        ("2027-03-28 09:00", "2027-03-28T09:00+02:00"),
        ("2027-03-01T08:00+05:00", "2027-03-01T08:00+05:00"),
    ],
)
def test_a_time_of_day_is_the_next_one(text: str, meant: str) -> None:
    at_noon = datetime(2027, 3, 1, 12, tzinfo=ROME)
    assert moment_after(text, at_noon) == datetime.fromisoformat(meant).timestamp()


@pytest.mark.parametrize("text", ["", "25:00", "tomorrow", "2027-13-01"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ArgumentTypeError):
        moment_after(text, datetime(2027, 3, 1, 12, tzinfo=ROME))


def test_it_is_made_listed_sent_and_dropped(shared_pair: Shell, tag: str) -> None:
    claude = f"claude{tag}"
    assert "once" in shared_pair.ok("schedule", claude, "stand", "up", "--in", "1s")
    assert "cron 0 9 * * 1-5, next" in shared_pair.ok("schedule", claude, "plan\x1b[2J", "--cron", "0 9 * * 1-5")
    made = json.loads(shared_pair.ok("schedule", claude, "look", "--every", "1h", "--until", "2100-01-01", "--json"))
    assert made["schedule"]["spec"] == "3600.0"
    assert [m["content"] for m in json.loads(shared_pair.ok("check", "--wait", "20", "--as", claude, "--json"))] == ["stand up"]
    listed = shared_pair.ok("schedule")
    assert "every 1 h until 2100-01-01" in listed and "cron 0 9" in listed and "\x1b" not in listed
    assert shared_pair.ok("schedule", "drop", str(made["schedule"]["id"])) == "Dropped\n"
    assert "No such schedule" in shared_pair.run("schedule", "drop", str(made["schedule"]["id"])).stdout
    assert len(json.loads(shared_pair.ok("schedule", "--json"))) == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["claude", "hello"], "say when"),
        (["claude", "--in", "5m"], "there is no text"),
        (["claude", "hello", "--in", "soon"], "no length of time"),
        (["claude", "hello", "--every", "5s"], "from 60"),
        (["claude", "hello", "--cron", "at nine o'clock"], "cron"),
        (["drop"], "takes the number"),
    ],
)
def test_what_it_does_not_take_is_said(shared_pair: Shell, arguments: list[str], says: str) -> None:
    assert says in shared_pair.fails(2, "schedule", *arguments)


def test_a_script_at_the_port_schedules_and_lists_too(shared: Service, tag: str) -> None:
    token = shared.register(f"fred{tag}")
    lasting = Lasting(shared)
    fields = {"to_id": f"fred{tag}", "message": {"content": "later", "data": [1]}, "session_token": token}
    made = lasting.ask({"action": "schedule", "in_s": 1, **fields})["schedule"]
    assert lasting.ask({"action": "schedules", "session_token": token})["schedules"][0]["id"] == made["id"]
    (message,) = lasting.ask({"action": "check", "wait_s": 20, "session_token": token})["messages"]
    assert message["message"] == {"content": "later", "data": [1]}
    lasting.close()


def test_a_broker_that_is_killed_again_and_again_sends_each_once(make_service: Callable[..., Service]) -> None:
    service = make_service().start()
    with service.connect("fred") as fred:
        for number in range(40):
            fred.schedule("claude", f"{number}", in_s=1 + number / 20)
    got: list[str] = []
    with service.connect("claude") as claude:
        for round_number in range(4):
            wait_for("the next of them", lambda n=round_number: _take(claude, got) or len(got) > 5 * n)
            service.kill("broker")
        wait_for("all of them", lambda: _take(claude, got) or len(got) >= 40)
        assert claude.check(wait=0.5) == []
    assert Counter(got) == Counter(str(number) for number in range(40))


def _take(claude: object, got: list[str]) -> None:
    got += [mail.content for mail in claude.check(wait=0.1)]  # type: ignore[attr-defined]
