"""A conversation, read: all mail of an agent, or one thread. Of others it is neither leased nor acknowledged by that.

Mail to the person that stands here was read by the person, as at the page: its senders are told, and it does not come back.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, ClassVar, Protocol

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widgets import Static

from bridges.fence import one_line
from bridges.tui.board import Board
from bridges.tui.lines import Row, cut, wrapped
from bridges.view.conversations import Bubble, bubbles
from bridges.view.times import ago

_PAGE = 50


class Acts(Protocol):
    """What the view around it does for the person who reads."""

    @property
    def person_name(self) -> str: ...
    def now_s(self) -> float: ...
    async def owner(self, action: str, **fields: Any) -> Any: ...
    def say(self, what: str) -> None: ...
    def has_read(self, ids: list[str]) -> None: ...
    def answer(self, message_id: str, name: str, text: str) -> None: ...
    def write_to(self, name: str) -> None: ...
    def ask_pair(self, name: str) -> None: ...
    def pause_pair(self, name: str, other: str) -> None: ...


class TalkScreen(Screen[None]):
    """Mail, the newest below. ``wanted`` are the fields of ``letters`` that choose it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,left", "app.pop_screen"),
        Binding("o", "older"),
        Binding("a", "answer"),
        Binding("w", "write"),
        Binding("p", "pause_pair"),
        Binding("question_mark", "app.help"),
    ]
    DEFAULT_CSS = "TalkScreen #title { text-style: bold; height: 1; } TalkScreen #keys { height: 1; }"

    def __init__(self, acts: Acts, title: str, wanted: dict[str, Any], other: str) -> None:
        super().__init__()
        self._acts = acts
        self._title, self._wanted, self._other = title, wanted, other
        self._messages: list[dict[str, Any]] = []
        self._next = ""

    def compose(self) -> ComposeResult:
        yield Static(self._title, id="title", markup=False)
        yield Board(chooses=False)
        yield Static("", id="keys", markup=False)

    def on_mount(self) -> None:
        self.load()

    def on_resize(self) -> None:
        self._draw(at_end=False)

    def news(self) -> None:
        """Something has changed; perhaps what became of the mail here."""
        self.load()

    @work(exclusive=True, group="newest")
    async def load(self) -> None:
        found = await self._asked()
        if found is not None:
            board = self.query_one(Board)
            newest = {m["id"] for m in found["messages"]}
            if not self._messages:
                self._next = found.get("next", "")
            self._messages = [*found["messages"], *(m for m in self._messages if m["id"] not in newest)]
            self._draw(at_end=board.scroll_offset.y >= board.max_scroll_y)

    @work(exclusive=True, group="older")
    async def load_older(self) -> None:
        found = await self._asked(before=self._next)
        if found is not None:
            self._messages += found["messages"]
            self._next = found.get("next", "")
            self._draw(at_end=False)

    async def _asked(self, **page: str) -> Any:
        return await self._acts.owner("letters", **self._wanted, **page, steps=True, limit=_PAGE)

    def _draw(self, *, at_end: bool) -> None:
        board = self.query_one(Board)
        columns = max(20, self.size.width - 1)
        found = bubbles(self._messages, self._acts.person_name)
        board.show(talk_rows(found, columns, self._acts.now_s(), bool(self._next)))
        self._acts.has_read([one.id for one in found if one.unread])
        if at_end:
            board.scroll_end(animate=False)
        keys = "j,k scroll   a answer   w write   p pause the pair   o older   esc back"
        self.query_one("#keys", Static).update(cut(keys, self.size.width))

    def action_older(self) -> None:
        if self._next:
            self.load_older()

    def action_write(self) -> None:
        self._acts.write_to(self._other)

    def action_answer(self) -> None:
        """Answer the newest message that the person got in it."""
        name = self._acts.person_name
        last = next((m for m in self._messages if name in m["to"] and m["from"] != name), None)
        if last is None:
            self._acts.say(f"Nothing here was written to {name or 'you'}; w writes to {self._other}")
        else:
            self._acts.answer(last["id"], last["from"], last["message"]["content"])

    def action_pause_pair(self) -> None:
        names = list(dict.fromkeys(name for m in self._messages for name in (m["from"], *m["to"])))
        if len(names) == 2:
            self._acts.pause_pair(names[0], names[1])
        else:
            self._acts.ask_pair(self._other)


def talk_rows(found: Sequence[Bubble], columns: int, now_s: float, more: bool) -> list[Row]:
    """The lines of a chat, oldest message first."""
    rows = [Row("", (("o: older messages", "dim"),))] if more else []
    if not found:
        return [Row("", (("no mail yet", "dim"),))]
    for one in found:
        rows += _bubble_rows(one, columns, now_s)
    return rows


def _bubble_rows(one: Bubble, columns: int, now_s: float) -> list[Row]:
    rows: list[Row] = []
    if not one.continues:
        several = f" and {len(one.to) - 3} more" if len(one.to) > 3 else ""
        to = f"{one.group} (group)" if one.group else ", ".join(one.to[:3]) + several
        head = cut(f"{one.sender} → {to}", max(10, columns - 8))
        urgent = "  urgent" if one.land == "interrupt" else ""
        rows = [Row("", ()), Row("", ((head, "bold cyan" if one.side == "left" else "bold green"), (urgent, "red")))]
    if one.quote:
        rows.append(Row("", ((cut(f"  > {one.quote}", columns), "dim"),)))
    rows += [Row("", ((f"  {line}", ""),)) for line in wrapped(one.text, columns - 2)]
    if one.data is not None:
        rows.append(Row("", ((cut(f"  data: {json.dumps(one.data, ensure_ascii=False)}", columns), "dim"),)))
    if one.file:
        rows.append(Row("", ((cut(f"  whole text: {one.file['path']}", columns), "dim"),)))
    told = ", ".join(f"{r.to}: {r.words}{f' ({r.why})' if r.why else ''}" for r in one.receipts[:4])
    rows.append(Row("", ((cut(f"  #{one.id}  {ago(one.at, now_s)}  {one_line(told)}", columns), "dim"),)))
    return rows
