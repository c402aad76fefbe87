"""The life of one TCP connection: every state, every event, and what each event does. Pure: no socket, loop or clock.

Rule: what may happen to a connection, and in which order, stands in ``TRANSITIONS``. The driver (``connection.py``) reports
events and carries out the actions that come back. It never decides by itself that mail was read.

                    object             all written             timeout (0.2 s)
       READING ───────────────> ANSWERING ─────────> ANSWERED ─────────────────> AWAITING_FIN
          │                      │   │                 │   │ client closed         │ client closed
          │       client closed  │   │ newline         │   │ ACKNOWLEDGE           │ ACKNOWLEDGE
          │             ┌────────┘   ├─────────────────┘   │                       │
          │             v            │                     │                       │
          │        HALF_CLOSED       │     CONFIRMING ─────┼───────────────────────┤
          │             │            │      ^     taken: ACKNOWLEDGE               │
          │             └────────────┼──────┘ all written  │                       │
          │ object and newline       v                     v                       v
          └──────────────────────> LASTING ─────────────> CLOSING ──────────────> CLOSED
                                     │    refused, silent   ^       lost
                                     └─────> DRAINING ──────┘
                                client closed      all written

    legacy:   READING ... CONFIRMING: one object, one reply, the end. Evidence that its mail was read: the client closed after
              the reply, or (where the client had closed before) its kernel has taken the whole reply.
    lasting:  LASTING, DRAINING: a request a line. The lines acknowledge mail themselves (a later check, or ack); the
              connection's end acknowledges nothing.
    the end:  CLOSING sends what is written, at most 30 s; CLOSED is for good. ``LOST`` gives back all mail that no evidence
              has acknowledged.

Two kinds of end are not drawn: ``REFUSED`` tells one error wherever it can't pass for a reply and goes to CLOSING; ``DROPPED``
aborts from any state.
"""

from enum import StrEnum


class LifeState(StrEnum):
    READING = "reading"
    """The first object has not come whole."""
    ANSWERING = "answering"
    """One object has come, and no newline behind it. Its reply is due."""
    ANSWERED = "answered"
    """The reply to one object is written. A newline still makes the connection lasting."""
    AWAITING_FIN = "awaiting fin"
    """We have ended our side after a legacy reply; the client has not ended its own."""
    HALF_CLOSED = "half closed"
    """The client ended its side after one object, before the reply."""
    CONFIRMING = "confirming"
    """The reply to a half-closed client is written; its kernel may not have it yet."""
    LASTING = "lasting"
    """Newline-delimited requests, for as long as the client likes."""
    DRAINING = "draining"
    """The client of a lasting connection ended its side; replies are due."""
    CLOSING = "closing"
    """Nothing is read any more; what is written goes out."""
    CLOSED = "closed"
    """Nothing goes in or out."""


class LifeEvent(StrEnum):
    OBJECT = "object"
    """The first object is whole. No newline has come behind it."""
    OBJECT_LINE = "object line"
    """The first object is whole, and a newline came with it."""
    NEWLINE = "newline"
    """A newline came after the first object."""
    ALL_WRITTEN = "all written"
    """Every request that has come is answered, and the answers are written."""
    CLIENT_CLOSED = "client closed"
    """FIN, or TLS's close_notify: the client sends no more."""
    TAKEN = "taken"
    """The client's kernel has all that was written."""
    TIMEOUT = "timeout"
    """The time limit of the state is over (``TIME_LIMITS``)."""
    STRANGER_TIMEOUT = "stranger timeout"
    """The same, of a client that has shown no valid token and waits for replies: an error now would pass for one of them."""
    REFUSED = "refused"
    """The input is no request, is over a limit, or comes from someone who may not come in."""
    DROPPED = "dropped"
    """The door stops, needs the place, or the client does not read; or a look at the socket showed that it broke."""
    LOST = "lost"
    """The socket is gone: closed by us, closed by both, or reset."""


class LifeAction(StrEnum):
    TELL = "tell"
    """Write the replies that are there, then one error."""
    ACKNOWLEDGE = "acknowledge"
    """Acknowledge the mail of the reply: there is evidence that the client has it."""
    GIVE_BACK = "give back"
    """Give back all mail that is not acknowledged."""
    END_SENDING = "end sending"
    """End our side of the connection; go on reading."""
    CLOSE = "close"
    """Send what is written, then close the socket."""
    ABORT = "abort"
    """Close the socket now."""


class TimeLimit(StrEnum):
    """How long a state may last. The numbers are the driver's."""

    IDLE = "idle"
    """Until something comes (IPC_IDLE_TIMEOUT; IPC_LASTING_TIMEOUT after a valid token)."""
    NEWLINE = "newline"
    """Until a newline may follow the first object."""
    CLOSE = "close"
    """Until the client has closed, or has read what is written."""


class IllegalTransition(Exception):
    """An event that can't happen in this state. Nothing has changed."""


