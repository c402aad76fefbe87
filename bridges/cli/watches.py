"""Commands about what happens to other agents: tell-me, watches, unwatch, alarms."""

from __future__ import annotations

from bridges import watch_words
from bridges.cli import session
from bridges.fence import one_line
from bridges.terminal import ago, here, say, say_json, table
from broker.home.paths import Place

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

OK = 0


def tell_me(place: Place, options: argparse.Namespace) -> int:
    name, *words = [word for word in options.words if word.lower() != "when"] or [""]
    fields = watch_words.fields_of(words, here())
    with session.resume(place, options.as_) as me:
        watch = me.request("watch_agent", name=name, ttl_s=options.ttl, **fields)["watch"]
    if options.json:
        say_json(watch)
    else:
        say(watch_words.sentence(watch))
    return OK


def watches(place: Place, options: argparse.Namespace) -> int:
    with session.resume(place, options.as_) as me:
        rows = me.request("watches")["watches"]
    if options.json:
        say_json(rows)
    elif rows:
        head = ("WATCH", "OF", "TOLD WHEN", "ONLY", "HOW", "UNTIL")
        cells = [(str(r["id"]), r["name"], " ".join(r["events"]), r.get("resource", ""), _how(r), r["until"]) for r in rows]
        say(table(head, cells))
    else:
        say("You watch nobody; ipc tell-me when NAME is idle does")
    return OK


def _how(row: dict[str, object]) -> str:
    return ("once" if row["once"] else "each time") + (", wakes" if row["wake"] else "")


def unwatch(place: Place, options: argparse.Namespace) -> int:
    """Exit status 1 if there was no such watch."""
    with session.resume(place, options.as_) as me:
        dropped = me.request("unwatch_agent", watch_id=options.watch)["dropped"]
    if options.json:
        say_json({"dropped": dropped})
    else:
        say(f"Dropped {dropped}" if dropped else "No such watch of yours; ipc watches lists them")
    return OK if dropped or options.watch is None else 1


def alarms(place: Place, options: argparse.Namespace) -> int:
    with session.resume(place, options.as_) as me:
        rows = me.request("alarms")["alarms"]
    if options.json:
        say_json(rows)
    elif rows:
        say(table(("NAME", "SINCE", "HOW IT IS KNOWN"), [(r["name"], ago(r["since"]), one_line(r["evidence"])) for r in rows]))
    else:
        say("Nobody is stuck")
    return OK
