"""The one table of requests: fields, who may make it, what it does to mail, what its reply holds.

Doors, the reference page, the tests and the core's dispatch are made from this table. A new action is one row here, one
handler in ``broker.core`` and one test. Field names are the same at every door.
"""

from __future__ import annotations

from broker.protocol.essentials import LANDINGS
from broker.protocol.rows import Access, Action, Field

_MIB = 1024 * 1024

# fields of several actions
_MESSAGE = Field("message", (dict,), '{"content": text, "data": any JSON value, optional}', required=True)
_MESSAGE_ID = Field("message_id", (str,), "made by the client; the same message sent twice is stored once", low=1, high=64)
_FROM = Field("from_id", (str,), "optional; must be the session's own name")
_INSTANCE = Field("instance_id", (str,), "optional; must be the session's own name")
_IDS = Field("ids", (list,), "ids of messages of the session's mailbox", required=True, low=0, high=10_000)
_LIMIT = Field("limit", (int,), "at most so many messages", low=1, high=10_000, default=100)
_MAX_BYTES = Field("max_bytes", (int,), "stop before the messages as JSON exceed this", low=1, high=64 * _MIB, default=_MIB)
_TO = Field("to_id", (str,), "the recipient's name, or a group's", required=True)
_LAND = Field("land", (str,), "when it should land", choices=LANDINGS, default="tool")
_PERSON = Field("person", (bool,), "a person wrote it, so it is no exchange between machines")
_WAIT = Field("wait_s", (int, float), "wait so long for mail if there is none", low=0, high=3600)
_PAGE = Field("limit", (int,), "at most so many messages", low=1, high=200, default=50)
_BEFORE = Field("before", (str,), "only messages older than the one of this id", low=1, high=64)
_GROUP = Field("group", (str,), "the group's name", required=True)
_NAME = Field("name", (str,), "whose mail it is about", required=True)
_YEAR_2200_S = 7_258_118_400
"""The latest Unix time that a request may name, in seconds."""

_REPEATED = ("duplicate?: true where the same message was stored before", "note?")
_SENT = ("message", "message_id", "number")
_SENT_MAYBE = ("did_you_mean?", "mailbox_full?: names whose mailbox had no room", *_REPEATED)

