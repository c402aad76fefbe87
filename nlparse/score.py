"""How well a parse does on files of cases: JSON lines of a request and the answer that RULES.md asks for."""

import json
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nlparse.parser import parse

SENDING = frozenset(["send", "broadcast", "reply", "forward", "share_file"])
ACTING = SENDING | {"register", "rename"}
"""The intents that change something: given where none was meant, they are false actions."""


@dataclass(slots=True)
class Score:
    cases: int = 0
    exact: int = 0
    no_commands: int = 0
    false_actions: int = 0
    wrong_recipients: int = 0
    hints: int = 0
    right_hints: int = 0
    seconds: float = 0.0
    wrong: list[tuple[dict[str, Any], dict[str, Any]]] = field(default_factory=list)
    """(case, answer) of each answer that is not as expected."""

    def __str__(self) -> str:
        n = max(1, self.cases)
        return (
            f"exact {self.exact / n:.3f}, false actions {self.false_actions / max(1, self.no_commands):.3f} of "
            f"{self.no_commands} that are no command, wrong recipients {self.wrong_recipients / n:.3f}, "
            f"suggestions {self.right_hints / self.hints if self.hints else 1.0:.3f}; "
            f"{self.cases} cases, {self.seconds / n * 1e6:.0f} µs each"
        )

    def add(self, case: dict[str, Any], answer: dict[str, Any]) -> None:
        want, got = dict(case["expect"]), dict(answer)
        want_hint, got_hint = want.pop("did_you_mean", None), got.pop("did_you_mean", None)
        self.cases += 1
        self.exact += got == want
        if want["intent"] == "unknown":
            self.no_commands += 1
            self.false_actions += got["intent"] in ACTING
        elif got["intent"] in SENDING:
            self.wrong_recipients += (got["intent"], got.get("to")) != (want["intent"], want.get("to"))
        if want_hint or got_hint:
            self.hints += 1
            self.right_hints += want_hint == got_hint
        if answer != case["expect"]:
            self.wrong.append((case, answer))


def score(files: Iterable[Path]) -> Score:
    """Raises OSError and ValueError for a file that cannot be read as cases."""
    total = Score()
    for path in files:
        for line in path.read_text(encoding="utf-8").split("\n"):
            if not line.strip():
                continue
            case = json.loads(line)
            start = time.thread_time()
            command = parse(case["text"], me=case["me"], known=case["known"], last_from=case["last_from"])
            total.seconds += time.thread_time() - start
            total.add(case, command.answer())
    return total
