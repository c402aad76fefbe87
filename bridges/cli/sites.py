"""``ipc sites``: what waits for other sites, since when and why; and what is known of their agents."""

from __future__ import annotations

from bridges.plurals import number_of
from bridges.terminal import ago, doing, say, say_json, style, table
from broker.client.json_lines import QuickConnection
from broker.home.paths import Place
from broker.protocol.spans import span

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from typing import Any

OK = 0
_NONE = "This broker belongs to no site: all its names are here. docs/many-machines.md joins it to others"


def sites(place: Place, options: argparse.Namespace) -> int:
    with QuickConnection(place) as broker:
        found = broker.request({"action": "sites"})
    if options.json:
        del found["status"]
        say_json(found)
    elif not found["site"]:
        say(_NONE)
    else:
        say(site_line(found))
        say(waiting(found) if found["sites"] else "No other site is known yet; ipc nats add-site adds one")
    return OK


def site_line(found: dict[str, Any]) -> str:
    line = f"site     {state(found)}"
    return line if found["connected"] else style(line, "yellow")


def state(found: dict[str, Any]) -> str:
    """This site in a few words: ``paris, connected; 3 messages wait for rome``."""
    from bridges.fence import one_line

    why = f": {found['why']}" if found.get("why") else ""
    link = "connected" if found["connected"] else f"not connected{one_line(why)}"
    waits = [
        f"{number_of(row['waiting'], 'message waits', 'messages wait')} for {row['site']}"
        for row in found["sites"]
        if row.get("waiting")
    ]
    return "; ".join([f"{found['site']}, {link}", *waits])


def waiting(found: dict[str, Any]) -> str:
    """A line for each site: how much waits there, how much of it the servers have, since when, who was heard of, and why."""
    head = ("SITE", "WAITING", "STORED", "SINCE", "HEARD", "AGENTS", "WHY")
    told = f": {found.get('why')}"  # of the whole link; the line above has it
    return table(head, [(*_cells(row), row.get("why", "").removesuffix(told)) for row in found["sites"]])


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    waits = [str(row.get(name, "")) for name in ("waiting", "stored")]
    return (row["site"], *waits, ago(row["since"]) if "since" in row else "", _heard(row), str(row.get("agents", "")))


def _heard(row: dict[str, Any]) -> str:
    """How long ago a site was heard of, ``not yet`` if not since the service started."""
    if "age_s" not in row:
        return "not yet"
    return f"{span(row['age_s'])} ago{', away' if row.get('away') else ''}"


def agents(rows: Sequence[dict[str, Any]]) -> str:
    """A line for each agent of other sites. What is told of it is as old as HEARD says."""
    head = ("NAME", "HEARD", "PRESENCE", "ON", "SILENT FOR")
    return table(head, [(r["id"], _heard(r), doing(r), r.get("note", ""), span(r.get("silent_s", 0))) for r in rows])
