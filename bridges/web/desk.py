"""What the pages share: what they have at hand, what they look up first, and how a template becomes an answer."""

from __future__ import annotations

from collections import deque
from typing import Any, NamedTuple, Protocol
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from bridges.person import Person, wanted_name
from bridges.view.charts import Sample
from bridges.view.needs import Need, needs_of
from bridges.view.times import moment
from bridges.web.rendering import rendered
from bridges.web.template_filters import MENU
from broker.home.settings import Settings

NEEDS, ROWS = 20, 200
"""Rows that a page shows at most."""
_THEMES = ("dark", "light")
_TOLD = {"sent": "Sent.", "answered": "Your answer is on its way.", "again": "Sent again."}


class Desk(Protocol):
    """What a page's function has at hand."""

    @property
    def settings(self) -> Settings: ...

    @property
    def person(self) -> Person: ...

    @property
    def samples(self) -> deque[Sample]: ...

    async def ask(self, action: str, **fields: Any) -> dict[str, Any]:
        """The broker's reply, to an action of the owner's. Raises IpcError."""
        ...


class Seen(NamedTuple):
    """What every page needs to know."""

    overview: dict[str, Any]
    needs: list[Need]
    person: str
    now_s: float

    @property
    def names(self) -> list[str]:
        """Whom one can write to."""
        agents = [row["id"] for row in self.overview["agents"] if row["id"] != self.person]
        return [*agents, *(group["name"] for group in self.overview["groups"])][:ROWS]


async def look(desk: Desk) -> Seen:
    overview = await desk.ask("overview")
    dead = (await desk.ask("dead_letters", limit=NEEDS))["dead"] if overview["dead"] else []
    person = desk.person.name or wanted_name(desk.settings)
    return Seen(overview, needs_of(overview, person, dead), person, moment(overview["at"]))


def show(request: Request, seen: Seen, template: str, title: str, **context: Any) -> Response:
    theme, path = request.cookies.get("theme", ""), request.url.path
    here = path if any(path == one for one, _, _ in MENU) else ""
    context |= {"title": title, "here": here, "back": path, "theme": theme if theme in _THEMES else ""}
    context["told"] = _TOLD.get(request.query_params.get("told", ""), "")
    pressing = sum(need.kind != "done" for need in seen.needs)
    return rendered(template, now_s=seen.now_s, needed=pressing, person=seen.person, **context)


def page_after(request: Request, **fields: str) -> str:
    """The same page with other fields in its query; empty if one of them is."""
    kept = {name: value for name, value in request.query_params.items() if name not in fields}
    return f"{request.url.path}?{urlencode({**kept, **fields})}" if all(fields.values()) else ""


def before(request: Request) -> dict[str, str]:
    """Where an older page begins, as ``letters`` and ``dead_letters`` take it."""
    found = request.query_params.get("before", "")
    return {"before": found} if found else {}


def whole_number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 7 else 0
