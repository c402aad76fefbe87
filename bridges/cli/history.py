"""``ipc history`` and ``ipc search``: mail of the past."""

from __future__ import annotations

from bridges.cli import session
from bridges.cli.mail import show
from bridges.plurals import number_of
from bridges.terminal import say, say_json, style
from broker.home.paths import Place

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any

OK, NOTHING = 0, 1


def history(place: Place, options: argparse.Namespace) -> int:
    with session.resume(place, options.as_) as me:
        fields = {"peer": options.peer, "thread": options.thread, "before": options.before, "limit": options.limit}
        page = me.request("history", **fields)
    return _archived(page, options, "ipc history --before {last}")


def search(place: Place, options: argparse.Namespace) -> int:
    """Exit status 1 if nothing was found."""
    with session.resume(place, options.as_) as me:
        page = me.request("search", query=" ".join(options.words), before=options.before, limit=options.limit)
    status = _archived(page, options, "ipc search ... --before {last}")
    return status if page["messages"] else NOTHING


def _archived(page: dict[str, Any], options: argparse.Namespace, next_page: str) -> int:
    if options.json:
        say_json(page)
        return OK
    for m in reversed(page["messages"]):
        to = m["to"] if isinstance(m["to"], str) else f"{len(m['to'])} readers"
        unread = style(" unread", "yellow") if m.get("read") is False else ""
        show({**m, "from": f"{m['from']} → {m.get('group') or to}"}, unread)
    if not page["messages"]:
        say("Nothing found")
    if page["more"]:
        say(f"older: {next_page.format(last=page['messages'][-1]['id'])}")
    if page.get("behind"):
        say(f"The newest mail is not indexed yet ({number_of(page['behind'], 'message')}); ask again in a moment")
    return OK
