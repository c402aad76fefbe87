"""``ipc doctor``: check everything and say what to do."""

import argparse
import contextlib
import shutil
import socket
import sys
import time
from collections.abc import Callable

from bridges.cli import user_service, user_unit
from bridges.cli.service_state import (
    answers_line,
    ask,
    differences,
    door_state,
    notify_line,
    page_line,
    repair_kept,
    resume_line,
)
from bridges.cli.sites import state
from bridges.cli.status import clock_line, gate_line
from bridges.plurals import number_of
from bridges.progress import Progress
from bridges.terminal import complain, say, say_finding
from broker.home.data_folder import prepare_home
from broker.home.endpoints import endpoint, socket_answers
from broker.home.message_files import locate
from broker.home.settings import Settings
from broker.protocol.errors import IpcError, SettingsError
from broker.store.doctor import SQLITE_VERSION, InUse, examine, newest_message_s, repair_now
from broker.version import VERSION

OK, FAILED = 0, 1
_SAVE = "To save what is readable: ipc down, ipc doctor --repair"
_LOW_DISK_BYTES = 256 * 1024 * 1024
_LARGE_WAL_BYTES = 128 * 1024 * 1024
"""The broker keeps it below 64 MiB, while no other program holds on to what the database was."""


Finding = tuple[str, str]
"""(ok, warn or FAIL; what was found and what to do)"""


def doctor(settings: Settings, options: argparse.Namespace) -> int:
    """Exit status 0 if nothing failed."""
    if options.repair:
        return _repair(settings)
    worst = OK
    checks: dict[str, Callable[[Settings], Finding]] = {
        "versions": _versions,
        "folder": _folder,
        "disk": _disk,
        "database": _database,
        "clock": _clock,
        "broker": _broker,
        "settings": _settings,
        "tcp door": _tcp,
        "remote": _remote,
        "page": _page,
        "answers": _answers,
        "notify": _notify,
        "resume": _resume,
        "sites": _sites,
        "hosts": _hosts,
        "unit": _unit,
    }
    for name, look in checks.items():
        try:
            verdict, text = look(settings)
        except (OSError, IpcError) as e:
            verdict, text = "FAIL", str(e)
        say_finding(verdict, name, text)
        if verdict == "FAIL":
            worst = FAILED
    return worst


def _sites(settings: Settings) -> Finding:
    if not socket_answers(settings):
        return "ok", "not looked at: the service is not running"
    found = ask(settings, "sites")
    if not found["site"]:
        return "ok", "none; docs/many-machines.md joins this machine to others"
    line = state(found)
    return ("ok", line) if found["connected"] else ("warn", f"{line}. Next: ipc nats check")


def _hosts(settings: Settings) -> Finding:
    """What ``ipc install HOST --check`` finds, for each host of this user that has something of ours."""
    from bridges import hook_settings
    from bridges.install.check import problems
    from bridges.install.one_host import installed

    try:
        hook_settings.read(str(settings.home))
    except SettingsError as e:
        return "FAIL", f"{e}. Until that is mended no session gets mail"
    found = {wanted.host: problems(wanted) for _, wanted in installed(settings, "user")}
    bad = [f"{host}: {told[0]}. Next: ipc install {host}" for host, told in found.items() if told]
    return ("warn", "; ".join(bad)) if bad else ("ok", ", ".join(found) or "none is installed; ipc install connects those here")


def _unit(settings: Settings) -> Finding:
    unit = user_unit.installed()
    if unit.text is None:
        return "ok", "none; ipc service install has systemd run the service"
    problem = user_service.stale(settings, unit) or user_service.beside(settings, unit)
    return ("warn", problem) if problem else ("ok", str(unit.path))


def _repair(settings: Settings) -> int:
    try:
        with Progress(Progress.bytes) as tell:
            found = repair_now(settings, tell)
    except InUse:
        complain("the service is running", "ipc down, then: ipc doctor --repair")
        return FAILED
    except OSError as e:
        complain(str(e), "make room, or get the right to write there; then: ipc doctor --repair")
        return FAILED
    say(found)
    return OK


def _versions(_settings: Settings) -> Finding:
    return "ok", f"agent-ipc {VERSION}, Python {sys.version.split()[0]}, SQLite {SQLITE_VERSION}"


def _folder(settings: Settings) -> Finding:
    try:
        prepare_home(settings)
    except OSError as e:
        return "FAIL", f"{settings.home}: {e}"
    return "ok", f"{settings.home} is yours alone"


def _disk(settings: Settings) -> Finding:
    free = shutil.disk_usage(settings.home).free
    text = f"{free // 2**20} MiB free"
    return ("warn", f"{text}; free some, or mail will be refused") if free < _LOW_DISK_BYTES else ("ok", text)


