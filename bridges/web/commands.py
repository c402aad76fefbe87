"""``ipc web``: print a one-time link to the page.

a page runs (web = true, or another ipc web)    a link to it
none does                                       the page runs here, in the foreground, until Ctrl+C
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import time
from typing import TYPE_CHECKING, Any

from bridges.terminal import complain, say
from bridges.web.links import LINK_S, new_link
from bridges.web.metrics_token import metrics_token
from bridges.web.sign_ins import sign_all_out
from broker.home.data_folder import prepare_home
from broker.service.launcher import ensure_running, supervisor_state

if TYPE_CHECKING:
    from broker.home.settings import Settings

OK, FAILED = 0, 1
_START_S = 10.0
_POLL_S = 0.05


def run(settings: Settings, options: argparse.Namespace) -> int:
    prepare_home(settings)
    if options.metrics_token:
        say(metrics_token(str(settings.home)))
        return OK
    if options.sign_out:
        sign_all_out(str(settings.home))
        say("Every browser is signed out")
        return OK
    from bridges.web.door import MISSING, missing_package

    if name := missing_package():
        complain(MISSING.format(name=name))
        return FAILED
    ensure_running(settings)
    page = _page(settings)
    if not page and settings.web:
        if "web" not in supervisor_state(settings).get("children", ()):
            complain("the service was started before web was true, so it runs no page", "ipc down, then: ipc web")
            return FAILED
        page = _wait_for_page(settings)
        if not page:
            complain("the page does not start", "ipc log, or: ipc doctor")
            return FAILED
    if page.get("error"):
        complain(f"the page is closed: {page['error']}")
        return FAILED
    if page:
        _show(settings, int(page["port"]), options.open)
        return OK
    return _in_foreground(settings, options)


def _page(settings: Settings) -> dict[str, Any]:
    """What a living page says of itself; else empty."""
    try:
        state = json.loads((settings.home / "run" / "web.json").read_text(encoding="utf-8"))
        os.kill(int(state["pid"]), 0)
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return dict(state)


def _wait_for_page(settings: Settings) -> dict[str, Any]:
    """The page of a service that has just begun."""
    end = time.monotonic() + _START_S
    while not (page := _page(settings)) and time.monotonic() < end:
        time.sleep(_POLL_S)
    return page


def _show(settings: Settings, port: int, in_browser: bool) -> None:
    link = new_link(str(settings.home), port)
    say(link)
    say(f"It works once, within {LINK_S:g} s. For another one: ipc web")
    if in_browser:
        import webbrowser

        webbrowser.open(link)


def _in_foreground(settings: Settings, options: argparse.Namespace) -> int:
    from bridges.web.door import serve
    from broker.service.door_process import DoorProcess
    from broker.service.supervised import begin

    begun = begin("web", supervised=False)
    if begun is None:
        return FAILED
    process = DoorProcess("web", begun, supervised=False)
    status = OK

    def failed(error: str) -> None:
        nonlocal status
        status = FAILED
        complain(f"the page is closed: {error}")
        process.stopping.set()

    def opened(port: int) -> None:
        _show(settings, port, options.open)
        say("The page is open as long as this runs: Ctrl+C ends it. To have it always: web = true in config.toml")

    asyncio.run(process.live(lambda door: serve(door, opened, failed)))
    return status
