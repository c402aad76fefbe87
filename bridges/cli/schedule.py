"""``ipc schedule``: mail that is sent later, or again and again: make one, list yours, drop one."""

from __future__ import annotations

from bridges.cli import session
from bridges.cli.mail import message_of, start_of
from bridges.cli.values import schedule_number
from bridges.terminal import say, say_json, say_rows
from broker.home.paths import Place
from broker.protocol.errors import IpcError
from broker.protocol.spans import span

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any

OK, NOTHING = 0, 1


def schedule(place: Place, options: argparse.Namespace) -> int:
    """Exit status 1 if there is no such schedule to drop."""
    when = {"in_s": options.in_, "at_s": options.at, "every_s": options.every, "cron": options.cron, "until_s": options.until}
    when = {name: value for name, value in when.items() if value is not None}
    if options.to is None:
        return _list(place, options)
    if options.to == "drop" and not when:
        return _drop(place, options)
    if not when:
        raise IpcError("bad_request", detail="say when: --in 20m, --at 17:30, --every 1h or --cron '0 9 * * 1-5'")
    fields = {"message": message_of(options), "message_id": options.id, "land": options.land, **when}
    reply = session.ask_as(place, options, "schedule", to_id=options.to, **fields)
    if options.json:
        say_json(reply)
        return OK
    from bridges.fence import one_line

    made = reply["schedule"]
    if "id" not in made:
        say(f"Sent before under this id (number {made['last']})")
        return OK
    say(one_line(f"Schedule {made['id']} to {made['to']}: {_how(made)}, {_next(made)}"))
    if "did_you_mean" in reply:
        say(one_line(f"Nobody has this name yet. Did you mean {reply['did_you_mean']}?"))
    if "note" in reply:
        say(one_line(reply["note"]))
    return OK


def _list(place: Place, options: argparse.Namespace) -> int:
    rows = session.ask_as(place, options, "schedules")["schedules"]
    head = ("ID", "TO", "WHEN", "NEXT", "SENT", "REFUSED", "MESSAGE")
    cells = [
        (str(r["id"]), r["to"], _how(r), _local(r["next"]), str(r["sent"]), r.get("failed", ""), start_of(r["content"]))
        for r in rows
    ]
    return say_rows(rows, options.json, head, cells, "Nothing is scheduled; ipc schedule NAME TEXT --in 20m does")


def _drop(place: Place, options: argparse.Namespace) -> int:
    if len(options.text) != 1:
        raise IpcError("bad_request", detail="drop takes the number of a schedule: ipc schedule lists them")
    number = schedule_number(options.text[0].removeprefix("#"))
    dropped = session.ask_as(place, options, "schedule_drop", schedule_id=number)["dropped"]
    if options.json:
        say_json({"dropped": dropped})
    else:
        say("Dropped" if dropped else "No such schedule of yours; ipc schedule lists them")
    return OK if dropped else NOTHING


def _how(row: dict[str, Any]) -> str:
    until = f" until {_local(row['until'])}" if "until" in row else ""
    if row["kind"] == "every":
        return f"every {span(float(row['spec']))}{until}"
    return f"cron {row['spec']}{until}" if row["kind"] == "cron" else "once"


def _next(row: dict[str, Any]) -> str:
    return f"next {_local(row['next'])}" if row["kind"] in ("every", "cron") else _local(row["next"])


def _local(timestamp: str) -> str:
    """A time of the broker's by this machine's clock, to the second."""
    from datetime import datetime

    return datetime.fromisoformat(timestamp).astimezone().strftime("%Y-%m-%d %H:%M:%S")
