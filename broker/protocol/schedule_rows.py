"""Rows of the table of requests: mail that is sent later, or again and again."""

from __future__ import annotations

from broker.protocol.mail_rows import LAND, MESSAGE, MESSAGE_ID, TO, YEAR_2200_S
from broker.protocol.rows import Access, Action, Field

EVERY_S = 60
"""Seconds at least between two messages of one schedule."""

SCHEDULE_ROWS = (
    Action(
        "schedule",
        Access.SESSION,
        (
            TO,
            MESSAGE,
            MESSAGE_ID,
            LAND,
            Field("at_s", (int, float), "once, at this Unix time by the wall clock", low=0, high=YEAR_2200_S),
            Field("in_s", (int, float), "once, after so many seconds", low=1, high=31_536_000),
            Field("every_s", (int, float), "again and again, after so many seconds each", low=EVERY_S, high=31_536_000),
            Field(
                "cron",
                (str,),
                "again and again, five fields in the machine's time zone: minute hour day month weekday",
                low=9,
                high=128,
            ),
            Field(
                "until_s", (int, float), "with every_s and cron: nothing is due after this Unix time", low=0, high=YEAR_2200_S
            ),
        ),
        (
            "schedule: {id, to, kind: at|in|every|cron, spec, next, until?, created, sent: how many, last?: id of the last "
            "message, failed?: why the last one was refused, content}; of one that has been sent {to, last}",
            "did_you_mean?",
            "duplicate?: true where the same request was made before",
            "note?",
        ),
        "Have a message sent later, or again and again; durable when answered.",
        note="It takes one of at_s, in_s, every_s and cron.",
    ),
    Action(
        "schedules",
        Access.SESSION,
        (),
        ("schedules: [{...as schedule answers}], the next due first",),
        "One's own schedules. A list holds the first 200 characters of each message.",
        long=True,
    ),
    Action(
        "schedule_drop",
        Access.SESSION,
        (Field("schedule_id", (int,), "as schedule answered it; all of one's own without it", low=1, high=2**31),),
        ("dropped: how many",),
        "Send no more of it.",
    ),
)