Step = tuple[LifeState, tuple[LifeAction, ...]]
_S, _E, _A = LifeState, LifeEvent, LifeAction
_ABORT: Step = (_S.CLOSED, (_A.ABORT,))
_TELL: Step = (_S.CLOSING, (_A.TELL, _A.CLOSE))
_IGNORE_CLOSING: Step = (_S.CLOSING, ())
_IGNORE_CLOSED: Step = (_S.CLOSED, ())
_ENDS: dict[LifeEvent, Step] = {_E.DROPPED: _ABORT, _E.LOST: (_S.CLOSED, (_A.GIVE_BACK,))}
"""Possible in every state."""

TRANSITIONS: dict[LifeState, dict[LifeEvent, Step]] = {
    _S.READING: {
        _E.OBJECT: (_S.ANSWERING, ()),
        _E.OBJECT_LINE: (_S.LASTING, ()),
        _E.CLIENT_CLOSED: _TELL,
        _E.TIMEOUT: _TELL,
        _E.REFUSED: _TELL,
        **_ENDS,
    },
    _S.ANSWERING: {
        _E.NEWLINE: (_S.LASTING, ()),
        _E.ALL_WRITTEN: (_S.ANSWERED, ()),
        _E.CLIENT_CLOSED: (_S.HALF_CLOSED, ()),
        _E.REFUSED: _TELL,
        **_ENDS,
    },
    _S.ANSWERED: {
        _E.NEWLINE: (_S.LASTING, ()),
        _E.CLIENT_CLOSED: (_S.CLOSING, (_A.ACKNOWLEDGE, _A.CLOSE)),
        _E.TIMEOUT: (_S.AWAITING_FIN, (_A.END_SENDING,)),
        _E.REFUSED: _TELL,
        **_ENDS,
    },
    _S.AWAITING_FIN: {
        _E.NEWLINE: _ABORT,  # its requests could not be answered any more, so they are not run
        _E.CLIENT_CLOSED: (_S.CLOSING, (_A.ACKNOWLEDGE, _A.CLOSE)),
        _E.TIMEOUT: _ABORT,
        _E.REFUSED: _ABORT,
        **_ENDS,
    },
    _S.HALF_CLOSED: {
        _E.ALL_WRITTEN: (_S.CONFIRMING, ()),
        _E.REFUSED: _TELL,
        **_ENDS,
    },
    _S.CONFIRMING: {
        _E.TAKEN: (_S.CLOSING, (_A.ACKNOWLEDGE, _A.CLOSE)),
        _E.TIMEOUT: _ABORT,
        _E.REFUSED: _ABORT,  # an error behind the reply would spoil it
        **_ENDS,
    },
    _S.LASTING: {
        _E.ALL_WRITTEN: (_S.LASTING, ()),
        _E.CLIENT_CLOSED: (_S.DRAINING, ()),
        _E.TIMEOUT: _TELL,
        _E.STRANGER_TIMEOUT: _ABORT,
        _E.REFUSED: _TELL,
        **_ENDS,
    },
    _S.DRAINING: {
        _E.ALL_WRITTEN: (_S.CLOSING, (_A.CLOSE,)),
        _E.STRANGER_TIMEOUT: _ABORT,
        _E.REFUSED: _TELL,
        **_ENDS,
    },
    _S.CLOSING: {
        _E.TIMEOUT: _ABORT,
        _E.REFUSED: _IGNORE_CLOSING,
        _E.CLIENT_CLOSED: _IGNORE_CLOSING,
        **_ENDS,
    },
    _S.CLOSED: {
        _E.REFUSED: _IGNORE_CLOSED,
        _E.DROPPED: _IGNORE_CLOSED,
        _E.LOST: (_S.CLOSED, (_A.GIVE_BACK,)),
    },
}

TIME_LIMITS: dict[LifeState, TimeLimit] = {
    _S.READING: TimeLimit.IDLE,
    _S.ANSWERED: TimeLimit.NEWLINE,
    _S.AWAITING_FIN: TimeLimit.CLOSE,
    _S.CONFIRMING: TimeLimit.CLOSE,
    _S.LASTING: TimeLimit.IDLE,
    _S.DRAINING: TimeLimit.IDLE,
    _S.CLOSING: TimeLimit.CLOSE,
}
"""ANSWERING and HALF_CLOSED last as long as the broker takes, which the upstream bounds; CLOSED lasts for good."""


class Lifecycle:
    """The state of one connection, and the form that its client has chosen."""

    __slots__ = ("is_lasting", "state")

    def __init__(self) -> None:
        self.state = LifeState.READING
        self.is_lasting = False
        """A newline came: replies end in a newline, too, also the last one."""

    def on(self, event: LifeEvent) -> tuple[LifeAction, ...]:
        """Go on by one event; what has to be done. Raises IllegalTransition."""
        step = TRANSITIONS[self.state].get(event)
        if step is None:
            raise IllegalTransition(f"{event.value} while {self.state.value}")
        self.state, actions = step
        if self.state is LifeState.LASTING:
            self.is_lasting = True
        return actions

    @property
    def is_over(self) -> bool:
        """Nothing more is read."""
        return self.state in _OVER


_OVER = (LifeState.CLOSING, LifeState.CLOSED)
