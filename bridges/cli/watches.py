"""Commands about what happens to other agents: tell-me, watches, unwatch, alarms."""

from __future__ import annotations

from bridges import watch_words
from bridges.cli import session
from bridges.terminal import ago, here, say, say_json, say_rows
from broker.home.paths import Place

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

OK = 0


def tell_me(place: Place, options: argparse.Namespace) -> int:
    name, *words = [word for word in options.words if word.lower() != "when"] or [""]
    fields = watch_words.fields_of(words, here())
    watch = session.ask_as(place, options, "watch_agent", name=name, ttl_s=options.ttl, **fields)["watch"]
    if options.json:
        say_json(watch)
    else:
        say(watch_words.sentence(watch))
    return OK


def watches(place: Place, options: argparse.Namespace) -> int:
    rows = session.ask_as(place, options, "watches")["watches"]
    head = ("WATCH", "OF", "TOLD WHEN", "ONLY", "HOW", "UNTIL")
    cells = [(str(r["id"]), r["name"], " ".join(r["events"]), r.get("resource", ""), _how(r), r["until"]) for r in rows]
    return say_rows(rows, options.json, head, cells, "You watch nobody; ipc tell-me when NAME is idle does")


def _how(row: dict[str, object]) -> str:
    return ("once" if row["once"] else "each time") + (", wakes" if row["wake"] else "")


def unwatch(place: Place, options: argparse.Namespace) -> int:
    """Exit status 1 if there was no such watch."""
    dropped = session.ask_as(place, options, "unwatch_agent", watch_id=options.watch)["dropped"]
    if options.json:
        say_json({"dropped": dropped})
    else:
        say(f"Dropped {dropped}" if dropped else "No such watch of yours; ipc watches lists them")
    return OK if dropped or options.watch is None else 1


def alarms(place: Place, options: argparse.Namespace) -> int:
    rows = session.ask_as(place, options, "alarms")["alarms"]
    cells = [(r["name"], ago(r["since"]), r["evidence"]) for r in rows]
    return say_rows(rows, options.json, ("NAME", "SINCE", "HOW IT IS KNOWN"), cells, "Nobody is stuck")
