"""The actions of the process that carries mail between sites. It has the owner's key, and the link until another opens it.

link_open --> lease     link_take --> rows to publish --> link_sent
                        link_arrived (entries, place in the stream) --> marks that are owed
                        link_marks (of others)   link_streams   link_told   link_hints
"""

from typing import Any

import msgpack

from broker.core import link
from broker.core.batch import Batch, Incoming
from broker.core.claims import shown_claims
from broker.core.far_in import FarMail
from broker.core.far_out import body_of
from broker.core.link_in import mark_for
from broker.core.link_state import LinkDoor, LinkEntry, Outbound, OutboxRow, SiteKey, SiteMark, StreamPlace
from broker.core.presence import presence_of
from broker.protocol.actions import ACTIONS
from broker.protocol.addresses import is_site
from broker.protocol.errors import IpcError

_LIMIT: int = ACTIONS["link_take"].field("limit").default
_MAX_BYTES: int = ACTIONS["link_take"].field("max_bytes").default
_EPOCH_LENGTH = 32
_UID_LENGTH = 64
_ALL_MARKS_S = 10.0
"""Seconds after which every source gets a mark, also one of which nothing came."""
_HINTS = 10_000
"""Agents of a site that are remembered as hints."""


def open_(batch: Batch, _session: None, request: Incoming) -> dict[str, Any]:
    state = batch.state.link
    if not batch.settings.site:
        raise IpcError("no_site", address="The link")
    lease = int(link.fresh(batch, 12), 16) + 1  # random: a door of an earlier life of the broker may still be about
    link.opened(batch, LinkDoor(lease, request.route, request.body.get("id"), request.body["carrier"]))
    place = next(iter(state.streams.values()), StreamPlace(0, ""))
    return {
        "lease": lease,
        "site": batch.settings.site,
        "streams": {name: one._asdict() for name, one in state.streams.items()},
        "marks": marks_for(batch, set(state.inbound), place),
        "keys": {site: key_map(key) for site, key in state.keys.items()},
    }


def key_map(key: SiteKey) -> dict[str, Any]:
    return {"n": key.n, "key": key.key} if key.key else {"n": key.n, "key": "", "removed": True}


def check_lease(batch: Batch, request: Incoming) -> None:
    """Raise ``link_taken`` unless the request is of the process that opened the link last."""
    door = batch.state.link.door.get("door")
    if door is None or door.lease != request.body["lease"]:
        raise IpcError("link_taken")


def marks_for(batch: Batch, sites: set[str], place: StreamPlace) -> dict[str, Any]:
    found = {site: mark_for(batch, site, place) for site in sorted(sites)}
    return {site: mark._asdict() for site, mark in found.items() if mark is not None}


# out


def take(batch: Batch, _session: None, request: Incoming) -> dict[str, Any]:
    check_lease(batch, request)
    limit, most = request.body.get("limit") or _LIMIT, request.body.get("max_bytes") or _MAX_BYTES
    rows: list[dict[str, Any]] = []
    size = 0
    for out, row, prev in link.take_rows(batch, limit):
        if size > most:
            link.put_back(batch, row)
            continue
        body = body_of(batch, row.site, row.message_id) if row.message_id is not None else msgpack.unpackb(row.body)
        size += len(str(body.get("content", "")))
        rows.append(row_map(out, row, prev, body))
    more = link.has_work(batch)
    door = batch.state.link.door["door"]
    if not more and not rows and not door.idle:
        batch.journal.put(batch.state.link.door, "door", door._replace(idle=True))
    return {"rows": rows, "more": more}


def row_map(out: Outbound, row: OutboxRow, prev: str, body: dict[str, Any]) -> dict[str, Any]:
    named = {"to": row.site, "epoch": out.epoch, "seq": row.seq, "uid": row.uid, "prev": prev, "low": out.high + 1}
    return {**named, "redo": out.redo, "try": max(1, row.tries), "body": body}


def sent(batch: Batch, _session: None, request: Incoming) -> dict[str, Any]:
    check_lease(batch, request)
    body = request.body
    acked = [(whole(seq), whole(at)) for seq, at in pairs(body["acked"])]
    failed = [whole(seq) for seq in body.get("failed") or ()]
    return {"noted": link.note_sent(batch, body["to"], body["epoch"], body["born"], acked, failed)}


def streams(batch: Batch, _session: None, request: Incoming) -> dict[str, Any]:
    check_lease(batch, request)
    return {"again": link.note_streams(batch, {site: stream_of(told) for site, told in request.body["born"].items()})}


def marks(batch: Batch, _session: None, request: Incoming) -> dict[str, Any]:
    check_lease(batch, request)
    found = {site: mark_of(mark) for site, mark in request.body["marks"].items()}
    return {"renewed": [site for site, mark in found.items() if link.take_mark(batch, site, mark)]}


# in


