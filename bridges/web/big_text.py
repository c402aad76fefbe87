"""The whole text of a message, from its file where it has one; and such a text as Markdown that does nothing.

A file counts only if its hash is the stored one. Markdown in mail is a reader's comfort: markup in it stays text, and what is
made of it is cleaned once more. No picture, no script, no style, no address but http, https and mailto.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import nh3
from markdown_it import MarkdownIt
from markupsafe import Markup

from bridges.fence import visible
from bridges.web.template_filters import clipped
from broker.home.message_files import locate, original
from broker.home.settings import Settings

LETTER_CHARS = 40_000
"""Characters of a message that its page shows. Markdown takes time that grows with the square of some texts."""
_MADE_CHARS = 160_000
_TAGS = {
    "p", "br", "hr", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "li", "blockquote", "pre", "code", "em", "strong", "s",
    "a", "table", "thead", "tbody", "tr", "th", "td",
}  # fmt: skip


def whole_text(message: dict[str, Any], settings: Settings) -> str | None:
    """The text as it was sent; None if its file is gone or not what was stored. It reads a file."""
    file = message.get("file")
    if file is None:
        return str(message["message"]["content"])
    path = locate(file["path"], settings)
    found = None if path is None else original(path, file["sha256"])
    return None if found is None else found.decode("utf-8", "replace")


@cache
def _parser() -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": False, "breaks": True}).enable(["table", "strikethrough"])


def letter(text: str) -> Markup | None:
    """A text's beginning as clean HTML; None where that would be much larger than the text."""
    made = _parser().render(clipped(visible(text), LETTER_CHARS))
    if len(made) > _MADE_CHARS:
        return None
    clean = nh3.clean(
        made,
        tags=_TAGS,
        attributes={"a": {"href"}},
        url_schemes={"http", "https", "mailto"},
        link_rel="noopener noreferrer nofollow",
    )
    return Markup(clean)  # noqa: S704  cleaned just now
