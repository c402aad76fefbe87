"""Ports for services that a test starts again, or that must know theirs before they start."""

import contextlib
import random
import socket


def free_port() -> int:
    """A port that is free and stays so while its owner is away: the kernel gives clients none below 32768."""
    for port in random.sample(range(20_000, 30_000), 50):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise OSError("no port is free")


KEEPALIVE = "asks within a minute whether the other end is there"


def timers() -> list[tuple[int, int, str]]:
    """(our port, their port, ``KEEPALIVE`` or another timer) of each TCP connection of this machine (proc(5))."""
    with open("/proc/net/tcp", encoding="ascii") as table:
        rows = [line.split() for line in table][1:]
    found = []
    for row in rows:
        kind, _, when = row[5].partition(":")
        asks = row[3] == "01" and kind == "02" and int(when, 16) <= 60 * 100  # hundredths of a second
        if row[3] == "01":
            found.append((int(row[1][-4:], 16), int(row[2][-4:], 16), KEEPALIVE if asks else row[5]))
    return found
