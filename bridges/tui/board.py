"""Lines on the screen, one of which is chosen. Each is cells with a style of ours: nothing in a text is ever markup."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from bridges.tui.lines import Row

MOVES: list[BindingType] = [
    Binding("j,down", "move(1)"),
    Binding("k,up", "move(-1)"),
    Binding("pagedown,ctrl+f", "page(1)"),
    Binding("pageup,ctrl+b", "page(-1)"),
    Binding("home,g", "move(-1000000)"),
    Binding("end,G", "move(1000000)"),
]


class Board(ScrollView, can_focus=True):
    """Rows, with a mark on the chosen one that stays on what it is about when rows come and go."""

    BINDINGS: ClassVar[list[BindingType]] = MOVES
    DEFAULT_CSS = "Board { height: 1fr; overflow-x: hidden; scrollbar-size-vertical: 1; }"

    def __init__(self, *, chooses: bool = True) -> None:
        super().__init__()
        self._rows: Sequence[Row] = ()
        self._at = 0
        self._chooses = chooses
        """False for a text, of which no line is chosen: keys scroll it."""

    @property
    def chosen(self) -> Row | None:
        return self._rows[self._at] if self._at < len(self._rows) and self._rows[self._at].key else None

    def show(self, rows: Sequence[Row]) -> None:
        """Show these. The mark stays on its key; where that has gone, on what stands in its place."""
        key = self._rows[self._at].key if self._at < len(self._rows) else ""
        self._rows = rows
        places = [number for number, row in enumerate(rows) if row.key]
        kept = next((number for number in places if rows[number].key == key), None)
        self._at = kept if kept is not None else next((n for n in places if n >= self._at), places[-1] if places else 0)
        self.virtual_size = Size(self.size.width, len(rows))
        self.refresh()

    def action_move(self, by: int) -> None:
        if not self._chooses:
            self.scroll_relative(y=by, animate=False)
            return
        places = [number for number, row in enumerate(self._rows) if row.key]
        if places:
            now = next((n for n, place in enumerate(places) if place >= self._at), 0)
            self._at = places[min(len(places) - 1, max(0, now + by))]
            self._keep_in_sight()
            self.refresh()

    def action_page(self, by: int) -> None:
        self.action_move(by * max(1, self.size.height - 1))

    def _keep_in_sight(self) -> None:
        top, height = self.scroll_offset.y, max(1, self.size.height)
        first = 0 if not any(row.key for row in self._rows[: self._at]) else self._at
        if first < top:
            self.scroll_to(y=first, animate=False)
        elif self._at >= top + height:
            self.scroll_to(y=self._at - height + 1, animate=False)

    def render_line(self, y: int) -> Strip:
        number, width = y + self.scroll_offset.y, self.size.width
        if number >= len(self._rows):
            return Strip.blank(width)
        chosen = self._chooses and number == self._at and bool(self._rows[number].key)
        style = Style(reverse=True) if chosen else Style()
        strip = Strip([Segment(text, Style.parse(words) + style) for text, words in self._rows[number].parts])
        return strip.adjust_cell_length(width, style)
