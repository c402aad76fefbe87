"""The pages: Now, lists, the service. Each is a function from the broker's replies by ``bridges.view`` to a template.

They change nothing. Those of mail are in ``bridges.web.mail_pages``.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timezone

from starlette.requests import Request
from starlette.responses import Response

from bridges.plurals import number_of
from bridges.view.agents import STATES, AgentLine, agents_of, waits_of
from bridges.view.charts import bars, series_of, spark
from bridges.view.graph import drawing, flows
from bridges.view.log_lines import LogLine, log_lines
from bridges.view.needs import Need
from bridges.view.times import moment
from bridges.web.desk import NEEDS, ROWS, Desk, before, look, page_after, show, whole_number
from bridges.web.log_tails import tails
from bridges.web.mail_pages import CHAT_LETTERS, agent, conversations, message, message_text, pair, search, thread, write
from bridges.web.samples import KEPT_S
from bridges.web.template_filters import size_in_page
from broker.protocol.spans import span

AGENTS, WAITS = 60, 30
"""Rows that a page shows of each."""
PERMISSION_BYTES, LOG_BYTES = 60_000, 120_000
"""Bytes of others' text in one page."""
MOST_DEAD = 1000
"""As far as the broker counts dead letters."""
HOUR_S = 3600.0
_EXPIRES_SOON_S = 86_400.0
_SPANS = ((1, "1 hour"), (24, "1 day"), (168, "7 days"))
_LEVELS = (("info", "All"), ("warning", "Warnings"), ("error", "Errors"))


async def now(request: Request, desk: Desk) -> Response:
    seen = await look(desk)
    lines = agents_of(seen.overview, seen.needs)
    first = whole_number(request.query_params.get("from", ""))
    pressing = _decidable([need for need in seen.needs if need.kind != "done"])
    dead = seen.overview["dead"]
    return show(
        request,
        seen,
        "now.html",
        "Now",
        summary=_summary(lines),
        needs=pressing[:NEEDS],
        more_needs=len(pressing) - NEEDS if len(pressing) > NEEDS else 0,
        done=[need for need in seen.needs if need.kind == "done"][:8],
        dead=str(dead) if dead < MOST_DEAD else f"{MOST_DEAD} and more",
        more_dead=dead > sum(need.kind == "bounce" for need in pressing[:NEEDS]),
        agents=lines[first : first + AGENTS],
        total=len(lines),
        unread=next((line.queued for line in lines if line.name == seen.person), 0),
        waits=waits_of(seen.overview)[:WAITS],
        next_page=page_after(request, **{"from": str(first + AGENTS)}) if first + AGENTS < len(lines) else "",
    )


def _decidable(needs: list[Need]) -> list[Need]:
    """Permissions whose whole text fits. Nobody decides on a text that is cut, so later ones wait for those before."""
    left = PERMISSION_BYTES
    found = []
    for need in needs:
        if need.kind == "permission" and need.id:
            left -= size_in_page(need.text)
            if left < 0:
                need = need._replace(id="", text="asks for more than fits here. Decide on the ones above first.")
        found.append(need)
    return found


def _summary(lines: Sequence[AgentLine]) -> str:
    counts = {state: sum(line.state == state for line in lines) for state in STATES}
    words = {"needs you": "need you" if counts["needs you"] > 1 else "needs you"}
    return " · ".join(f"{count} {words.get(state, state)}" for state, count in counts.items() if count)


# lists


async def traffic(request: Request, desk: Desk) -> Response:
    hours = whole_number(request.query_params.get("hours", "")) or 24
    seen = await look(desk)
    since_s = seen.now_s - hours * HOUR_S
    reply = await desk.ask("traffic", since_s=since_s)
    over_s = max(HOUR_S, seen.now_s - max(since_s, float(reply.get("since") or 0.0)))
    found = flows(reply, over_s)
    return show(
        request,
        seen,
        "traffic.html",
        "Who talks to whom",
        flows=found[:ROWS],
        more_flows=max(0, len(found) - ROWS),
        d=drawing(found),
        about=number_of(sum(flow.messages for flow in found), "message"),
        spans=_SPANS,
        chosen=hours,
    )


