"""What the system says of processes. A process id is used again, so it is told apart by its start. Hooks import this module."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_GENERATIONS = 64
_here: list[str] = []
"""What ``_namespace`` found: both last as long as the process."""


def stat(pid: int) -> tuple[str, list[str]]:
    """(the program's name, the fields behind it: 0 state, 1 parent, 19 start in ticks; proc(5)). No fields where the process
    is gone or there is no /proc."""
    try:
        head, _, rest = _read(f"/proc/{pid}/stat").rpartition(")")
    except OSError:
        return "", []
    return head.partition("(")[2], rest.split()


def _read(path: str) -> str:
    """A short file of /proc. A file object, and a codec to be imported, would take four times as long."""
    fd = os.open(path, os.O_RDONLY)
    try:
        return os.read(fd, 4096).decode("utf-8", "replace")
    finally:
        os.close(fd)


def main_thread(pid: int) -> tuple[str, int | None]:
    """(state letter, ns it has run) of a process's main thread; (``?``, None) where that is not to be had."""
    _name, fields = stat(pid)
    try:
        with open(f"/proc/{pid}/task/{pid}/schedstat", encoding="ascii") as f:
            return fields[0], int(f.read().split()[0])
    except (OSError, ValueError, IndexError):
        return "?", None


def words_of(pid: int) -> list[bytes]:
    """The process's command line; empty where that is not to be had."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as f:
            return f.read().split(b"\0")
    except OSError:
        return []


def environment_of(pid: int) -> dict[str, str]:
    """The environment that the process was started with. Raises OSError."""
    with open(f"/proc/{pid}/environ", "rb") as f:
        entries = os.fsdecode(f.read()).split("\0")
    return dict(entry.split("=", 1) for entry in entries if "=" in entry)


def boot_id() -> str:
    """Which boot of the machine this is; empty where the system does not say."""
    try:
        return _read("/proc/sys/kernel/random/boot_id").strip()
    except OSError:
        return ""


def process_started(pid: int) -> str:
    """When the process began and in which pid namespace, so that another one of the same id is not taken for it; empty if
    it is gone."""
    _name, fields = stat(pid)
    if not fields:
        return _running(pid) if not os.path.isdir("/proc/self") else ""
    return "" if fields[0] in "ZX" else f"{fields[19]}@{_namespace()}"


def is_alive(pid: int, started: str) -> bool | None:
    """Whether the process of that id and ``process_started`` lives; None where another pid namespace hides it."""
    there, here = started.partition("@")[2], _namespace()
    if not started or pid <= 0:
        return None
    if there != here:
        return False if there.partition(".")[2] != here.partition(".")[2] else None
    return process_started(pid) == started


def youngest_child_s(pid: int) -> float | None:
    """Seconds since the last of a process's living children began; None if it has none, or where that can't be seen."""
    try:
        tasks = os.listdir(f"/proc/{pid}/task")
        children = [child for task in tasks for child in _read(f"/proc/{pid}/task/{task}/children").split()]
        up_s = float(_read("/proc/uptime").split()[0])
    except OSError:
        return None
    began = [int(fields[19]) for child in children if (fields := stat(int(child))[1])]
    return up_s - max(began) / os.sysconf("SC_CLK_TCK") if began else None


def _namespace() -> str:
    """This process's pid namespace and the machine's present run: a process id and its start say nothing without them."""
    if not _here:
        try:
            _here.append(f"{os.stat('/proc/self/ns/pid').st_ino}.{boot_id()[:8]}")
        except OSError:
            _here.append("")
    return _here[0]


def _running(pid: int) -> str:
    """``running`` or nothing: without /proc no start is known."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return ""
    except PermissionError:
        return "running"
    return "running"


def lineage(pid: int) -> Iterator[int]:
    """A process and its ancestors, the nearest first, without the first process of all; only itself without /proc."""
    for _ in range(_GENERATIONS):
        if pid <= 1:
            return
        yield pid
        pid = parent_of(pid)


def parent_of(pid: int) -> int:
    """The parent's process id; 0 where that can't be told."""
    _name, fields = stat(pid)
    return int(fields[1]) if fields else 0