_ROWS = (
    Action(
        "register",
        Access.ANYONE,
        (
            Field("instance_id", (str,), "the name to take", required=True),
            Field("auth_token", (str,), "hex SHA-256 of NAME:SHARED_SECRET where a secret is set"),
            Field("renews", (str,), "the token of the session that ended: only if nobody else has the name by now"),
            Field("peer_uid", (int,), "set by a door when its other end is another OS user than ours", low=0, high=2**32),
        ),
        ("session_token", "message", "queued"),
        "Take a name and get the token that proves it.",
    ),
    # mail goes out
    Action(
        "send",
        Access.SESSION,
        (
            _FROM,
            _TO,
            _MESSAGE,
            _MESSAGE_ID,
            _LAND,
            Field("ttl_s", (int, float), "unread after so many seconds, it is withdrawn", low=1, high=31_536_000),
            Field("thread", (str,), "id of the message whose thread it continues", low=1, high=64),
            Field("supersedes", (str,), "id of an own message to withdraw if it is still unread", low=1, high=64),
            _PERSON,
        ),
        (*_SENT, "thread?", "superseded?", *_SENT_MAYBE),
        "Write to a name or a group; durable when answered.",
    ),
    Action(
        "broadcast",
        Access.SESSION,
        (_FROM, _MESSAGE, _MESSAGE_ID, _LAND),
        (*_SENT, "count: how many it went to", "mailbox_full?: names whose mailbox had no room", *_REPEATED),
        "Write to every registered instance but oneself.",
    ),
    Action(
        "reply",
        Access.SESSION,
        (
            _FROM,
            Field("to_message", (str,), "id of the message that is answered", required=True, low=1, high=64),
            _MESSAGE,
            _MESSAGE_ID,
            _LAND,
            Field("auto", (bool,), "written without a model or person: counts a hop"),
            _PERSON,
        ),
        (*_SENT, "to", "thread", "answers?: the question it answered", *_REPEATED),
        "Answer a message in its thread; answers the question if it was one.",
    ),
    Action(
        "ask",
        Access.SESSION,
        (
            _FROM,
            _TO,
            _MESSAGE,
            _MESSAGE_ID,
            _LAND,
            Field("deadline_s", (int, float), "the question is stale after so long", low=1, high=604_800, default=600),
            _WAIT,
            _PERSON,
        ),
        (*_SENT, "state: open or answered", "messages: [the answer, on lease]", "more", "did_you_mean?", *_REPEATED),
        "Send a question and, with wait_s, wait for its answer.",
        delivers=True,
    ),
    Action(
        "forward",
        Access.SESSION,
        (
            _FROM,
            Field("forward_id", (str,), "id of a message one got or sent", required=True, low=1, high=64),
            _TO,
            Field("note", (str,), "a line of one's own before it", high=2000),
            _MESSAGE_ID,
            _LAND,
        ),
        (*_SENT, *_SENT_MAYBE),
        "Pass a message on, with its writer's name.",
    ),
    # what became of it
    Action(
        "withdraw",
        Access.SESSION,
        (Field("withdraw_id", (str,), "id of a message one sent", required=True, low=1, high=64),),
        ("withdrawn: how many copies were still unread and are gone",),
        "Take back a message that nobody has been given yet.",
    ),
    Action(
        "receipts",
        Access.SESSION,
        (Field("ids", (list,), "ids of messages one sent", required=True, low=1, high=100),),
        ("receipts: [{id, to, state: queued|delivered|read|answered|gone, at}]",),
        "What became of messages one sent.",
        long=True,
    ),
    Action(
        "asks",
        Access.SESSION,
        (Field("state", (str,), "only these", choices=("open", "answered", "stale")),),
        ("asks: [{id, from, to, content, asked_at, deadline, state, answer}]",),
        "Questions one asked or was asked.",
        long=True,
    ),
    # mail comes in
    Action(
        "check",
        Access.SESSION,
        (
            _INSTANCE,
            _WAIT,
            _LIMIT,
            _MAX_BYTES,
            Field("land", (str,), "the mildest landing to hand out: turn (all), tool or interrupt", choices=LANDINGS),
        ),
        ("messages: [{id, from, to, timestamp, message, land, ...}]", "more"),
        "New mail, on lease until acknowledged.",
        delivers=True,
    ),
    Action(
        "ack", Access.SESSION, (_INSTANCE, _IDS), ("acked: how many left the mailbox",), "Mail was read: it never comes back."
    ),
    Action(
        "release",
        Access.SESSION,
        (
            _INSTANCE,
            Field("ids", (list,), "as for ack; without it everything on lease", low=0, high=10_000),
            Field("unseen", (bool,), "nobody has been shown them: they come again without redelivered"),
        ),
        ("released: how many went back to the mailbox",),
        "Give leased mail back unread.",
    ),
    Action(
        "count",
        Access.SESSION,
        (_INSTANCE,),
        ("unread", "interrupt", "from: {name: n}", "newest?", "instance_id?"),
        "How much mail waits; delivers none.",
    ),
    Action(
        "touch",
        Access.SESSION,
        (
            _INSTANCE,
            _IDS,
            Field("lease_s", (int, float), "from now on (default: the lease of a check)", low=1, high=3600),
        ),
        ("touched: how many are on lease",),
        "Keep leased mail longer, whatever becomes of the connection.",
    ),
    Action(
        "subscribe",
        Access.SESSION,
        (
            _INSTANCE,
            Field("window", (int,), "at most so many unacknowledged pushes", low=1, high=10_000, default=100),
            Field("notify", (bool,), "push only that there is mail, not the mail"),
        ),
        ("message", "unread?: with notify, how much waits"),
        "Have mail, or word of it, pushed to this connection.",
        note="Pushes with this request's id follow: {push: mail, id, messages, more} or "
        "{push: new, id, unread, interrupt, from, land}.",
    ),
    Action(
        "unsubscribe",
        Access.SESSION,
        (_INSTANCE, Field("subscription", (int, str), "the id of one subscribe request; all of this connection without it")),
        ("message",),
        "No more pushes.",
    ),
    # the archive
    Action(
        "history",
        Access.SESSION,
        (
            Field("peer", (str,), "only mail to and from this name", low=1, high=64),
            Field("thread", (str,), "only this thread", low=1, high=64),
            Field("since_s", (int, float), "only from this Unix time on", low=0, high=_YEAR_2200_S),
            Field("history_id", (str,), "only the message of this id", low=1, high=64),
            _BEFORE,
            _PAGE,
        ),
        ("messages: [{..., direction: in|out, read}], newest first", "more", "behind?"),
        "Mail one got and sent, read or not.",
        long=True,
        slow=True,
    ),
    Action(
        "search",
        Access.SESSION,
        (
            Field(
                "query",
                (str,),
                "words; all must occur, the last may be the beginning of one of three letters or more",
                required=True,
                low=1,
                high=1000,
            ),
            _BEFORE,
            _PAGE,
        ),
        ("messages: [{..., snippet}], newest first", "more", "behind?"),
        "Full-text search in mail one got and sent.",
        long=True,
        slow=True,
    ),
    # who there is
    Action(
        "list",
        Access.SESSION,
        (),
        ("instances: [{id, last_seen, presence, note, reach}]",),
        "Who is registered and what they do.",
        long=True,
    ),
    Action(
        "presence",
        Access.SESSION,
        (
            Field("state", (str,), "what one does", choices=("working", "idle", "gone")),
            Field("note", (str,), "on what", high=200),
            Field("reach", (list,), "set by doors: the ways by which mail reaches this instance", low=0, high=8),
        ),
        ("presence", "note", "reach"),
        "Say what one is doing.",
    ),
    Action(
        "rename",
        Access.SESSION,
        (
            Field("old_id", (str,), "optional; must be the session's own name"),
            Field("new_id", (str,), "the new name", required=True),
        ),
        ("message",),
        "Take another name; the old one forwards for two hours.",
    ),
    Action("whoami", Access.SESSION, (), ("instance_id", "queued", "registered_at"), "The session's own name."),
    Action("groups", Access.SESSION, (), ("groups: [{name, members, mine}]",), "Every group and who is in it.", long=True),
    Action("group_create", Access.SESSION, (_GROUP,), ("message",), "Make a group and join it; mail to its name goes to all."),
    Action("group_join", Access.SESSION, (_GROUP,), ("message",), "Join a group."),
    Action("group_leave", Access.SESSION, (_GROUP,), ("message",), "Leave a group; the last one out ends it."),
    Action(
        "block",
        Access.SESSION,
        (_NAME, Field("mode", (str,), "block: refuse it; mute: file it unread", choices=("block", "mute"), default="block")),
        ("message",),
        "Refuse or file away the mail of a name.",
    ),
    Action("unblock", Access.SESSION, (_NAME,), ("message",), "Take mail of a name again."),
    Action("blocks", Access.SESSION, (), ("blocks: [{name, mode}]",), "Whom one has blocked or muted.", long=True),
    # who works on what
    Action(
        "claim",
        Access.SESSION,
        (
            Field("resource", (str,), "a file, or any text; * ? ** are wild", required=True, low=1, high=512),
            Field("ttl_s", (int, float), "how long", low=1, high=86_400, default=1800),
            Field("note", (str,), "what for", high=200),
        ),
        ("claimed: {resource, since, until}; again by its holder renews it",),
        "Say that one works on something, so that others keep off.",
    ),
    Action(
        "claim_release",
        Access.SESSION,
        (Field("resource", (str,), "as claimed; all of one's own without it", low=1, high=512),),
        ("released: how many",),
        "End a claim.",
    ),
    Action(
        "claims",
        Access.SESSION,
        (Field("resource", (str,), "only those that overlap it", low=1, high=512),),
        ("claims: [{resource, holder, since, until, note, mine}]",),
        "Who works on what.",
        long=True,
    ),
    Action(
        "autocheck",
        Access.SESSION,
        (Field("minutes", (int,), "between checks; 0 ends them; without it nothing changes", low=0, high=60),),
        ("autocheck: on|off", "minutes?: where it is on"),
        "Have one's doors look for mail every so many minutes, or see whether they do.",
    ),
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
            "instances: [{as list has it, queued}]",
            "unclaimed: names that nobody has registered",
            "queued",
            "leased",
            "requests",
            "repaired: the last repair of the store, or null",
            "clock: {jumps, ahead_s, held_s}",
            "bad_frames",
            "overloaded: requests that were not taken",
            "limits: {...}",
            "schema",
            "database_bytes",
            "durability",
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
    Action(
        "import",
        Access.OWNER,
        (
            Field("from_id", (str,), "who wrote it", required=True),
            Field("to_id", (str,), "whose mail it is", required=True),
            _MESSAGE,
            Field("message_id", (str,), "makes a repeated import harmless", required=True, low=1, high=64),
            Field("timestamp", (int, float), "Unix seconds when it was written", required=True, low=0, high=_YEAR_2200_S),
        ),
        ("message", "message_id", "number?", "duplicate?: true where it was imported before", "note?"),
        "Take over mail of another system.",
    ),
)

ACTIONS: dict[str, Action] = {row.name: row for row in _ROWS}

LONG = frozenset(name for name, action in ACTIONS.items() if action.long)
"""Requests whose reply may be many times as long as they are, beside those that deliver mail."""
DELIVERING = frozenset(name for name, action in ACTIONS.items() if action.delivers)
"""Requests whose reply may hold mail on lease."""
