"""What the tests saw of each host, with which version: docs/seen.json, and made from it the table in docs/hosts.md.

``AGENT_IPC_TEST_SEEN=docs/seen.json pytest -m host`` adds what a run has seen (tests/hosts/showing.py), ``python -m
bench.hosts.seen`` makes the table. What failed is taken out for that version; what did not run stays as it was.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from bridges.known_hosts.catalogue import title

ROOT = Path(__file__).resolve().parents[2]
SEEN, PAGE = ROOT / "docs/seen.json", ROOT / "docs/hosts.md"
FEATURES = {
    "start": "the first request of a session has its name, and the mail that waited",
    "prompt": "mail comes with the user's next prompt",
    "tool": "mail comes after a tool call",
    "stop": "a turn that would end is held for urgent mail",
    "tools": "the model calls the mail tools, and is the agent that the hooks know",
    "wake": "mail begins a turn of an idle session",
    "permission": "a permission prompt is decided elsewhere",
    "end": "the end of a session is told",
    "uninstall": "the host knows what was installed, and after `ipc uninstall` no more",
    "resume": "mail starts the closed session again, the same one",
}
"""What a test can show of a host, and what is meant by it."""
_BEGINS, _ENDS = "<!-- made by python -m bench.hosts.seen -->\n", "<!-- end -->\n"


class Sight(NamedTuple):
    """That a feature of a host was seen, on a day (UTC)."""

    host: str
    version: str
    feature: str
    date: str

    @property
    def of(self) -> tuple[str, str, str]:
        return self[:3]


def load(path: Path = SEEN) -> list[Sight]:
    """Empty where there is no such file."""
    return [Sight(**row) for row in json.loads(path.read_text(encoding="utf-8"))] if path.exists() else []


def write(path: Path, sights: list[Sight]) -> None:
    """One row a line, so that changes can be read."""
    rows = ",\n".join(json.dumps(sight._asdict()) for sight in sights)
    path.write_text(f"[\n{rows}\n]\n", encoding="utf-8")


def merged(known: list[Sight], ran: Mapping[tuple[str, str, str], bool], date: str) -> list[Sight]:
    """``ran``: of each (host, version, feature) that tests ran for, whether all of them passed."""
    by_key = {sight.of: sight for sight in known if ran.get(sight.of, True)}
    by_key |= {key: Sight(*key, date) for key, passed in ran.items() if passed}
    return sorted(by_key.values(), key=lambda sight: (sight.host, _ordered(sight.version), [*FEATURES].index(sight.feature)))


def table(sights: list[Sight]) -> str:
    """Markdown: a line for each version of a host, the newest first."""
    versions: dict[tuple[str, str], dict[str, str]] = {}
    for sight in sights:
        versions.setdefault((title(sight.host), sight.version), {})[sight.feature] = sight.date
    lines = [f"| host | version | {' | '.join(FEATURES)} | last seen |", f"|{'---|' * (len(FEATURES) + 3)}"]
    for (name, version), dates in sorted(versions.items(), key=lambda row: (row[0][0].lower(), _newest_first(row[0][1]))):
        marks = " | ".join("✓" if feature in dates else " " for feature in FEATURES)
        lines.append(f"| {name} | {version} | {marks} | {max(dates.values())} |")
    words = "; ".join(f"*{feature}*: {meaning}" for feature, meaning in FEATURES.items())
    return "\n".join([*lines, "", f"{words}. Where nothing stands, no test saw it: the host can't, or no test asks.", ""])


def with_table(page: str, sights: list[Sight]) -> str:
    """The page with the table of these in its place."""
    head, _, rest = page.partition(_BEGINS)
    return f"{head}{_BEGINS}\n{table(sights)}\n{_ENDS}{rest.partition(_ENDS)[2]}"


def _ordered(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)]


def _newest_first(version: str) -> list[int]:
    return [-number for number in _ordered(version)]


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8"), load()), encoding="utf-8")
