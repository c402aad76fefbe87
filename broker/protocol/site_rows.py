"""Rows of the table of requests: other sites, and the door that carries mail to them (PROTOCOL.md, Between sites)."""

from __future__ import annotations

from broker.protocol.rows import Access, Action, Field

_MIB = 1024 * 1024
_LEASE = Field("lease", (int,), "as link_open answered it", required=True, low=1)
_SITE = Field("to", (str,), "the destination", required=True, low=1, high=32)
_BORN = Field("born", (str,), "when the stream was created, as its engine says", required=True, high=64)

SITE_ROWS = (
    Action(
        "sites",
        Access.ANYONE,
        (),
        (
            "site: this broker's, or null",
            "connected",
            "why?: in words, where it is not",
            "sites: [{site, waiting, stored, since?, why?, age_s?, away?, agents?}]",
        ),
        "Other sites: what waits for them, since when and why.",
        long=True,
    ),
    Action(
        "link_open",
        Access.OWNER,
        (Field("carrier", (str,), "what carries the mail, for people", required=True, low=1, high=32),),
        ("lease", "site", "streams: {name: {cursor, born}}", "marks: {site: mark}", "keys: {site: {n, key, removed?}}"),
        "Begin to carry mail between sites. The newest one that opened does it; older leases end.",
        note="Pushes with this request's id follow: {push: link, id} says that there is something to take.",
        long=True,
    ),
    Action(
        "link_take",
        Access.OWNER,
        (
            _LEASE,
            Field("limit", (int,), "at most so many rows", low=1, high=1024, default=256),
            Field("max_bytes", (int,), "stop once the bodies have so many", low=1, high=64 * _MIB, default=4 * _MIB),
        ),
        ("rows: [{to, epoch, seq, uid, prev, low, redo, try, body}]", "more"),
        "What is to be published now.",
        long=True,
    ),
    Action(
        "link_sent",
        Access.OWNER,
        (
            _LEASE,
            _SITE,
            Field("epoch", (str,), "of the rows", required=True, low=1, high=32),
            _BORN,
            Field("acked", (list,), "[number, place in the stream] each", required=True, low=0, high=1024),
            Field("failed", (list,), "numbers whose fate is not known", low=0, high=1024),
        ),
        ("noted",),
        "What became of rows that were taken.",
    ),
    Action(
        "link_streams",
        Access.OWNER,
        (_LEASE, Field("born", (dict,), "by destination [when its stream was created, its last place]", required=True)),
        ("again: how many rows are published again",),
        "Streams that were made anew lose what they held.",
    ),
    Action(
        "link_arrived",
        Access.OWNER,
        (
            _LEASE,
            Field("stream", (str,), "which one", required=True, low=1, high=64),
            _BORN,
            Field("cursor", (int,), "the last place that was read", required=True, low=0),
            Field("entries", (list,), "[{from, epoch, seq, uid, prev, low, redo, at, body}]", required=True, high=1024),
        ),
        ("marks: {site: {epoch, high, uid, held, cursor, born}}",),
        "Take in what was read, in one transaction with the place up to which it was.",
        long=True,
    ),
    Action(
        "link_marks",
        Access.OWNER,
        (_LEASE, Field("marks", (dict,), "by site what it has of ours", required=True)),
        ("renewed: sites for which our numbers begin anew",),
        "Marks of other sites: what they have leaves the outbox.",
    ),
    Action(
        "link_told",
        Access.OWNER,
        (
            _LEASE,
            Field("connected", (bool,), "whether mail flows"),
            Field("why", (str,), "why not", high=400),
            Field("keys", (dict,), "{site: {n, key, removed?}}: kept"),
            Field("sites", (dict,), "{site: {age_s, away, why?}}"),
            Field("agents", (dict,), "{site: [{name, presence, note, silent_s}]}"),
            Field("claims", (dict,), "{site: [{resource, holder, note}]}"),
        ),
        ("known: how many sites",),
        "What the door knows of other sites. All but keys are hints in memory.",
    ),
    Action(
        "link_hints",
        Access.OWNER,
        (_LEASE,),
        ("agents: [{name, presence, note, silent_s}]", "claims: [{resource, holder, note}]"),
        "What other sites may be shown of this one.",
        long=True,
    ),
)
