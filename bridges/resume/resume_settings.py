"""``[hosts.resume]`` of config.toml: which closed agents mail may start again, whose mail, how often, and within which bounds.

[hosts.resume]
names = ["fred"]          # whose sessions; without this nobody's
from = ["person"]         # whose mail: person (you), names of agents, webhook-SOURCE, NAME@SITE
per_day = 5               # starts of one agent in 24 hours
quiet = "22:00-07:00"     # no start in these hours of the day
minutes = 10              # after that a body is ended
turns = 20                # at most so many turns of the model, where the host has a limit for it; 0 = no limit
dollars = 0               # likewise of money
"""

import re
from datetime import datetime
from typing import NamedTuple

from bridges.config_table import ConfigTable, config_table
from broker.protocol.addresses import EVERY, is_address
from broker.protocol.names import WEBHOOK, is_name, is_reserved, is_webhook

TABLE = "hosts.resume"
PERSON = "person"
_HOURS = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")


class ResumeSettings(NamedTuple):
    """What the owner allows."""

    names: tuple[str, ...]
    senders: tuple[str, ...]
    per_day: int
    quiet: str
    minutes: int
    turns: int
    dollars: float

    def quiet_until(self, now: datetime) -> str:
        """The end of the quiet hours that ``now`` lies in, such as ``07:00``; empty outside of them."""
        first, _, last = self.quiet.partition("-")
        at = f"{now:%H:%M}"
        within = first <= at < last if first <= last else at >= first or at < last
        return last if self.quiet and within else ""


def read_resume(home: str) -> ResumeSettings:
    """The table; without one nobody is named. Raises SettingsError."""
    hosts = config_table(home, "hosts")
    table = None if hosts is None else hosts.table("resume")
    if table is None:
        return ResumeSettings((), ("person",), 5, "", 10, 20, 0.0)
    names, senders = table.texts("names"), table.texts("from", ("person",))
    quiet = table.text("quiet")
    found = ResumeSettings(
        names,
        senders,
        _whole(table, "per_day", 5, 1, 1000),
        quiet,
        _whole(table, "minutes", 10, 1, 240),
        _whole(table, "turns", 20, 0, 1000),
        table.number("dollars", 0, 0, 1000),
    )
    table.end()
    _check(table, found)
    return found


def _whole(table: ConfigTable, key: str, default: int, low: int, high: int) -> int:
    value = table.number(key, default, low, high)
    if value != int(value):
        table.fail(key, f"must be a whole number, not {value:g}")
    return int(value)


def _check(table: ConfigTable, found: ResumeSettings) -> None:
    if wrong := [name for name in found.names if not is_name(name) or is_reserved(name)]:
        table.fail("names", f"holds names of agents, and {wrong[0]!r} is none")
    if meant := [one for one in found.senders if one != PERSON and one.lower() == PERSON]:
        table.fail("from", f'means you by "{PERSON}" alone, and {meant[0]!r} would be an agent of that name: write "{PERSON}"')
    wrong = [one for one in found.senders if not _may_write(one)]
    if wrong or not found.senders:
        what = f"not {wrong[0]!r}" if wrong else "at least one"
        table.fail("from", f"holds person, names of agents, webhook-SOURCE or NAME@SITE, {what}")
    if not found.quiet:
        return
    if not _HOURS.fullmatch(found.quiet):
        table.fail("quiet", f'must be two times of the day, such as "22:00-07:00", not {found.quiet!r}')
    if len(set(found.quiet.split("-"))) == 1:
        table.fail(
            "quiet", f"begins and ends at the same time: {found.quiet!r}. Leave it out for none; for no starts take names out"
        )


def _may_write(sender: str) -> bool:
    """Whether mail can have this sender: a name that somebody can take, an address of one, or a webhook's."""
    name, at, _ = sender.partition("@")
    if not (is_name(sender) or is_address(sender)) or name == EVERY:
        return False
    return not is_reserved(name) or (is_webhook(name) and name.lower() != WEBHOOK and not at)
