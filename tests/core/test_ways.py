"""The table of a way's states, over all pairs, and who holds a way."""

import pytest

from broker.core.facts import NOBODY, Way
from broker.core.ways import MOVES, ORDER, Happens, Is, first_of_each, moved, rank, without

TABLE = {
    #            armed    given    could_not host_refused sign     no_sign   new_mail disarmed
    "off": ("armed", "off", "off", "off", "off", "off", "off", "off"),
    "armed": ("armed", "tried", "failed", "refused", "armed", "armed", "armed", "off"),
    "tried": ("tried", "tried", "failed", "refused", "armed", "failed", "tried", "off"),
    "failed": ("armed", "failed", "failed", "refused", "armed", "failed", "armed", "off"),
    "refused": ("armed", "refused", "refused", "refused", "armed", "refused", "refused", "off"),
}


def way(name: str = "socket", route: bytes = b"a", state: str = Is.OFF) -> Way:
    return Way(name, route, 1, 8.0, state, 0.0)


@pytest.mark.parametrize("state", Is.ALL)
@pytest.mark.parametrize("event", Happens.ALL)
def test_every_event_in_every_state_leads_where_the_table_says(state: str, event: str) -> None:
    after = moved(way(state=state), event, 5.0)
    assert after.state == TABLE[state][Happens.ALL.index(event)]
    assert after.since_s == (5.0 if after.state != state else 0.0)


def test_what_became_of_the_last_notice_is_kept_while_the_way_is_armed_again() -> None:
    failed = moved(way(state=Is.TRIED), Happens.NO_SIGN, 1.0)
    assert failed.result == moved(failed, Happens.NEW_MAIL, 2.0).result == "no_sign"


def test_the_table_names_no_state_and_no_event_that_there_is_not() -> None:
    assert {state for state, _ in MOVES} | set(MOVES.values()) <= set(Is.ALL)
    assert {event for _, event in MOVES} <= set(Happens.ALL)


def test_a_way_that_nobody_knows_comes_behind_all_that_are_known() -> None:
    assert sorted(("a-new-hosts", "rewake", "socket"), key=rank) == ["socket", "rewake", "a-new-hosts"]
    assert [rank(name) for name in ORDER] == list(range(len(ORDER)))


def test_of_two_who_arm_one_way_the_second_holds_it_once_the_first_has_gone() -> None:
    both = NOBODY._replace(ways=first_of_each([way(route=b"a"), way(route=b"b")], 1.0))
    assert [w.state for w in both.ways] == ["armed", "off"]
    left = without(both, lambda w: w.route == b"a", 2.0)
    assert [(w.route, w.state) for w in left.ways] == [(b"b", "armed")]
