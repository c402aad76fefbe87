"""Other sites as agents and people see them: what waits for each, since when and why, and who is said to be there."""

from typing import Any

from broker.core.batch import Batch, Incoming
from broker.core.far_names import other_sites
from broker.core.globs import overlapping
from broker.core.state import Mailbox
from broker.core.values import iso, iso_term
from broker.protocol.actions import ACTIONS
from broker.protocol.names import is_name
from broker.protocol.spans import span

_ON_ITS_WAY = "on its way"
_PRESENCES = ("working", "waiting", "idle", "gone")
_NOTE_LENGTH = int(ACTIONS["presence"].field("note").most)
_RESOURCE_LENGTH = int(ACTIONS["claims"].field("resource").most)
_CLAIMS = 2000
"""Claims of other sites that an answer may hold."""
_AGENTS = 10_000
"""Agents of other sites that an answer may hold."""
AWAY_S = 45.0
"""A site that has given no sign for so long counts as away."""


def sites(batch: Batch, _session: None, _request: Incoming) -> dict[str, Any]:
    """All other sites: those that exist, and those for which something waits."""
    settings, link = batch.settings, batch.state.link
    told = link.hints
    row: dict[str, Any] = {"site": settings.site or None, "connected": told.connected}
    if settings.site and not told.connected:
        row["why"] = told.why or ("its door has not begun yet" if settings.nats else "no servers are set (nats in config.toml)")
    names = sorted({*other_sites(batch), *link.outbound} - {settings.site})
    return {**row, "sites": [describe(batch, name) for name in names]}


def describe(batch: Batch, site: str) -> dict[str, Any]:
    """One site, without empty fields."""
    told = batch.state.link.hints
    waiting, stored, first = batch.store.outbox_size(site)
    row: dict[str, Any] = {"site": site, "waiting": waiting, "stored": stored}
    letter = batch.store.find_letter(first) if first is not None else None
    if letter is not None:
        row["since"] = iso(letter.created_s)
    age_s = age_of(batch, site)
    if age_s is not None:
        row["age_s"] = round(age_s, 1)
        if is_away(batch, site):
            row["away"] = True
    if site in told.agents:
        row["agents"] = len(told.agents[site][1])
    return {**row, "why": why_waits(batch, site)} if waiting else row


def agents(batch: Batch) -> list[dict[str, Any]]:
    """Agents of other sites for ``list``, as their site told last: its words, of which what is no row of ours is left out."""
    rows: list[dict[str, Any]] = []
    for site, (at_s, some) in sorted(batch.state.link.hints.agents.items()):
        age_s = max(batch.now.mono_s - at_s, age_of(batch, site) or 0.0)
        for one in some[: _AGENTS - len(rows)]:
            if is_name(one.get("name")) and one.get("presence") in _PRESENCES:
                row = {"id": f"{one['name']}@{site}", "site": site, "age_s": round(age_s, 1), "presence": one["presence"]}
                if isinstance(one.get("note"), str) and one["note"]:
                    row["note"] = one["note"][:_NOTE_LENGTH]
                if isinstance(one.get("silent_s"), int):
                    row["silent_s"] = max(0, one["silent_s"])
                rows.append(row)
    return sorted(rows, key=lambda row: row["id"])


def presence_of(batch: Batch, mailbox: Mailbox) -> str | None:
    """What an agent at another site does, as that told last; None where it told nothing."""
    name, told = mailbox.name.partition("@")[0], batch.state.link.hints.agents.get(mailbox.site, (0.0, []))[1]
    said = next((one.get("presence") for one in told if one.get("name") == name), None)
    return said if said in _PRESENCES else None


def claims(batch: Batch, resource: str | None) -> list[dict[str, Any]]:
    """Claims at other sites, as each told last, or those of them that overlap a resource. They hold nobody off here."""
    link = batch.state.link
    told = [(site, at_s, one) for site, (at_s, some) in sorted(link.hints.claims.items()) for one in some[:_CLAIMS]]
    rows = []
    for site, at_s, one in told[:_CLAIMS]:
        name, what, note = one.get("holder"), one.get("resource"), one.get("note", "")
        if is_name(name) and isinstance(what, str) and 0 < len(what) <= _RESOURCE_LENGTH and isinstance(note, str):
            age_s = max(batch.now.mono_s - at_s, age_of(batch, site) or 0.0)
            row: dict[str, Any] = {"resource": what, "holder": f"{name}@{site}", "note": note[:_NOTE_LENGTH], "mine": False}
            rows.append({**row, "site": site, "age_s": round(age_s, 1)})
    return rows if resource is None else [rows[i] for i in overlapping(resource, [row["resource"] for row in rows])]


def age_of(batch: Batch, site: str) -> float | None:
    """Seconds since a site gave a sign, as far as the door said."""
    told = batch.state.link.hints.sites.get(site)
    if told is None or "age_s" not in told[1]:
        return None
    return float(told[1]["age_s"]) + batch.now.mono_s - told[0]


def is_away(batch: Batch, site: str) -> bool:
    age_s = age_of(batch, site)
    return age_s is not None and (age_s > AWAY_S or bool(batch.state.link.hints.sites[site][1].get("away")))


def away_since_s(batch: Batch, site: str) -> float | None:
    """By the terms' clock when a site gave its last sign; None where it is not known to be away."""
    return batch.now.term_s - (age_of(batch, site) or 0.0) if is_away(batch, site) else None


def silence(batch: Batch, site: str) -> str:
    """That a site is away, in words; empty where it is not known to be."""
    return f"{site} has given no sign for {span(age_of(batch, site) or 0.0)}" if is_away(batch, site) else ""


def why_waits(batch: Batch, site: str) -> str:
    """Why mail for a site is still here."""
    told, link = batch.state.link.hints, batch.state.link
    if link.keys and not (site in link.keys and link.keys[site].key):
        return "there is no such site any more"
    if not told.connected:
        since = f" since {iso_term(batch, told.since_s)[:16]}Z" if told.since_s else ""
        return f"no connection{since}: {told.why}" if told.why else f"no connection{since}"
    said = told.sites.get(site, (0.0, {}))[1].get("why")
    return str(said) if said else silence(batch, site) or _ON_ITS_WAY


def reach_of(batch: Batch, mailbox: Mailbox) -> tuple[str, bool]:
    """(a line for the sender of mail to a name at another site, whether the mail stays here for now)."""
    why = why_waits(batch, mailbox.site)
    return f"{mailbox.name}: {why}", why != _ON_ITS_WAY
