"""The files that a patch in the form of OpenAI's models changes."""

from __future__ import annotations

import re

_BEGIN = "*** Begin Patch"
_CHANGED = re.compile(r"^\*\*\* (?:Add|Update|Delete) File: (.+)$|^\*\*\* Move to: (.+)$", re.MULTILINE)


def changed_by(text: object) -> list[str]:
    """None where the text is no patch. It may stand in a shell command."""
    return [a or b for a, b in _CHANGED.findall(text)] if isinstance(text, str) and _BEGIN in text else []
