"""``ipc top``: looks whether there is a terminal, and what the view needs, before anything of it is imported."""

from __future__ import annotations

import argparse
import sys

from bridges.terminal import complain
from broker.home.settings import Settings
from broker.protocol.errors import IpcError
from broker.service.launcher import ensure_running

FAILED = 1
MISSING = "pip install 'agent-ipc[tui]'"


def top(settings: Settings, _options: argparse.Namespace) -> int:
    """Exit status 0 after q, 130 after Ctrl-C, 1 where the extra is not installed."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise IpcError("bad_request", detail="ipc top needs a terminal; ipc status tells a pipe what there is")
    try:
        from bridges.tui.app import Top
    except ModuleNotFoundError as e:
        if (e.name or "").partition(".")[0] not in ("textual", "rich"):
            raise
        complain("the terminal view needs the package textual", MISSING)
        return FAILED
    ensure_running(settings)
    app = Top(settings)
    app.run(mouse=False)
    return app.return_code or 0
