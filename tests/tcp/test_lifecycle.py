"""The table of a TCP connection's life: every pair of state and event, and what must hold of any way through it."""

import re
from itertools import product

import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from hypothesis.strategies import sampled_from

from bridges.tcp import lifecycle
from bridges.tcp.lifecycle import TIME_LIMITS, TRANSITIONS, IllegalTransition, LifeAction, Lifecycle, LifeEvent, LifeState

DRAWN = """
            object line newline written fin tell_taken timeout stranger refused dropped lost
reading        B    L      -       -     X      -        X       -        X       .      .
answering      -    -      L       A     H      -        -       -        X       .      .
answered       -    -      L       -     K      -        F       -        X       .      .
awaiting fin   -    -      .       -     K      -        .       -        .       .      .
half closed    -    -      -       C     -      -        -       -        X       .      .
confirming     -    -      -       -     -      K        .       -        .       .      .
lasting        -    -      -       L     D      -        X       .        X       .      .
draining       -    -      -       K     -      -        -       .        X       .      .
closing        -    -      -       -     K      -        .       -        K       .      .
closed         -    -      -       -     -      -        -       -        .       .      .
"""
LETTERS = {
    "B": LifeState.ANSWERING,
    "L": LifeState.LASTING,
    "A": LifeState.ANSWERED,
    "H": LifeState.HALF_CLOSED,
    "F": LifeState.AWAITING_FIN,
    "C": LifeState.CONFIRMING,
    "D": LifeState.DRAINING,
    "X": LifeState.CLOSING,
    "K": LifeState.CLOSING,
    ".": LifeState.CLOSED,
}
"""X tells an error; K does not."""
EXPECTED = {
    (state, event): letter
    for state, row in zip(LifeState, DRAWN.splitlines()[2:], strict=True)
    for event, letter in zip(LifeEvent, row[12:].split(), strict=True)
}


@pytest.mark.parametrize(("state", "event"), list(product(LifeState, LifeEvent)))
def test_every_pair_goes_where_it_is_drawn_or_raises_and_changes_nothing(state: LifeState, event: LifeEvent) -> None:
    life = Lifecycle()
    life.state = state
    letter = EXPECTED[state, event]
    if letter == "-":
        with pytest.raises(IllegalTransition, match=f"{event} while {state}"):
            life.on(event)
        assert life.state is state
    else:
        actions = life.on(event)
        assert life.state is LETTERS[letter]
        assert (LifeAction.TELL in actions) == (letter == "X")


def steps() -> list[tuple[LifeState, LifeEvent, LifeState, tuple[LifeAction, ...]]]:
    return [(state, event, *step) for state, row in TRANSITIONS.items() for event, step in row.items()]


def test_mail_is_acknowledged_only_where_the_client_closed_after_the_reply_or_has_taken_it() -> None:
    found = {(state, event) for state, event, _to, actions in steps() if LifeAction.ACKNOWLEDGE in actions}
    closed = LifeEvent.CLIENT_CLOSED
    assert found == {(LifeState.ANSWERED, closed), (LifeState.AWAITING_FIN, closed), (LifeState.CONFIRMING, LifeEvent.TAKEN)}


def test_a_lost_connection_gives_back_what_is_left_in_every_state() -> None:
    assert all(TRANSITIONS[state][LifeEvent.LOST] == (LifeState.CLOSED, (LifeAction.GIVE_BACK,)) for state in LifeState)


def test_who_closes_the_socket_reads_nothing_more_and_nobody_else_ends() -> None:
    over = (LifeState.CLOSING, LifeState.CLOSED)
    for state, event, to, actions in steps():
        closes = {LifeAction.CLOSE, LifeAction.ABORT} & set(actions)
        assert not closes or to in over, (state, event)
        if to in over and state not in over and event is not LifeEvent.LOST:
            assert len(closes) == 1, (state, event)


def test_a_state_with_a_time_limit_has_a_way_out_when_it_is_over() -> None:
    for state in LifeState:
        timeouts = {LifeEvent.TIMEOUT, LifeEvent.STRANGER_TIMEOUT} & TRANSITIONS[state].keys()
        assert bool(timeouts) == (state in TIME_LIMITS), state


def test_no_way_leads_back_from_the_end_and_every_state_is_reached() -> None:
    assert {to for _state, _event, to, _actions in steps()} == set(LifeState) - {LifeState.READING}
    for state, _event, to, _actions in steps():
        if state in (LifeState.CLOSING, LifeState.CLOSED):
            assert to in (LifeState.CLOSING, LifeState.CLOSED)


def test_the_picture_names_every_state() -> None:
    assert lifecycle.__doc__ is not None
    assert set(re.findall(r"\b[A-Z]+(?:_[A-Z]+)?\b", lifecycle.__doc__)) >= {state.name for state in LifeState}


class AnyLife(RuleBasedStateMachine):
    """Any order of events, against the evidence that a careful observer would have."""

    def __init__(self) -> None:
        super().__init__()
        self.life = Lifecycle()
        self.replied = self.fin_after_reply = self.fin = self.taken = self.newline = False
        self.acknowledged = self.given_back = 0

    @rule(event=sampled_from(LifeEvent))
    def happens(self, event: LifeEvent) -> None:
        before = self.life.state
        try:
            actions = self.life.on(event)
        except IllegalTransition:
            assert self.life.state is before
            return
        self.replied |= event is LifeEvent.ALL_WRITTEN
        self.fin_after_reply |= event is LifeEvent.CLIENT_CLOSED and self.replied
        self.taken |= event is LifeEvent.TAKEN
        self.newline |= event in (LifeEvent.OBJECT_LINE, LifeEvent.NEWLINE) and self.life.state is LifeState.LASTING
        self.acknowledged += LifeAction.ACKNOWLEDGE in actions
        self.given_back += LifeAction.GIVE_BACK in actions
        if LifeAction.ACKNOWLEDGE in actions:
            assert self.replied and (self.fin_after_reply or self.taken) and not self.newline

    @precondition(lambda self: self.life.state is not LifeState.CLOSED)
    @rule()
    def the_socket_goes(self) -> None:
        assert LifeAction.GIVE_BACK in self.life.on(LifeEvent.LOST)

    @invariant()
    def mail_is_acknowledged_once_and_never_after_it_was_given_back(self) -> None:
        assert self.acknowledged <= 1
        assert self.life.is_lasting == self.newline


AnyLife.TestCase.settings = settings(max_examples=200, stateful_step_count=20, deadline=None)
TestAnyLife = AnyLife.TestCase
