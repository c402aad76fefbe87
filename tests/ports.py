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
