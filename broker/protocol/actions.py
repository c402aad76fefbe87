"""The one table of requests: fields, who may make it, what it does to mail, what its reply holds.

Doors, the reference page, the tests and the core's dispatch are made from this table; its rows are in the modules whose names
end in ``_rows``, and here. A new action is one row, one handler in ``broker.core`` and one test. Field names are the same at
every door.
"""

from __future__ import annotations

from broker.protocol.agent_rows import AGENT_ROWS
from broker.protocol.mail_rows import MAIL_ROWS
from broker.protocol.owner_rows import OWNER_ROWS
from broker.protocol.permission_rows import PERMISSION_ROWS
from broker.protocol.rows import Access, Action, Field
from broker.protocol.schedule_rows import SCHEDULE_ROWS
from broker.protocol.site_rows import SITE_ROWS

SERVICE_ROWS = (
    # the service
    Action("ping", Access.ANYONE, (), ("pid", "version", "protocol"), "Whether the broker answers."),
    Action(
        "status",
        Access.ANYONE,
        (),
        (
            "pid",
            "version",
            "protocol",
            "uptime_s",
            "endpoint",
            "instances: [{as list has it, queued, ways?: [{way, state, since, result}], woken?: wakes of the last hour}]",
            "unclaimed: names that nobody has registered",
            "queued",
            "leased",
            "requests",
            "repaired: the last repair of the store, or null",
            "clock: {jumps, ahead_s, held_s}",
            "bad_frames",
            "bounces_dropped: digests that found no room in a sender's mailbox",
            "overloaded: requests that were not taken",
            "limits: {...}",
            "schema",
            "database_bytes",
            "durability",
            "sites?: as sites has them, where this broker has a site",
        ),
        "How the broker is: counts, limits, settings; no mail.",
        long=True,
    ),
    Action(
        "end_session",
        Access.OWNER,
        (Field("name", (str,), "whose session", required=True),),
        ("ended: false where it had none",),
        "End a name's session; its mail stays, and the name can be registered again.",
    ),
)

_ALL = (*AGENT_ROWS, *MAIL_ROWS, *SCHEDULE_ROWS, *SITE_ROWS, *OWNER_ROWS, *PERMISSION_ROWS, *SERVICE_ROWS)
ACTIONS: dict[str, Action] = {row.name: row for row in _ALL}

LONG = frozenset(name for name, action in ACTIONS.items() if action.long)
"""Requests whose reply may be many times as long as they are, beside those that deliver mail."""
DELIVERING = frozenset(name for name, action in ACTIONS.items() if action.delivers)
"""Requests whose reply may hold mail on lease."""
