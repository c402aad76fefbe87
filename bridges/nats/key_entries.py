"""The entries of the bucket ``ipc_keys``: who is a site, by the admin's word. The admin's file has a copy of each.

    {site, sign, user, n}                   a site: its public keys, of signatures and of the login
    {site, sign, user, n, removed: true}    a site no more
    {streams, n}                            in how many streams the mail is

``n`` grows, or the entry is a replay. It is the second in which it was written, so it also grows for an admin whose file was
restored from a backup.
"""

from __future__ import annotations

import json
import time
from typing import Any

from bridges.nats.envelope import KEY, Forged, Identity, verified
from bridges.nats.layout import KEYS, STREAMS_KEY, bucket_subject
from broker.protocol.addresses import is_site

Row = dict[str, Any]


def next_number(old: Row | None) -> int:
    return max(int(time.time()), int(old["n"]) + 1 if old else 1)


def new_row(site: str, sign: str, user: str, old: Row | None) -> Row:
    return {"site": site, "sign": sign, "user": user, "n": next_number(old)}


def removed_row(old: Row) -> Row:
    return {**old, "n": next_number(old), "removed": True}


def streams_row(streams: int) -> Row:
    return {"streams": streams, "n": next_number(None)}


def signed_row(admin: Identity, key: str, row: Row) -> bytes:
    return admin.signed(KEY, bucket_subject(KEYS, key), json.dumps(row).encode())


def row_of(admin: str, key: str, value: bytes) -> Row | None:
    """What the admin, whose public key this is, wrote under a key; None for what he did not sign."""
    try:
        found = json.loads(verified(admin, KEY, bucket_subject(KEYS, key), value))
    except (Forged, ValueError):
        return None
    if not isinstance(found, dict) or type(found.get("n")) is not int:
        return None
    good = type(found.get("streams")) is int if key == STREAMS_KEY else is_site(key) and found.get("site") == key
    return found if good else None
