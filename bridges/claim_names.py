"""What a claim is called: file paths absolute, so that agents in different folders mean the same file by the same name."""

from __future__ import annotations

import os


def resource_of(text: str, folder: str) -> str:
    """The resource that a person or agent in ``folder`` names. A path, or a pattern of paths, becomes absolute; anything
    else (``staging database``) stays as it is."""
    looks_like_path = "/" in text or text.startswith((".", "~")) or os.path.exists(os.path.join(folder, text))
    return os.path.normpath(os.path.join(folder, os.path.expanduser(text))) if looks_like_path else text