async def claims(request: Request, desk: Desk) -> Response:
    seen = await look(desk)
    rows = seen.overview["claims"]
    return show(request, seen, "claims.html", "Claims", claims=rows[:ROWS], more=max(0, len(rows) - ROWS))


async def dead(request: Request, desk: Desk) -> Response:
    seen = await look(desk)
    found = await desk.ask("dead_letters", limit=CHAT_LETTERS, **before(request))
    ttl_s = desk.settings.unread_ttl_s
    expiring = [
        {"name": row["id"], "queued": row["queued"], "oldest": row["oldest"], "until": _iso(moment(row["oldest"]) + ttl_s)}
        for row in seen.overview["agents"]
        if row.get("oldest") and moment(row["oldest"]) + ttl_s - seen.now_s < _EXPIRES_SOON_S
    ]
    return show(
        request,
        seen,
        "dead.html",
        "Dead letters",
        dead=found["dead"],
        next_page=page_after(request, before=found.get("next", "")),
        known=seen.names,
        expiring=expiring[:ROWS],
        kept=span(ttl_s),
    )


def _iso(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, timezone.utc).isoformat()


async def groups(request: Request, desk: Desk) -> Response:
    seen = await look(desk)
    return show(request, seen, "groups.html", "Groups", groups=seen.overview["groups"][:ROWS])


# the service


async def settings(request: Request, desk: Desk) -> Response:
    rows = desk.settings.public()
    return show(request, await look(desk), "settings.html", "Settings", rows=rows, file=str(desk.settings.home / "config.toml"))


async def log(request: Request, desk: Desk) -> Response:
    chosen = request.query_params.get("level", "info")
    chosen = chosen if chosen in dict(_LEVELS) else "info"
    folder = desk.settings.home / "logs"
    lines = log_lines(await asyncio.to_thread(tails, folder), chosen)
    seen = await look(desk)
    return show(request, seen, "log.html", "Log", lines=_fitting(lines), levels=_LEVELS, chosen=chosen, folder=str(folder))


def _fitting(lines: list[LogLine]) -> list[LogLine]:
    kept, left = [], LOG_BYTES
    for line in lines[:ROWS]:
        left -= size_in_page(f"{line.event[:300]}{line.trace[:4000]}") + sum(len(k) + len(v[:200]) * 2 for k, v in line.fields)
        if left < 0:
            break
        kept.append(line)
    return kept


async def charts(request: Request, desk: Desk) -> Response:
    seen = await look(desk)
    reply = await desk.ask("traffic", since_s=seen.now_s - KEPT_S)
    kept = list(desk.samples)
    series = [(one, spark(one, 240, 58)) for one in series_of(kept)]
    hours = bars(reply["hours"])
    began = _iso(kept[0].at_s if kept else time.time())
    about = f"The last {span(KEPT_S)}"
    words = f"Messages by hour, the oldest first: {', '.join(str(bar.messages) for bar in hours)}"
    return show(
        request, seen, "charts.html", "Metrics", series=series, hours=hours, hours_words=words, began=began, about=about
    )


ROUTES: list[tuple[str, Callable[[Request, Desk], Awaitable[Response]]]] = [
    ("/", now),
    ("/conversations", conversations),
    ("/thread/{thread}", thread),
    ("/with/{name}/{peer}", pair),
    ("/message/{message}", message),
    ("/message/{message}/text", message_text),
    ("/agent/{name}", agent),
    ("/write", write),
    ("/search", search),
    ("/traffic", traffic),
    ("/claims", claims),
    ("/dead", dead),
    ("/groups", groups),
    ("/settings", settings),
    ("/log", log),
    ("/charts", charts),
]
"""Path (Starlette's form) and function of each page. All are GET, for who is signed in."""
