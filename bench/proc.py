"""What Linux says of a process: memory and processor time."""

import contextlib
import os
import time

from bench.systems import Skip

_REST_S, _RESTING = 0.5, 0.02
"""A process rests when it has used less than this part of a processor for so long."""
_REST_DEADLINE_S = 60.0


def read(pid: int, name: str) -> str:
    """``/proc/PID/NAME``. Raises Skip where there is no /proc."""
    if not os.path.exists("/proc/self/stat"):
        raise Skip("needs /proc")
    with open(f"/proc/{pid}/{name}", encoding="utf-8") as f:
        return f.read()


def cpu_s(pid: int) -> float:
    """User and system seconds of a process, all its threads, to the nanosecond: /proc counts in ticks of 10 ms."""
    try:
        return time.clock_gettime((~pid << 3) | 2)  # what clock_getcpuclockid(3) gives
    except OSError:
        raise Skip(f"no processor time of process {pid}") from None


def at_rest_s(pid: int) -> float:
    """Processor seconds of a process, once it has rested for half a second: what it put off is done. Raises TimeoutError."""
    end_s, used_s = time.monotonic() + _REST_DEADLINE_S, cpu_s(pid)
    while time.monotonic() < end_s:
        time.sleep(_REST_S)
        before_s, used_s = used_s, cpu_s(pid)
        if used_s - before_s < _REST_S * _RESTING:
            return used_s
    raise TimeoutError(f"process {pid} does not come to rest")


def resident_mb(pid: int) -> float:
    """VmRSS in MB (10^6 bytes): all pages in memory, those shared with other processes too."""
    return _kib(read(pid, "status"), "VmRSS:") * 1024 / 1e6


def proportional_mb(pid: int) -> float:
    """PSS in MB (10^6 bytes): like RSS, a page shared by n processes counted 1/n."""
    return _kib(read(pid, "smaps_rollup"), "Pss:") * 1024 / 1e6


def own_mb(pid: int) -> float:
    """Pages of no file in MB (10^6 bytes): what the process alone has written, shared with nobody but after a fork."""
    return _kib(read(pid, "smaps_rollup"), "Pss_Anon:") * 1024 / 1e6


def _kib(text: str, label: str) -> int:
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith(label))


def of_home(home: str) -> list[int]:
    """Processes of this user that run with ``IPC_HOME`` set to ``home``: service, doors and whatever they started."""
    wanted = f"IPC_HOME={home}".encode()
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{name}/environ", "rb") as f:
                if wanted in f.read().split(b"\0"):
                    found.append(int(name))
    return found
