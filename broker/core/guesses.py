"""Wrong proofs and tokens: how many are looked at, and what is logged of them.

Only failures pay: a right token is found by its hash before anything here runs, and is never refused for what others
guess. A token has 256 random bits, so this is no lock; it bounds what guessing costs and what it writes into the log.
"""

from dataclasses import dataclass

from broker.core.state import GUESSES
from broker.core.turn import Incoming, Turn
from broker.errors import IpcError

A_SECOND = 0.5
"""So many guesses are allowed anew each second."""
_DOORS = frozenset({"tcp", "mcp", "cli", "hook", "remote"})
_CONNECTIONS = 1024
"""Connections that are kept in mind; the one that began longest ago is forgotten first."""


@dataclass(slots=True)
class Guesser:
    """One connection's wrong tokens: how many are still looked at, as of when (monotonic)."""

    left: float = GUESSES
    counted_s: float = 0.0

    def wait_s(self, now_s: float) -> float:
        """Seconds until the next is looked at, 0 if it is now."""
        self.left = min(GUESSES, self.left + max(0.0, now_s - self.counted_s) * A_SECOND)
        self.counted_s = now_s
        return 0.0 if self.left >= 1 else (1 - self.left) / A_SECOND


def wrong_token(turn: Turn, request: Incoming, refused: IpcError) -> IpcError:
    """What a request with a token of nobody is told: ``refused``, or ``too_many_tokens`` once its connection tried too many.

    All clients of one door of ours share its connection to the broker, so its guesses are counted apart from those of others
    that a client may say it is. A request without a token is no guess.
    """
    if not request.token or not isinstance(request.token, str):
        return refused
    guessers, key = turn.state.guessers, (request.route, request.door if request.door in _DOORS else "")
    guesser = guessers.get(key)
    if guesser is None:
        guesser = guessers[key] = Guesser(counted_s=turn.now.mono_s)
        if len(guessers) > _CONNECTIONS:
            del guessers[next(iter(guessers))]
    wait_s = guesser.wait_s(turn.now.mono_s)
    if wait_s > 0:
        return IpcError("too_many_tokens", retry_after_s=wait_s)
    if not turn.careful:  # a batch that is decided again has counted it before
        guesser.left -= 1
    turn.event("token_refused", action=str(request.body.get("action"))[:64])
    return refused