def arrived(batch: Batch, _session: None, request: Incoming) -> dict[str, Any]:
    check_lease(batch, request)
    body, state = request.body, batch.state.link
    taker, sources = FarMail(batch), set[str]()
    for one in body["entries"]:
        try:
            entry = entry_of(one)
        except IpcError as e:  # a site may write what it likes: it does not stop the mail of others
            state.dropped += 1
            batch.event("link_entry_refused", detail=e.text)
        else:
            taker.enter(entry)
            sources.add(entry.site)
    taker.finish()
    place = StreamPlace(body["cursor"], body["born"])
    if state.streams.get(body["stream"]) != place:
        batch.journal.put(state.streams, body["stream"], place)
        batch.store.save_stream(body["stream"], place)
    if batch.now.mono_s - state.marked_s > _ALL_MARKS_S:  # some may have nothing here but what was lost before this place
        state.marked_s = batch.now.mono_s
        sources |= state.inbound.keys()
    return {"marks": marks_for(batch, sources, place)}


# what the door's requests hold


def pairs(rows: list[Any]) -> list[tuple[Any, Any]]:
    if not all(isinstance(row, (list, tuple)) and len(row) == 2 for row in rows):
        raise IpcError("bad_request", detail="rows are [number, place]")
    return [(row[0], row[1]) for row in rows]


def whole(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**63:
        raise IpcError("bad_request", detail="numbers and places are whole and not negative")
    return value


def word(value: object, most: int) -> str:
    if not isinstance(value, str) or len(value) > most:
        raise IpcError("bad_request", detail=f"an epoch, uid or born is text of at most {most} characters")
    return value


def stream_of(value: object) -> tuple[str, int | None]:
    """When a stream was created, and the last place that it has, where that is told."""
    born, last = value if isinstance(value, (list, tuple)) and len(value) == 2 else (value, None)
    return word(born, _UID_LENGTH), None if last is None else whole(last)


def mapping(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise IpcError("bad_request", detail="an entry, a mark and a body are maps")
    return value


def entry_of(value: object) -> LinkEntry:
    one = mapping(value)
    site = one.get("from")
    if not is_site(site):
        raise IpcError("bad_request", detail="an entry comes from a site")
    seq = whole(one.get("seq"))
    if seq < 1:
        raise IpcError("bad_request", detail="numbers begin at 1")
    return LinkEntry(
        str(site),
        word(one.get("epoch"), _EPOCH_LENGTH),
        seq,
        word(one.get("uid"), _UID_LENGTH),
        word(one.get("prev"), _UID_LENGTH),
        whole(one.get("low")),
        whole(one.get("redo")),
        mapping(one.get("body")),
    )


def mark_of(value: object) -> SiteMark:
    one = mapping(value)
    held = one.get("held")
    return SiteMark(
        word(one.get("epoch"), _EPOCH_LENGTH),
        whole(one.get("high")),
        word(one.get("uid"), _UID_LENGTH),
        None if held is None else whole(held),
        whole(one.get("cursor")),
        word(one.get("born"), _UID_LENGTH),
    )


# hints


def told(batch: Batch, _session: None, request: Incoming) -> dict[str, Any]:
    """What the door knows of other sites. Keys are kept, and an older word of the admin than the known one is none."""
    check_lease(batch, request)
    body, state, now_s = request.body, batch.state.link, batch.now.mono_s
    hints = state.hints
    for site, value in (body.get("keys") or {}).items():
        one = mapping(value)
        key = SiteKey(whole(one.get("n")), "" if one.get("removed") else word(one.get("key"), _UID_LENGTH))
        known = state.keys.get(site)
        if is_site(site) and (known is None or key.n > known.n):
            batch.journal.put(state.keys, site, key)
            batch.store.save_site_key(site, key)
    if body.get("connected") is not None or body.get("why") is not None:
        connected, why = bool(body.get("connected")), body.get("why") or ""
        if (connected, why) != (hints.connected, hints.why):
            hints.connected, hints.why, hints.since_s = connected, why, batch.now.term_s
    for site, one in (body.get("sites") or {}).items():
        hints.sites[site] = (now_s, mapping(one))
    for table, rows in ((hints.agents, body.get("agents")), (hints.claims, body.get("claims"))):
        for site, some in (rows or {}).items():
            table[site] = (now_s, [mapping(one) for one in some[:_HINTS]])
    return {"known": len(state.keys)}


def hints(batch: Batch, _session: None, request: Incoming) -> dict[str, Any]:
    """What other sites may be shown: who is here, what they say of themselves, what they have claimed."""
    check_lease(batch, request)
    agents = []
    for mailbox in sorted((m for m in batch.state.mailboxes.values() if m.claimed), key=lambda m: m.name)[:_HINTS]:
        row: dict[str, Any] = {"name": mailbox.name, "presence": presence_of(batch, mailbox)}
        row["silent_s"] = max(0, int(batch.now.term_s - mailbox.last_seen_s))
        agents.append({**row, "note": mailbox.note} if mailbox.note and row["presence"] != "gone" else row)
    return {"agents": agents, "claims": shown_claims(batch)}
