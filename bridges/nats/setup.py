"""What must be at the servers: streams, buckets and the object store, each with its limits. Makes it, or says what differs."""

from __future__ import annotations

from typing import Any

from bridges.nats import layout
from bridges.nats.admin_client import AdminClient
from bridges.nats.layout import bucket_stream, mail_stream

MIB, GIB = 1024**2, 1024**3
DISK_GIB = 4
"""GiB of each node's disk that all streams may take, if nobody says otherwise. The server sets them aside."""
COPIES = 3
"""Copies of each message, where there are as many nodes. Two nodes have one: neither could go on without the other."""
_SECOND = 1_000_000_000
_KEPT = 7 * 24 * 3600 * _SECOND
_DEDUPE = 120 * _SECOND
_PAIR_MESSAGES = 1_000_000
"""Messages of one pair of sites in a stream, read ones too: no pair can fill it for the others."""
_SMALL = {layout.KEYS: 16 * MIB, layout.SITES: 64 * MIB, layout.NAMES: 256 * MIB}
_MARKS_BYTES = 64 * MIB
_DURATIONS = ("max_age", "duplicate_window")
_SIZES = ("max_bytes",)
_CHOSEN = ("max_bytes",)
"""What an operator may have set otherwise."""
_FIXED = ("storage", "retention")
"""What servers never change in a stream that exists."""

Config = dict[str, Any]


def copies_for(nodes: int) -> int:
    return COPIES if nodes >= COPIES else 1


def wanted(streams: int, copies: int, disk_gib: int) -> list[Config]:
    """The configuration of every stream, as JetStream's requests have it."""
    rest = disk_gib * GIB - sum(_SMALL.values()) - _MARKS_BYTES
    mail = {
        "retention": "limits",
        "discard": "new",
        "discard_new_per_subject": True,
        "max_msgs_per_subject": _PAIR_MESSAGES,
        "max_age": _KEPT,
        "max_bytes": rest * 2 // 3 // streams,
        "duplicate_window": _DEDUPE,
    }
    newest = {"max_msgs_per_subject": 1, "discard": "new", "duplicate_window": _DEDUPE}
    found: list[Config] = [{"name": mail_stream(k), "subjects": [f"ipc.in.{k}.*.*"], **mail} for k in range(streams)]
    found.append({"name": layout.MARKS, "subjects": ["ipc.at.*.*"], **newest, "max_bytes": _MARKS_BYTES})
    for bucket in layout.BUCKETS:
        subjects = [f"$KV.{bucket}.>"]
        found.append({"name": bucket_stream(bucket), "subjects": subjects, **newest, "max_bytes": _SMALL[bucket]})
    subjects = [f"$O.{layout.BODIES}.C.>", f"$O.{layout.BODIES}.M.>"]
    bodies = {"discard": "new", "max_age": _KEPT, "max_bytes": rest // 3, "duplicate_window": _DEDUPE}
    found.append({"name": layout.BODIES_STREAM, "subjects": subjects, **bodies})
    # a message with Nats-Rollup would remove what others wrote
    every = {"storage": "file", "retention": "limits", "allow_direct": True, "allow_rollup_hdrs": False, "num_replicas": copies}
    return [{**every, **config} for config in found]


def differences(have: Config, want: Config) -> dict[str, str]:
    """By field: how a stream differs from what it should be, in words."""
    found = {}
    for name, value in want.items():
        there = have.get(name, type(value)())
        if there != value:
            found[name] = f"{name} is {_shown(name, there)}, not {_shown(name, value)}"
    return found


def notable(have: Config, want: Config, given: frozenset[str] = frozenset()) -> dict[str, str]:
    """Those that somebody should set right. ``given``: fields that the admin asks for now, whatever he chose before."""
    found = differences(have, want)
    chosen = set(_CHOSEN)
    if have.get("num_replicas", 1) > want["num_replicas"]:  # a node is away now
        chosen.add("num_replicas")
    return {name: text for name, text in found.items() if name in given or name not in chosen}


async def make(client: AdminClient, want: Config, given: frozenset[str] = frozenset()) -> tuple[str, str]:
    """(ok or FAIL, what was done) for one stream. ``given`` as in notable. Raises Trouble."""
    found = await client.stream(want["name"])
    if found is None:
        await client.api(f"STREAM.CREATE.{want['name']}", want)
        return "ok", f"made, {_copies(want['num_replicas'])}"
    have = found["config"]
    differs = notable(have, want, given)
    stuck = [text for name, text in differs.items() if name in _FIXED]
    if stuck:
        return (
            "FAIL",
            f"{'; '.join(stuck)}. Remove the stream by hand, then again: ipc nats init; senders send again what it held",
        )
    if not differs:
        return "ok", f"there, {_copies(have.get('num_replicas', 1))}"
    await client.api(f"STREAM.UPDATE.{want['name']}", {**have, **{name: want[name] for name in differs}})
    return "ok", f"set right: {'; '.join(differs.values())}"


def _copies(count: int) -> str:
    return "one copy" if count == 1 else f"{count} copies"


def _shown(name: str, value: Any) -> str:
    if name in _DURATIONS and value:
        days, seconds = divmod(value // _SECOND, 24 * 3600)
        return f"{days} d" if days and not seconds else f"{value // _SECOND} s"
    if name in _SIZES and isinstance(value, int) and value > 0:
        return f"{value // MIB} MiB"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)
