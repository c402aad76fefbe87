"""What asks the person before something is done: a line to type, a yes or no, the page of keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.geometry import Size
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from bridges.fence import visible
from bridges.tui.board import Board
from bridges.tui.lines import Part, Row, wrapped

_CSS = """
{name} {{ align: center middle; }}
{name} > Vertical {{ width: 90%; max-width: 100; height: auto; max-height: 90%; border: round $foreground; padding: 0 1; }}
{name} Board {{ height: auto; }}
{name} Static {{ height: 1; }}
"""

_AROUND_LINES = 8
"""Of a dialog and around it, beside its text."""


class Text(Board):
    """Texts to scroll, broken anew at each width. They are made visible here."""

    def __init__(self, texts: Sequence[Part], *, exact: bool = False) -> None:
        super().__init__(chooses=False)
        self._texts = [(visible(text), style) for text, style in texts]
        self._exact = exact

    def _lines(self, columns: int) -> list[Row]:
        return [
            Row("", ((line, style),))
            for text, style in self._texts
            for line in wrapped(text, max(8, columns), exact=self._exact)
        ]

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return min(len(self._lines(width)), max(1, self.app.size.height - _AROUND_LINES))

    def on_resize(self) -> None:
        self.show(self._lines(self.size.width))


class Typed(ModalScreen[str]):
    """Asks for a line; gives it, or an empty text after esc."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss('')"),
        Binding("down", "more(1)"),
        Binding("up", "more(-1)"),
    ]
    DEFAULT_CSS = _CSS.format(name="Typed")

    def __init__(self, title: str, about: str = "") -> None:
        super().__init__()
        self._title, self._about = title, about

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Text([(self._title, "bold"), *([(self._about, "")] if self._about else [])])
            yield Input(compact=True)
            yield Static("enter: done   esc: not   arrows: more of the text", markup=False)

    def on_mount(self) -> None:
        self.query_one(Input).focus()

    def action_more(self, by: int) -> None:
        self.query_one(Text).action_move(by)

    def on_input_submitted(self, typed: Input.Submitted) -> None:
        self.dismiss(typed.value.strip())


class Sure(ModalScreen[bool]):
    """Asks yes or no, below a text that is shown whole."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "dismiss(True)"),
        Binding("n,escape,q", "dismiss(False)"),
    ]
    DEFAULT_CSS = _CSS.format(name="Sure")

    def __init__(self, title: str, text: str) -> None:
        super().__init__()
        self._title, self._text = title, text

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Text([(self._title, "bold"), (self._text, "")], exact=True)
            yield Static("y: yes   n: no   j, k: more of the text", markup=False)


class Reading(ModalScreen[None]):
    """A text to read, until a key is pressed."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,enter,question_mark", "dismiss(None)")]
    DEFAULT_CSS = _CSS.format(name="Reading")

    def __init__(self, title: str, texts: Sequence[Part], *, exact: bool = False) -> None:
        super().__init__()
        self._title, self._texts, self._exact = title, texts, exact

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Text([(self._title, "bold"), *self._texts], exact=self._exact)
            yield Static("esc: back   j, k: more of the text", markup=False)
