"""The name of a claim. File paths are absolute, so that agents in different folders call one file by one name."""

from __future__ import annotations

import os


def resource_of(text: str, folder: str) -> str:
    """The resource that ``text`` names in ``folder``. A path or a pattern of paths becomes absolute.

    Anything else (``staging database``) stays as it is.
    """
    looks_like_path = "/" in text or text.startswith((".", "~")) or os.path.exists(os.path.join(folder, text))
    return os.path.normpath(os.path.join(folder, os.path.expanduser(text))) if looks_like_path else text
