"""``ipc dead``: mail that ended unread, yours and to you: list it, show it, send it again, drop it."""

from __future__ import annotations

from bridges.cli import session
from bridges.cli.mail import plain, show, show_sent, start_of
from bridges.plurals import number_of
from bridges.terminal import ago, say, say_json, table
from broker.home.paths import Place
from broker.protocol.errors import IpcError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any

OK, NOTHING = 0, 1


def dead(place: Place, options: argparse.Namespace) -> int:
    """Exit status 1 if there is nothing to show."""
    what, ids = options.what, options.messages
    if what != "list" and not ids:
        raise IpcError("bad_request", detail=f"{what} needs the number of a dead letter: ipc dead lists them")
    if what == "send" and len(ids) > 1:
        raise IpcError("bad_request", detail="send takes one dead letter at a time")
    with session.resume(place, options.as_) as me:
        if what == "send":
            show_sent(me.request("dead_send", dead_id=ids[0], to_id=options.to), options.json)
            return OK
        if what == "drop":
            dropped = me.request("dead_drop", ids=ids)
            return _dropped(dropped, options)
        if what == "show":
            return _show([r for i in ids for r in me.request("dead", dead_id=i)["dead"]], options)
        return _list(me.request("dead", before=options.before, limit=options.limit), options)


def _dropped(reply: dict[str, Any], options: argparse.Namespace) -> int:
    if options.json:
        say_json(reply)
    else:
        say(f"Dropped {number_of(reply['dropped'], 'dead letter')}")
    return OK if reply["dropped"] else NOTHING


def _list(page: dict[str, Any], options: argparse.Namespace) -> int:
    rows = page["dead"]
    if options.json:
        say_json(page)
    elif rows:
        cells = [
            (r["id"], r["from"], r["to"], ago(r["at"]), f"{r['ending']}: {r['why']}", start_of(r["content"])) for r in rows
        ]
        say(table(("ID", "FROM", "TO", "ENDED", "WHY", "MESSAGE"), cells))
        if page["more"]:
            say(f"older: ipc dead list --before {rows[-1]['id']}")
    else:
        say("No dead letters")
    return OK if rows else NOTHING


def _show(rows: list[dict[str, Any]], options: argparse.Namespace) -> int:
    letters = [{**r, "message": {"content": r["content"], "data": r.get("data")}} for r in rows]
    if options.json:
        say_json([{**plain(m), "at": m["at"], "ending": m["ending"], "why": m["why"]} for m in letters])
        return OK if rows else NOTHING
    for m in letters:
        show(
            {**m, "from": f"{m['from']} → {m['to']}"}, f"  {start_of(m['ending'] + ' ' + ago(m['at']) + ': ' + m['why'], 250)}"
        )
    if not rows:
        say("It is off your list")
    return OK if rows else NOTHING
