"""Read mail of a group or thread is kept as long as its rule says, over restarts, and whatever becomes of the group."""

from typing import Any

import pytest

from broker.home.logs import Log
from broker.server.upkeep import Sweeper
from tests.engine import DAY, HOUR, OWNER, Core

YEAR = 365 * DAY


def keep(core: Core, **fields: Any) -> list[dict[str, Any]]:
    reply = core.ask(None, "keep", session_token=OWNER, **fields)
    assert reply["status"] == "ok", reply
    rules: list[dict[str, Any]] = reply["rules"]
    return rules


def refusal(core: Core, **fields: Any) -> str:
    return str(core.ask(None, "keep", session_token=OWNER, **fields)["code"])


def let_pass(core: Core, seconds: float) -> None:
    """The time of a rule passes, and the sweeper comes as often as there is something to do."""
    core.pass_time(seconds)
    sweeper = Sweeper(core.engine, core.store, Log("test"))
    for _ in range(40):
        sweeper.step(core.now())
        core.pass_time(5.0)


def there(core: Core, *numbers: str) -> list[bool]:
    return [core.store.find_letter(int(number)) is not None for number in numbers]


def read(core: Core, who: str) -> None:
    core.ask(who, "ack", ids=[m["id"] for m in core.check(who)])


@pytest.fixture
def devs(team: Core) -> Core:
    team.ask("fred", "group_create", group="devs")
    team.ask("claude", "group_join", group="devs")
    return team


def test_only_the_owner_sets_a_rule(devs: Core) -> None:
    assert devs.ask("fred", "keep", group="devs", keep_s=5)["code"] == "unauthorized"
    assert keep(devs) == []
    assert keep(devs, group="devs", keep_s=YEAR) == [{"group": "devs", "keep_s": YEAR}]
    devs.restart()
    (group,) = devs.ask(None, "overview", session_token=OWNER)["groups"]
    assert group["keep_s"] == YEAR
    assert keep(devs, group="devs", keep_s=0) == []


def test_mail_of_a_group_is_kept_longer_than_other_mail(devs: Core) -> None:
    keep(devs, group="devs", keep_s=60 * DAY)
    kept, other = devs.send("fred", "devs")["number"], devs.send("fred", "claude")["number"]
    read(devs, "claude")
    let_pass(devs, 31 * DAY)
    assert there(devs, kept, other) == [True, False]
    devs.restart()
    let_pass(devs, 30 * DAY)
    assert there(devs, kept) == [False]


def test_mail_of_a_thread_is_kept_less_long_and_its_rule_goes_with_it(pair: Core) -> None:
    first = pair.send("fred", "claude")["number"]
    read(pair, "claude")
    answer = pair.ask("claude", "reply", to_message=first, message={"content": "yes"})["number"]
    other = pair.send("fred", "claude")["number"]
    read(pair, "fred")
    read(pair, "claude")
    assert keep(pair, thread=answer, keep_s=HOUR) == [{"thread": first, "keep_s": HOUR}]
    let_pass(pair, HOUR + 60)
    assert there(pair, first, answer, other) == [False, False, True]
    let_pass(pair, 61)
    assert keep(pair) == []


def test_unread_mail_is_kept_as_before(devs: Core) -> None:
    keep(devs, group="devs", keep_s=HOUR)
    waits = devs.send("fred", "devs")["number"]
    let_pass(devs, 2 * HOUR)
    assert there(devs, waits) == [True]
    read(devs, "claude")
    let_pass(devs, HOUR + 60)
    assert there(devs, waits) == [False]


def test_of_two_rules_the_longer_counts_and_a_dropped_rule_frees_what_it_kept(devs: Core) -> None:
    number = devs.send("fred", "devs")["number"]
    read(devs, "claude")
    keep(devs, group="devs", keep_s=60 * DAY)
    keep(devs, thread=number, keep_s=HOUR)
    let_pass(devs, 31 * DAY)
    assert there(devs, number) == [True]
    keep(devs, group="devs", keep_s=0)
    let_pass(devs, 60)
    assert there(devs, number) == [False]


def test_a_rule_outlives_its_group(devs: Core) -> None:
    keep(devs, group="devs", keep_s=60 * DAY)
    number = devs.send("fred", "devs")["number"]
    read(devs, "claude")
    devs.ask("fred", "group_leave", group="devs")
    devs.ask("claude", "group_leave", group="devs")
    assert "devs" not in devs.engine.state.groups
    let_pass(devs, 31 * DAY)
    assert there(devs, number) == [True]
    assert keep(devs, group="devs", keep_s=0) == []
    let_pass(devs, 60)
    assert there(devs, number) == [False]


def test_much_mail_that_is_kept_hides_nothing_that_is_due_behind_it(devs: Core) -> None:
    keep(devs, group="devs", keep_s=YEAR)
    kept = [devs.send("fred", "devs", str(n))["number"] for n in range(450)]
    for _ in range(5):
        read(devs, "claude")
    due = devs.send("fred", "claude")["number"]
    read(devs, "claude")
    let_pass(devs, 31 * DAY)
    assert there(devs, kept[0], kept[-1], due) == [True, True, False]


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"group": "devs"}, "bad_request"),
        ({"keep_s": 5}, "bad_request"),
        ({"group": "devs", "thread": "1", "keep_s": 5}, "bad_request"),
        ({"group": "dev", "keep_s": 5}, "unknown_group"),
        ({"thread": "99", "keep_s": 5}, "unknown_message"),
        ({"thread": "x", "keep_s": 5}, "unknown_message"),
        ({"group": "devs", "keep_s": 0}, "bad_request"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(devs: Core, fields: dict[str, Any], code: str) -> None:
    assert refusal(devs, **fields) == code
    assert keep(devs) == []
