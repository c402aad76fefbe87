"""An hour of a team of six agents: 400 messages, and the turns in which their users have them work.

What is written follows from what was read: a line with a ``cause`` is written ``delay_s`` after its writer has read that line,
in the turn in which it reads it. The others are written in turns of their writers, at ``at_s``. The same seed makes the same
hour.
"""

import random
from dataclasses import dataclass, field
from typing import Any

AGENTS = ("lead", "api", "web", "store", "tests", "docs")
LENGTH_S = 3600.0
MESSAGES = 400
SEED = "a team of six"

_WORK = (
    "the date parser", "the retry of uploads", "the page of settings", "the index of orders", "the login form",
    "the export to CSV", "the cache of sessions", "the rate limit", "the error page", "the migration of users",
)  # fmt: skip
_TASKS = (
    "Please take {work}: it fails where the input is empty. Keep the public names as they are, add a test for the case, and "
    "tell me which files you changed.",
    "Next for you is {work}. The report says that it is slow with more than a thousand rows. Measure first, then change "
    "what costs most, and leave the rest alone.",
    "Review {work} before I merge it, above all what happens when two requests come at once. A list of what must change is "
    "enough, most important first.",
)
_STARTS = ("On it.", "Will do, starting with the failing case.", "Taking it now, I have just finished the last one.")
_RESULTS = (
    "Done: {work} works with empty input now. I changed two files and added three tests, all of them pass here. The public "
    "names are as they were. One thing I left: the old fixture, which two other tests still use.",
    "Finished {work}. Most of the time went into reading the same row again and again; with one query instead of many it takes "
    "a tenth. The numbers are in the commit's message. Nothing else was touched.",
    "I have read {work}. Two things must change: the lock is taken after the check, and the error hides which request failed. "
    "The rest is good, the names above all.",
)
_QUESTIONS = (
    "Which of the two forms of {work} is the one that clients use?",
    "Is it fine if {work} answers with an empty list instead of an error?",
    "Where does {work} take its time limit from, the settings or the request?",
)
_ANSWERS = (
    "The second: the first is only kept for old clients and goes away with the next version.",
    "Yes, that is what the page of the interface says, and the client copes with it.",
    "From the settings; a request can only make it shorter.",
)
_THANKS = (
    "Thanks, that was quick!",
    "Thank you, exactly what I needed. Merged.",
    "Great work, thanks a lot. I have told the others.",
    "Perfect, thank you. That closes it for me.",
)
_WELCOMES = ("You're welcome!", "Glad it helped. Good luck with the rest.", "Any time.")
_STATUS = (
    "Status: {work} is merged, main is green.",
    "I am at {work} for the next while, please keep out of that folder.",
    "Heads up: {work} has moved to its own module, imports of the old path still work.",
    "The nightly run is through: all green but one flaky test, which I look at.",
)
_CHECKS = ("lint passed", "unit tests passed", "build finished in 48 s", "2 of 214 tests failed: test_export, test_login")
_NOTES = (
    "For later: {work} has a comment that is out of date.",
    "No hurry: when you are at {work} next time, the helper at its end is unused.",
)
_ALARMS = ("Stop: {work} writes to the live data. Leave it alone until I say so.",)


@dataclass
class Line:
    """One message of the hour."""

    number: int
    kind: str
    sender: str
    to: str
    """A name, or ``all``."""
    text: str
    at_s: float = 0.0
    cause: int | None = None
    delay_s: float = 0.0
    replies: bool = False
    asks: bool = False
    waits_s: float = 0.0
    fields: dict[str, Any] = field(default_factory=dict)
    """What else the request says: how it is to land, if its writer cares."""
    data: Any = None


@dataclass(frozen=True)
class Turn:
    """A turn that an agent's user began."""

    agent: str
    at_s: float
    length_s: float


@dataclass
class Hour:
    """The script."""

    turns: list[Turn] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)

    def after(self, number: int) -> list[Line]:
        return [line for line in self.lines if line.cause == number]


