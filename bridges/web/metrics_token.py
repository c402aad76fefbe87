"""The bearer token of ``/metrics``, in ``metrics.token`` of the data folder, mode 0600: agents' names are nobody else's."""

from __future__ import annotations

import hmac
import os

from broker.home.files import read_private, write_private


def metrics_token(home: str) -> str:
    """The token; made at first use. Raises FolderError."""
    path = os.path.join(home, "metrics.token")
    try:
        return read_private(path).strip()
    except FileNotFoundError:
        import secrets

        write_private(path, secrets.token_urlsafe(32) + "\n", replace=False)
        return read_private(path).strip()


def is_right(home: str, token: str) -> bool:
    """Whether this is the token. Where none was made yet, nothing is right."""
    try:
        kept = read_private(os.path.join(home, "metrics.token")).strip()
    except OSError:
        return False
    return bool(kept) and hmac.compare_digest(kept.encode(), token.encode("utf-8", "surrogatepass"))
