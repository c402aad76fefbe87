"""Rows of the table of requests: what the owner of the data folder sees and does, at the page and the terminal view.

The owner sees all mail here. Nothing of that leases or acknowledges any.
"""

from __future__ import annotations

from broker.protocol.mail_rows import MESSAGE_ID, YEAR_2200_S
from broker.protocol.rows import Access, Action, Field

_NEXT = Field("before", (str,), "go on from here, as next of the page before said", low=1, high=64)
_LIMIT = Field("limit", (int,), "at most so many", low=1, high=1000, default=50)

OWNER_ROWS = (
    Action(
        "person",
        Access.OWNER,
        (Field("by", (str,), "the token of a session that a program holds", required=True, low=1, high=200),),
        ("instance_id",),
        "A person acts by that session: what it says is a person's word.",
    ),
    Action(
        "resume",
        Access.OWNER,
        (
            Field("by", (str,), "the token of a session that is closed", required=True, low=1, high=200),
            Field(
                "senders",
                (list,),
                "whose mail may start it again: person, names, webhook-SOURCE, NAME@SITE; none: no longer",
                required=True,
                low=0,
                high=100,
            ),
            Field("after", (str,), "only mail that is newer than the message of this number", low=1, high=20),
            Field("look_s", (int, float), "so long a start has to bring a sign of the agent", low=1, high=600, default=8),
        ),
        ("instance_id", "armed: [resume], or nothing where another connection has it"),
        "Be told when a closed agent is to be started again.",
        note="A push with this request's id follows, as of subscribe: {push: wake, id, way: resume, newest, ...}, where newest "
        "is the newest message of those senders. What became of it the agent's session says by way.",
    ),
    Action(
        "overview",
        Access.OWNER,
        (),
        (
            "at",
            "sent: the number of the last message",
            "agents: [{as list has it, queued, leased, oldest?, activity?: {state, since, tool?}, waits_for?, waited_by?, "
            "claims?: how many, paused?, person?, wakes?: of the last hour}]",
            "questions: [{id, from, to, content, asked_at, deadline, state: open|stale, asked_is, person?, buttons?}]",
            "alarms: [{id, name, kind, other, since, evidence}]",
            "claims: [{resource, holder, since, until, note}]",
            "groups: [{name, members, keep_s?: where read mail is kept for a time of its own}]",
            "dead: how many dead letters the owner has not taken off the list, at most 1000",
            "pauses: [{name, other?, since}]",
            "permissions: [{id, name, host, tool, shown: the tool's input as the host gave it, asked_at, until}] that wait",
        ),
        "Who there is, who waits for whom, what does not go on.",
        note="Questions: the newest 500 that nobody has answered, each with its first 500 characters.",
        long=True,
    ),
    Action(
        "letters",
        Access.OWNER,
        (
            Field("name", (str,), "only mail to and from this name", low=1, high=65),
            Field("peer", (str,), "with name: only what the two wrote to each other", low=1, high=65),
            Field("thread", (str,), "only this thread", low=1, high=64),
            Field("group", (str,), "only mail to this group", low=1, high=32),
            Field("since_s", (int, float), "only from this Unix time on", low=0, high=YEAR_2200_S),
            Field("query", (str,), "only what has these words, as search finds them", low=1, high=1000),
            Field("letter_id", (str,), "only this message", low=1, high=64),
            _NEXT,
            Field("after", (str,), "instead: only what is newer than the message of this number, oldest first", low=1, high=64),
            _LIMIT,
            Field("short", (bool,), "the first 500 characters of each, and 20 of its recipients"),
            Field("steps", (bool,), "with receipts, of at most 20 recipients each"),
        ),
        (
            "messages: [{id, from, to: [names], to_count?, group?, timestamp, message, cut?, land, thread, reply_to?, file?, "
            "snippet?, receipts?: [{to, step, at?, way?, why?, inferred?}]}], newest first",
            "more",
            "next?: what before or after takes for the next page",
            "behind?",
        ),
        "All mail, read or not, of everybody.",
        long=True,
        slow=True,
    ),
    Action(
        "traffic",
        Access.OWNER,
        (Field("since_s", (int, float), "from this Unix time on", required=True, low=0, high=YEAR_2200_S),),
        (
            "pairs: [{from, to: a name, or * where it went to several, count, last}], the 500 busiest first",
            "since: Unix seconds of the first message that counts, of at most 20,000",
            "hours: [how many messages in each hour], the newest last",
        ),
        "Who writes to whom, and how much.",
        long=True,
        slow=True,
    ),
    Action(
        "dead_letters",
        Access.OWNER,
        (Field("dead_id", (str,), "only this message, whole", low=1, high=64), _NEXT, _LIMIT),
        ("dead: [{id, from, to, timestamp, at, ending: expired|refused|dead, why, content}]", "more", "next?"),
        "Dead letters of everybody, the last that ended first.",
        long=True,
    ),
    Action(
        "dead_forward",
        Access.OWNER,
        (
            Field("by", (str,), "the token of the person's session", required=True, low=1, high=200),
            Field("dead_id", (str,), "id of a dead letter", required=True, low=1, high=64),
            Field("to_id", (str,), "another recipient's name, or a group's; needed where it ended at several"),
            MESSAGE_ID,
        ),
        (
            "message",
            "message_id",
            "number",
            "to",
            "resends: id of the first message",
            "did_you_mean?",
            "mailbox_full?",
            "reach?",
            "unreached?",
            "duplicate?",
            "note?",
        ),
        "Send a dead letter again as the person, with its writer's name; it is off the owner's list.",
    ),
    Action(
        "dead_forget",
        Access.OWNER,
        (Field("ids", (list,), "ids of dead letters", required=True, low=1, high=1000),),
        ("dropped: how many, by reader",),
        "Take dead letters off the owner's list.",
    ),
    Action(
        "pause",
        Access.OWNER,
        (
            Field("name", (str,), "an agent", required=True, low=1, high=65),
            Field(
                "other",
                (str,),
                "the other of a pair; without it nothing wakes the agent",
                low=1,
                high=65,
            ),
            Field("on", (bool,), "false: no longer", required=True),
        ),
        ("pauses: [{name, other?, since}]",),
        "Hold an agent's wakes, or the mail of a pair.",
    ),
    Action(
        "watch_all",
        Access.OWNER,
        (),
        ("watching",),
        "Be told that something has changed.",
        note="A push with this request's id follows: {push: changed, id}; the next one only after overview was asked again "
        "by this connection, so whoever reads slowly is told seldom.",
    ),
    Action(
        "keep",
        Access.OWNER,
        (
            Field("group", (str,), "whose read mail; holds for the name, also once nobody is in it", low=1, high=65),
            Field("thread", (str,), "number of a message of the thread", low=1, high=20),
            Field("keep_s", (int, float), "for how long it is kept; 0: no rule of its own", low=0, high=3_153_600_000),
        ),
        ("rules: [{group or thread, keep_s}]",),
        "Keep read mail of a group or thread longer, or less long, than other mail; without fields, the rules.",
    ),
    Action(
        "export",
        Access.OWNER,
        (
            Field("after", (str,), "only what is newer than the message of this number", low=1, high=20),
            Field("limit", (int,), "look at so many at most", low=1, high=1000, default=50),
            Field("name", (str,), "only mail to and from this name", low=1, high=65),
            Field("peer", (str,), "with name: only what the two wrote to each other", low=1, high=65),
            Field("thread", (str,), "only the thread of the message of this number", low=1, high=20),
            Field("group", (str,), "only mail to this group", low=1, high=65),
            Field("since_s", (int, float), "only from this Unix time on", low=0, high=YEAR_2200_S),
        ),
        (
            "messages: [{as history has it, readers: [{name, or null where it is gone, state: unread, read, expired, refused, "
            "withdrawn or dead, at?, evidence?, why?}]}], the oldest first",
            "more",
            "next?: what after takes for the next page",
            "last: number of the last message",
        ),
        "All mail, the oldest first, with what became of each copy.",
        note="A page may hold fewer messages than limit, or none, and more may follow.",
        long=True,
    ),
)