def _database(settings: Settings) -> Finding:
    if not (settings.home / "ipc.db").exists():
        return "ok", "none yet"
    try:
        found = examine(settings)
    except OSError as e:
        return "FAIL", f"{e}. {_SAVE}"
    if found.verdict != "ok":
        return "FAIL", f"{found.verdict}. {_SAVE}"
    located = [locate(path, settings) for path in found.unread_files]
    version = found.schema
    missing = sum(path is None or not path.is_file() for path in located)
    if missing:
        lost = number_of(missing, "unread large message has lost its file", "unread large messages have lost their files")
        return "warn", f"schema {version}, consistent; but {lost}"
    with contextlib.suppress(FileNotFoundError):
        wal_bytes = (settings.home / "ipc.db-wal").stat().st_size
        if wal_bytes > _LARGE_WAL_BYTES:
            grown = f"ipc.db-wal has grown to {wal_bytes // 2**20} MiB: end the program that has a transaction open in ipc.db"
            return "warn", f"schema {version}, consistent; but {grown}"
    kept = repair_kept(settings)
    if kept:
        return "warn", f"schema {version}, consistent; repaired: {kept} (remove it once nothing is missed)"
    return "ok", f"schema {version}, consistent"


def _clock(settings: Settings) -> Finding:
    if socket_answers(settings):
        with contextlib.suppress(IpcError):  # the row of the broker tells it
            line = clock_line(ask(settings, "status"))
            if line:
                return "warn", f"the wall clock {line}" if line.startswith("was set") else line
    try:
        ahead_s = newest_message_s(settings) - time.time()
    except OSError:
        return "ok", "nothing to compare with"
    if ahead_s > 60:
        return "warn", f"the newest message is {ahead_s:.0f} s in the future: the clock was set back"
    return "ok", "no message is from the future"


def _broker(settings: Settings) -> Finding:
    try:
        if not socket_answers(settings):
            return "warn", "not running; the next agent starts it, or: ipc up"
        found = ask(settings, "ping")
    except IpcError as e:
        return "FAIL", f"listens at {endpoint(settings)} but does not answer ({e.text}); run: ipc down, ipc up"
    return "ok", f"process {found['pid']} answers"


def _settings(settings: Settings) -> Finding:
    found = differences(settings)
    return ("warn", "; ".join(found)) if found else ("ok", "the service has those of this shell")


def _tcp(settings: Settings) -> Finding:
    door = door_state(settings)
    if not door:
        return "warn", "not running; ipc up starts it"
    if door["error"]:
        return "FAIL", str(door["error"])
    try:
        socket.create_connection((door["host"], door["port"]), timeout=2).close()
    except OSError as e:
        return "FAIL", f"{door['host']}:{door['port']} does not answer: {e}"
    if door.get("warning"):
        return "warn", f"{door['host']}:{door['port']} answers, but {door['warning']}"
    return "ok", f"{door['host']}:{door['port']} answers"


def _page(settings: Settings) -> Finding:
    page = door_state(settings, "web.json")
    if page:
        return ("FAIL" if page["error"] else "ok"), page_line(page)
    return ("warn", "not served; run: ipc down, ipc up") if settings.web else ("ok", "closed; ipc web opens it for a while")


def _answers(settings: Settings) -> Finding:
    listener = door_state(settings, "answers.json")
    if listener:
        return ("FAIL" if listener["error"] else "ok"), answers_line(listener, settings)
    if settings.answers:
        return "warn", f"{settings.answers} is not served; run: ipc down, ipc up"
    return "ok", "closed to links and webhooks; docs/notifications.md says how to open it"


def _resume(settings: Settings) -> Finding:
    told = door_state(settings, "resume.json")
    if told:
        return ("FAIL" if told["error"] else "ok"), resume_line(told)
    if settings.resume:
        return "warn", "does not run; run: ipc down, ipc up"
    return "ok", "no agent is started by mail (no [hosts.resume]; docs/resume.md)"


def _notify(settings: Settings) -> Finding:
    told = door_state(settings, "notify.json")
    if told:
        return ("FAIL" if told["error"] else "ok"), notify_line(told)
    return ("warn", "does not run; run: ipc down, ipc up") if settings.notify else ("ok", "nothing is told (no [notify])")


def _remote(settings: Settings) -> Finding:
    gate = door_state(settings, "remote.json")
    if not settings.remote and not gate:
        return "ok", "closed to other machines; IPC_REMOTE opens it"
    if not gate:
        return "warn", f"{settings.remote} is not served; run: ipc down, ipc up"
    try:
        line = gate_line(settings, gate)
    except SettingsError as e:
        return "FAIL", str(e)
    return ("FAIL" if gate["error"] else "ok"), line
