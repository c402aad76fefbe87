"""What templates may say of a value: ``{{ since|ago }}``, ``{{ text|clipped(300) }}``.

All that a template shows is made visible.

A text is shortened by the bytes that it takes in the page, so that no sender decides how large a page gets.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from typing import Any

from jinja2 import Environment, pass_context
from jinja2.runtime import Context
from markupsafe import Markup, escape

from bridges.fence import one_line, visible
from bridges.plurals import number_of
from bridges.view import times
from bridges.view.agents import AgentLine
from bridges.view.conversations import Receipt
from broker.protocol.spans import span

__all__ = ["add_filters", "clipped", "size_in_page"]


def size_in_page(text: str) -> int:
    """Bytes that a text takes in a page."""
    return len(str(escape(text)).encode("utf-8", "replace"))


def clipped(text: str, most: int) -> str:
    """At most ``most`` characters of a text, and fewer where they take over twice as many bytes in the page."""
    shown = visible(text)
    kept = shown[:most]
    while (size := size_in_page(kept)) > 2 * most:
        kept = kept[: min(len(kept) - 1, len(kept) * 2 * most // size)]
    return kept if len(kept) == len(shown) else f"{kept}…"


@pass_context
def ago(context: Context, when: str) -> Markup:
    """A moment as its age, with the whole time beside it."""
    words = times.ago(when, context["now_s"])
    if not words:
        return Markup()
    element = Markup('<time class="ago" datetime="{}" title="{}">{}</time>')
    return element.format(when, times.full(when), words)


@pass_context
def within(context: Context, when: str) -> str:
    return times.within(when, context["now_s"])


@pass_context
def day(context: Context, when: str) -> str:
    return times.day(when, context["now_s"])


def length_of(seconds: float) -> str:
    return span(seconds)


def size(count_bytes: int) -> str:
    return f"{count_bytes / 1024:.0f} KB" if count_bytes < 1 << 20 else f"{count_bytes / (1 << 20):.1f} MB"


def clock(when: str) -> Markup:
    """A moment as the time of its day."""
    element = Markup('<time datetime="{}" title="{}">{}</time>')
    return element.format(when, times.full(when), times.full(when)[11:19]) if times.moment(when) else Markup()


def pretty(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2)


def reader(name: str) -> str:
    return "groups, everyone" if name == "*" else name


def reached(receipts: Sequence[Receipt]) -> str:
    """How many of several readers have it."""
    have = sum(receipt.step in ("in_context", "answered") for receipt in receipts)
    return f"{have} of {len(receipts)} have read it"


def standing(line: AgentLine) -> str:
    """What is known of an agent beside its state."""
    said = [f"{line.queued or 'No'} unread."]
    if not line.unclaimed:
        said.append(f"Mail reaches it by {', '.join(line.reach) or 'its own checks'}.")
    if line.wakes:
        said.append(f"Mail woke it {number_of(line.wakes, 'time')} in the last hour.")
    if line.waits_for:
        said.append(f"It waits for {', '.join(line.waits_for[:6])}.")
    if line.waited_by:
        said.append(f"Waited for by {', '.join(line.waited_by[:6])}.")
    return " ".join(said)


def new_id() -> str:
    """An id for a message that a form will send: sent twice, it is stored once."""
    return uuid.uuid4().hex


def _shown(value: Any) -> Any:
    """Whatever a template prints: text with its control and invisible characters written out."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def add_filters(environment: Environment) -> None:
    environment.finalize = _shown
    environment.globals |= {"new_id": new_id, "theme": "", "here": "", "needed": 0, "told": "", "menu": MENU}
    words = (ago, within, clock, clipped, day, length_of, size, pretty, reader, reached, standing, one_line)
    environment.filters |= {function.__name__: function for function in words}


MENU = (
    ("/", "Now", False),
    ("/conversations", "Conversations", False),
    ("/write", "Write", False),
    ("/search", "Search", False),
    ("/traffic", "Who talks to whom", True),
    ("/claims", "Claims", False),
    ("/groups", "Groups", False),
    ("/dead", "Dead letters", False),
    ("/charts", "Metrics", True),
    ("/log", "Log", False),
    ("/settings", "Settings", False),
)
"""Path, word, and whether a gap stands before it."""