class Writer:
    """Makes one hour."""

    def __init__(self, seed: str) -> None:
        self.rng = random.Random(seed)  # noqa: S311 (a script, which is to be the same each time)
        self.hour = Hour()

    def write(self) -> Hour:
        self._turns()
        kinds = (self._task, self._question, self._status, self._burst, self._note, self._alarm, self._asked)
        weights = (38, 30, 40, 6, 30, 4, 12)
        while len(self.hour.lines) < MESSAGES:
            self.rng.choices(kinds, weights)[0]()
        del self.hour.lines[MESSAGES:]
        return self.hour

    def _turns(self) -> None:
        """Each agent's user begins a turn every few minutes, which takes one or two."""
        for agent in AGENTS:
            at_s = self.rng.uniform(0, 90)
            while at_s < LENGTH_S - 60:
                length_s = self.rng.uniform(30, 150)
                self.hour.turns.append(Turn(agent, at_s, length_s))
                at_s += length_s + self.rng.uniform(60, 300)

    def _add(self, kind: str, sender: str, to: str, text: str, **fields: Any) -> Line:
        line = Line(len(self.hour.lines), kind, sender, to, text.format(work=self.rng.choice(_WORK)), **fields)
        self.hour.lines.append(line)
        return line

    def _when(self) -> tuple[str, float]:
        """An agent, and a moment within one of its turns."""
        turn = self.rng.choice(self.hour.turns)
        return turn.agent, turn.at_s + self.rng.uniform(0.1, 0.9) * turn.length_s

    def _other(self, agent: str) -> str:
        return self.rng.choice([other for other in AGENTS if other != agent])

    def _reply(self, kind: str, to: Line, low_s: float, high_s: float, text: str, **fields: Any) -> Line:
        delay_s = self.rng.uniform(low_s, high_s)
        return self._add(kind, to.to, to.sender, text, cause=to.number, delay_s=delay_s, replies=True, **fields)

    def _courtesies(self, to: Line, chance: float) -> None:
        if self.rng.random() < chance:
            thanks = self._reply("thanks", to, 3, 8, self.rng.choice(_THANKS))
            if self.rng.random() < 0.6:
                welcome = self._reply("thanks", thanks, 2, 5, self.rng.choice(_WELCOMES))
                if self.rng.random() < 0.25:
                    self._reply("thanks", welcome, 2, 5, self.rng.choice(_WELCOMES))

    def _task(self) -> None:
        sender, at_s = self._when()
        kind = self.rng.randrange(len(_TASKS))
        task = self._add("task", sender, self._other(sender), _TASKS[kind], at_s=at_s)
        if self.rng.random() < 0.7:
            self._reply("start", task, 3, 8, self.rng.choice(_STARTS))
        data = {"files": ["src/a.py", "tests/test_a.py"], "passed": 214} if self.rng.random() < 0.15 else None
        result = self._reply("result", task, 40, 150, _RESULTS[kind], data=data)
        self._courtesies(result, 0.85)

    def _question(self) -> None:
        sender, at_s = self._when()
        kind = self.rng.randrange(len(_QUESTIONS))
        waits_s = 60.0 if self.rng.random() < 0.5 else 0.0
        asked = self._add("question", sender, self._other(sender), _QUESTIONS[kind], at_s=at_s, asks=True, waits_s=waits_s)
        self._courtesies(self._reply("answer", asked, 6, 20, _ANSWERS[kind]), 0.7)

    def _asked(self) -> None:
        """A question that is plain mail."""
        sender, at_s = self._when()
        kind = self.rng.randrange(len(_QUESTIONS))
        asked = self._add("question", sender, self._other(sender), _QUESTIONS[kind], at_s=at_s)
        self._courtesies(self._reply("answer", asked, 6, 20, _ANSWERS[kind]), 0.6)

    def _status(self) -> None:
        sender, at_s = self._when()
        self._add("status", sender, "all", self.rng.choice(_STATUS), at_s=at_s)

    def _burst(self) -> None:
        """A script of an agent tells of each step."""
        sender, at_s = self._when()
        to = self._other(sender)
        for step in range(self.rng.randint(4, 7)):
            self._add("burst", sender, to, self.rng.choice(_CHECKS), at_s=at_s + step * self.rng.uniform(0.5, 2))

    def _note(self) -> None:
        sender, at_s = self._when()
        fields = {"land": "turn"} if self.rng.random() < 0.6 else {}
        self._add("note", sender, self._other(sender), self.rng.choice(_NOTES), at_s=at_s, fields=fields)

    def _alarm(self) -> None:
        sender, at_s = self._when()
        alarm = self._add("alarm", sender, self._other(sender), _ALARMS[0], at_s=at_s, fields={"land": "interrupt"})
        self._reply("answer", alarm, 3, 6, "Stopped, nothing was written since.")


def an_hour(seed: str = SEED) -> Hour:
    return Writer(seed).write()
