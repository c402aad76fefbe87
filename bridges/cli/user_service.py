"""``ipc service install|remove|status``: have systemd run the service for this user. Off unless it is asked for."""

import argparse
import contextlib
import os
import sys
from pathlib import Path

from bridges.cli import user_unit
from bridges.cli.user_unit import NAME, NoSystemd, Unit
from bridges.terminal import complain, say, say_json
from broker.home import environment
from broker.home.data_folder import prepare_home
from broker.home.files import write_private
from broker.home.locks import is_supervised, lock
from broker.home.settings import Settings
from broker.protocol.errors import IpcError
from broker.service.launcher import running_supervisor, stop, wait_for_broker

OK, FAILED = 0, 1
_LINGER = "to have it run from the machine's start, also while you are not logged in: loginctl enable-linger"


def run(settings: Settings, options: argparse.Namespace) -> int:
    try:
        if options.what == "status":
            return status(settings, options)
        user_unit.look_for_systemd()
        return install(settings) if options.what == "install" else remove()
    except NoSystemd as e:
        return _no_systemd(str(e))


def _no_systemd(why: str) -> int:
    what = "launchd is not supported" if sys.platform == "darwin" else f"systemd runs no services of yours here: {why}"
    complain(what, "ipc up starts the service until the machine stops; nothing was changed")
    return FAILED


def install(settings: Settings) -> int:
    """Write the unit, and have systemd run the service from now on; again: as this version writes it."""
    unit = user_unit.installed()
    _check_ours(unit, settings)
    prepare_home(settings)
    wanted = user_unit.wanted(settings)
    changed = unit.text != wanted
    if changed:
        unit.path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        write_private(unit.path, wanted)
        user_unit.systemctl("daemon-reload")
    user_unit.systemctl("enable", NAME)
    if (changed or not _runs(settings)) and not _take_over(settings):
        return FAILED
    say(f"{'Installed' if unit.text is None else 'Written anew' if changed else 'Up to date'}: {unit.path}")
    say(f"systemd runs the service of {settings.home}, and starts it again when it fails")
    told = [name for name in settings.environment() if name != environment.HOME]
    if told:
        complain(f"{', '.join(told)} of this shell is not in the unit", f"put it in {settings.home / 'config.toml'}")
    if user_unit.lingers() is False:
        say(_LINGER)
    return OK


def _runs(settings: Settings) -> bool:
    """Whether the service that runs is the one that systemd started."""
    running = running_supervisor(settings)
    return running is not None and str(running.pid) == user_unit.shown().get("MainPID")


def _take_over(settings: Settings) -> bool:
    """End the service that runs, and have systemd start it. False if it does not end."""
    with lock(settings.home / "run" / "start.lock"):  # agents that find none meanwhile wait for this one
        running = running_supervisor(settings)
        if running is not None and not stop(settings, running):
            complain(f"process {running.pid} has not stopped", f"kill {running.pid}, then: ipc service install")
            return False
        user_unit.systemctl("restart", NAME)
        wait_for_broker(settings)
    return True


def _check_ours(unit: Unit, settings: Settings) -> None:
    """Raise ``bad_request`` where the file is another's, or for another data folder."""
    if unit.text is None:
        return
    if not unit.ours:
        raise IpcError("bad_request", detail=f"{unit.path} was not written by ipc: move it away first")
    if not unit.says(user_unit.of_folder(settings)):
        raise IpcError("bad_request", detail=f"{unit.path} runs the service of another data folder: ipc service remove first")


def remove() -> int:
    """Nothing of it stays; the mail does."""
    unit = user_unit.installed()
    if unit.text is None:
        say("Not installed")
        return OK
    if not unit.ours:
        raise IpcError("bad_request", detail=f"{unit.path} was not written by ipc")
    user_unit.systemctl("disable", "--now", NAME)
    unit.path.unlink()
    user_unit.systemctl("daemon-reload")
    with contextlib.suppress(OSError):  # it is unknown where it never failed
        user_unit.systemctl("reset-failed", NAME)
    for folder in (unit.path.parent / "default.target.wants", unit.path.parent, unit.path.parent.parent):
        with contextlib.suppress(OSError):  # others have theirs in it
            folder.rmdir()
    say("Removed; the service is stopped, and the next agent or ipc up starts it as before")
    return OK


def status(settings: Settings, options: argparse.Namespace) -> int:
    """Exit status 0 if systemd runs the service as this version writes it."""
    unit = user_unit.installed()
    problem = stale(settings, unit) or beside(settings, unit)
    row: dict[str, object] = {"installed": unit.text is not None, "path": str(unit.path), "problem": problem}
    if unit.text is not None:
        told = user_unit.shown()
        row |= {"active": told.get("ActiveState"), "enabled": told.get("UnitFileState")}
        row |= {"runs": _runs(settings), "linger": user_unit.lingers()}
    if options.json:
        say_json(row)
    elif unit.text is None:
        say("Not installed; ipc service install has systemd run the service")
    else:
        say(f"{unit.path}: {row['active']}, {row['enabled']}")
        say(problem or f"systemd runs the service of {settings.home}")
        if row["linger"] is False:
            say(_LINGER)
    return OK if row.get("runs") and not problem else FAILED


def stale(settings: Settings, unit: Unit) -> str:
    """What is wrong with an installed unit, and what to do; empty where nothing is."""
    if unit.text is None or not unit.ours or not unit.says(user_unit.of_folder(settings)):
        return ""
    if not os.access(unit.program, os.X_OK):
        return f"{NAME} runs {unit.program}, which is gone. Next: ipc service install"
    if unit.text != user_unit.wanted(settings):
        other = "" if Path(unit.program) == Path(sys.executable) else f", with {unit.program}"
        return f"{NAME} is not as this version writes it{other}. Next: ipc service install"
    return ""


def beside(settings: Settings, unit: Unit) -> str:
    """What is wrong where the service runs, and systemd did not start it; empty otherwise. Raises OSError."""
    if not unit.ours or not unit.says(user_unit.of_folder(settings)) or not is_supervised(settings.home) or _runs(settings):
        return ""
    return "the service runs, but systemd did not start it. Next: ipc service install"


def heal(settings: Settings) -> str:
    """Write the unit of an earlier version, or of an interpreter that is gone, anew. What was done or is to be done, or empty.

    Another installation that is there keeps its unit: two of one machine would take it from each other.
    """
    try:
        unit = user_unit.installed()
        problem = stale(settings, unit)
        if not problem:
            return ""
        if os.access(unit.program, os.X_OK) and Path(unit.program) != Path(sys.executable):
            return problem
        write_private(unit.path, user_unit.wanted(settings))
        user_unit.systemctl("daemon-reload")
    except OSError as e:
        return f"{NAME} could not be written anew: {e}. Next: ipc service install"
    return f"{NAME} was written anew for this version"
