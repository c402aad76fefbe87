"""The name of a claim. File paths are absolute, so that agents in different folders call one file by one name."""

from __future__ import annotations

import os


def resource_of(text: str, folder: str) -> str:
    """The resource that ``text`` names in ``folder``. A path or a pattern of paths becomes absolute.

    So does the name of a file, also of one that is yet to be made. Anything else (``staging database``) stays as it is.
    """
    looks_like_path = "/" in text or text.startswith((".", "~")) or _is_file(text, folder)
    return os.path.normpath(os.path.join(folder, os.path.expanduser(text))) if looks_like_path else text


def _is_file(text: str, folder: str) -> bool:
    stem, _, suffix = text.rpartition(".")
    named = bool(stem) and suffix[:1].isalpha() and suffix.isalnum() and not any(map(str.isspace, text))
    return named or os.path.exists(os.path.join(folder, text))
