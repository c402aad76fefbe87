"""``ipc up`` and ``ipc down``: start and stop the service."""

import argparse
import time
from typing import Any

from bridges.cli.service_state import differences, door_state, page_line, repair_kept
from bridges.cli.user_service import heal
from bridges.terminal import complain, say, style
from broker.home.endpoints import socket_answers
from broker.home.locks import is_supervised
from broker.home.paths import runs_older
from broker.home.settings import Settings
from broker.service.launcher import STOP_DEADLINE_S, ensure_running, running_supervisor, stop, stop_older, take_over

OK, FAILED = 0, 1


def up(settings: Settings, options: argparse.Namespace) -> int:
    healed = heal(settings)
    if healed:
        complain(healed)
    if options.take_over:
        from broker.service.supervisor import main

        locked = take_over(settings)
        return main(locked) if locked is not None else OK
    if socket_answers(settings) and not runs_older(str(settings.home)):
        say(f"Already running in {settings.home}")
        say_differences(settings)
        return OK
    if options.foreground:
        from broker.service.supervisor import main

        stop_older(settings)
        return main()
    ensure_running(settings)
    say(f"Running in {settings.home}")
    kept = repair_kept(settings)
    if kept:
        say(style(f"The database was repaired: {kept}", "yellow"))
    say_differences(settings)
    door = _wait_for_door(settings)
    if door.get("error"):
        complain(f"the TCP door is closed: {door['error']}", "free that port or set IPC_PORT, then: ipc down, ipc up")
    elif door:
        say(f"TCP door on {door['host']}:{door['port']}")
        if door.get("warning"):
            complain(door["warning"], "ipc doctor")
    if settings.remote:
        gate = _wait_for_door(settings, "remote.json")
        if gate.get("error"):
            complain(f"the door for other machines is closed: {gate['error']}", "correct IPC_REMOTE, then: ipc down, ipc up")
        elif gate:
            say(f"Other machines, with keys, on {gate['endpoint']}")
    if settings.web:
        page = _wait_for_door(settings, "web.json")
        if page.get("error"):
            complain(f"the page is closed: {page['error']}")
        elif page:
            say(f"Page: {page_line(page)}")
    if settings.nats:
        link = _wait_for_door(settings, "nats.json")
        if link.get("error"):
            complain(f"the door to other sites is closed: {link['error']}", "ipc sites")
        elif link:
            say(f"Site {settings.site}, to others over {settings.nats}")
    return OK


def say_differences(settings: Settings) -> None:
    for line in differences(settings):
        complain(line)


def _wait_for_door(settings: Settings, file: str = "tcp.json", deadline_s: float = 5.0) -> dict[str, Any]:
    """What a door of this service says of itself; empty if it says nothing within ``deadline_s``."""
    end = time.monotonic() + deadline_s
    while time.monotonic() < end:
        door = door_state(settings, file)
        if door:
            return door
        time.sleep(0.02)
    return {}


def down(settings: Settings, _options: argparse.Namespace) -> int:
    if not is_supervised(settings.home):
        say("Not running")
        return OK
    running = running_supervisor(settings)
    if running is None:
        complain(f"{settings.home / 'run' / 'supervisor.json'} does not name the supervisor that runs", "try again in 5 s")
        return FAILED
    if not stop(settings, running):
        complain(f"process {running.pid} has not stopped within {STOP_DEADLINE_S:g} s", f"kill {running.pid}")
        return FAILED
    say("Stopped")
    return OK
