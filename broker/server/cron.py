"""Cron times in this machine's time zone, by the package cronsim (extra ``cron``), which is imported where one is counted.

A time that a change to summer time leaves out is due when the clocks have been put forward; one that the change back brings
twice is due once. Where minute or hour is ``*``, minutes pass as they do, and none is left out or doubled.
"""

import os
from datetime import datetime, timezone, tzinfo
from math import inf
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from broker.protocol.errors import IpcError

_ZONE_FILE = "/etc/localtime"
_FIELDS = 5


def next_cron(spec: str, after_s: float, zone: tzinfo | None = None) -> float:
    """The first Unix time after ``after_s`` that the five fields name, ``inf`` if none does in 50 years.

    Raises ``bad_request`` for what is no cron time, ``no_cron`` where the package is not installed.
    """
    try:
        from cronsim import CronSim, CronSimError
    except ImportError:
        raise IpcError("no_cron") from None
    if len(spec.split()) != _FIELDS:
        raise IpcError("bad_request", detail="cron has five fields: minute hour day-of-month month day-of-week")
    try:
        moments = CronSim(spec, datetime.fromtimestamp(after_s, zone or local_zone()))
    except CronSimError as e:
        raise IpcError("bad_request", detail=f"cron: {e}") from None
    # in an hour that comes twice, it may begin with the first one
    return next((found_s for found_s in (m.timestamp() for m in moments) if found_s > after_s), inf)


def local_zone() -> tzinfo:
    """By $TZ or the machine's setting; where neither names a zone, the present distance from UTC."""
    name = os.environ.get("TZ", "").removeprefix(":")
    try:
        if name and not name.startswith("/"):
            return ZoneInfo(name)
        with open(name or _ZONE_FILE, "rb") as file:
            return ZoneInfo.from_file(file)
    except (OSError, ValueError, ZoneInfoNotFoundError):
        return datetime.now().astimezone().tzinfo or timezone.utc
