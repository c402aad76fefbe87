"""A line on standard error that says how far a long piece of work is, for a person at a terminal; for nobody else.

>>> with Progress(Progress.messages) as tell:
...     for number, message in enumerate(messages):
...         tell("exporting", number, len(messages))

The line comes when the work has taken half a second, and is gone when the work ends. Standard output never has any of it.
"""

from __future__ import annotations

import os
import sys
import time

from broker.protocol.spans import span

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    Tell = Callable[[str, int, int], None]
    """What is done now, how much of it is done, and of how much; of 0 where nobody knows."""

_FIRST_S, _AGAIN_S = 0.5, 0.1
_RATE_S = 1.0
"""Before so much of a step has passed, its rate is a guess."""
_BAR_CELLS = 24
_CLEAR = "\r\x1b[K"


class Progress:
    """``tell(what, done, total)`` as often as one likes. ``unit`` turns an amount into words."""

    def __init__(self, unit: Callable[[float], str]) -> None:
        self._unit = unit
        self._wanted = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self._next_s = time.monotonic() + _FIRST_S
        self._shown = False
        self._what, self._begun_s, self._begun_at = "", 0.0, 0

    @staticmethod
    def messages(count: float) -> str:
        return f"{count:,.0f} message{'' if round(count) == 1 else 's'}"

    @staticmethod
    def bytes(count: float) -> str:
        return f"{count / 2**20:,.1f} MiB"

    def __enter__(self) -> Tell:
        return self._tell

    def __exit__(self, _kind: type[BaseException] | None, _error: BaseException | None, _at: TracebackType | None) -> None:
        if self._shown:
            self._write(_CLEAR)

    def _tell(self, what: str, done: int, total: int) -> None:
        if not self._wanted:
            return
        now_s = time.monotonic()
        if what != self._what:
            self._what, self._begun_s, self._begun_at = what, now_s, done
        if now_s >= self._next_s:
            self._next_s = now_s + _AGAIN_S
            self._shown = True
            self._write(_CLEAR + line(what, done, total, now_s - self._begun_s, self._unit, self._begun_at)[: _columns() - 1])

    def _write(self, text: str) -> None:
        try:
            sys.stderr.write(text)
            sys.stderr.flush()
        except OSError:  # the terminal is gone; the work goes on
            self._wanted = self._shown = False


def line(what: str, done: int, total: int, for_s: float, unit: Callable[[float], str], begun_at: int = 0) -> str:
    """``copying [########----------------]  33 %  118.2 MiB/s  12 s left``, as far as that can be known."""
    rate = (done - begun_at) / for_s if for_s >= _RATE_S else 0.0
    if total <= 0:
        return f"{what}  {span(for_s)}" + (f"  {unit(done)}  {unit(rate)}/s" if rate else "")
    part = min(1.0, done / total)
    filled = int(part * _BAR_CELLS)
    bar = f"{what} [{'#' * filled}{'-' * (_BAR_CELLS - filled)}] {int(part * 100):3d} %"
    return bar + (f"  {unit(rate)}/s  {span(max(0, total - done) / rate)} left" if rate else "")


def _columns() -> int:
    try:
        return os.get_terminal_size(2).columns
    except OSError:
        return 80
