"""Rows of the table of requests: mail goes out, what became of it, mail comes in, the archive."""

from __future__ import annotations

from broker.protocol.essentials import EVIDENCE, LANDINGS
from broker.protocol.rows import Access, Action, Field

_MIB = 1024 * 1024

# fields of several actions
MESSAGE = Field("message", (dict,), '{"content": text, "data": any JSON value, optional}', required=True)
MESSAGE_ID = Field("message_id", (str,), "made by the client; the same message sent twice is stored once", low=1, high=64)
_FROM = Field("from_id", (str,), "optional; must be the session's own name")
_INSTANCE = Field("instance_id", (str,), "optional; must be the session's own name")
_IDS = Field("ids", (list,), "ids of messages of the session's mailbox", required=True, low=0, high=10_000)
_LIMIT = Field("limit", (int,), "at most so many messages", low=1, high=10_000, default=100)
_MAX_BYTES = Field("max_bytes", (int,), "stop before the messages as JSON exceed this", low=1, high=64 * _MIB, default=_MIB)
TO = Field("to_id", (str,), "the recipient's name, or a group's", required=True)
LAND = Field("land", (str,), "when it should land", choices=LANDINGS, default="tool")
_LAND_OF_NEWS = Field("land", (str,), "likewise; without it, thanks and short news land as digest", choices=LANDINGS)
_PERSON = Field("person", (bool,), "a person wrote it, so it is no exchange between machines; believed from a terminal alone")
_WAIT = Field("wait_s", (int, float), "wait so long for mail if there is none", low=0, high=3600)
_PAGE = Field("limit", (int,), "at most so many messages", low=1, high=200, default=50)
_BEFORE = Field("before", (str,), "only messages older than the one of this id", low=1, high=64)
YEAR_2200_S = 7_258_118_400
"""The latest Unix time that a request may name, in seconds."""
READER_STATES = ("unread", "read", "expired", "refused", "withdrawn", "dead")
"""What had become of a reader's copy, of mail that comes in from an export."""

_REPEATED = ("duplicate?: true where the same message was stored before", "note?")
_REACH = ("reach?: how the recipient is reached and since when it is silent", "unreached?: true where nothing wakes it")
_SENT = ("message", "message_id", "number")
_SENT_MAYBE = ("did_you_mean?", "mailbox_full?: names whose mailbox had no room", *_REACH, *_REPEATED)

MAIL_ROWS = (
    # mail goes out
    Action(
        "send",
        Access.SESSION,
        (
            _FROM,
            TO,
            MESSAGE,
            MESSAGE_ID,
            LAND,
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
        (_FROM, MESSAGE, MESSAGE_ID, _LAND_OF_NEWS, _PERSON),
        (
            *_SENT,
            "count: how many it went to",
            "land?: digest where it lands so",
            "mailbox_full?: names whose mailbox had no room",
            "left_out?: how many whose body has ended (broadcast_silent_s)",
            *_REPEATED,
        ),
        "Write to every registered instance but oneself.",
    ),
    Action(
        "reply",
        Access.SESSION,
        (
            _FROM,
            Field("to_message", (str,), "id of the message that is answered", required=True, low=1, high=64),
            MESSAGE,
            MESSAGE_ID,
            _LAND_OF_NEWS,
            Field("auto", (bool,), "written without a model or person: counts a hop"),
            _PERSON,
        ),
        (*_SENT, "to", "thread", "answers?: the question it answered", "land?: digest where it lands so", *_REACH, *_REPEATED),
        "Answer a message in its thread; answers the question if it was one.",
    ),
    Action(
        "ask",
        Access.SESSION,
        (
            _FROM,
            TO,
            MESSAGE,
            MESSAGE_ID,
            LAND,
            Field("deadline_s", (int, float), "the question is stale after so long", low=1, high=604_800, default=600),
            _WAIT,
            _PERSON,
        ),
        (
            *_SENT,
            "state: open or answered",
            "messages: [the answer, on lease]",
            "more",
            "asked_is?: working, idle, away or stuck",
            "did_you_mean?",
            *_REACH,
            *_REPEATED,
        ),
        "Send a question and, with wait_s, wait for its answer.",
        delivers=True,
    ),
    Action(
        "forward",
        Access.SESSION,
        (
            _FROM,
            Field("forward_id", (str,), "id of a message one got or sent", required=True, low=1, high=64),
            TO,
            Field("note", (str,), "a line of one's own before it", high=2000),
            MESSAGE_ID,
            LAND,
            _PERSON,
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
        (
            "receipts: [{id, to, step: stored|pushed|in_context|answered|expired|refused|withdrawn|dead, for another site "
            "outbox|stored|at_site|in_context|..., at?, inferred?, overdue?, why?, next?: {way, in_s}, "
            "steps: [{step, at?, way?, evidence?, inferred?, spread?}], "
            "state: queued|delivered|read|answered|gone}]",
        ),
        "What became of messages one sent: the step at which each stopped, since when and why.",
        long=True,
    ),
    Action(
        "asks",
        Access.SESSION,
        (Field("state", (str,), "only these", choices=("open", "answered", "stale")),),
        ("asks: [{id, from, to, content, asked_at, deadline, state, asked_is: working|idle|away|stuck, answer}]",),
        "Questions one asked or was asked.",
        long=True,
    ),
    Action(
        "dead",
        Access.SESSION,
        (
            Field("dead_id", (str,), "only this message, whole", low=1, high=64),
            _BEFORE,
            _PAGE,
        ),
        (
            "dead: [{id, direction: in|out, from, to, timestamp, at, ending: expired|refused|dead, why, content}]",
            "more",
        ),
        "Dead letters: mail one sent, or was to get, that ended unread.",
        note="Newest message first. A list holds the first 200 characters of each; dead_id also data and file.",
        long=True,
    ),
    Action(
        "dead_send",
        Access.SESSION,
        (
            Field("dead_id", (str,), "id of a dead letter", required=True, low=1, high=64),
            Field("to_id", (str,), "another recipient's name, or a group's; needed where it ended at several"),
            MESSAGE_ID,
        ),
        (*_SENT, "to", "resends: id of the first message", *_SENT_MAYBE),
        "Send a dead letter again, as a new message; it is off one's list.",
    ),
    Action(
        "dead_drop",
        Access.SESSION,
        (Field("ids", (list,), "ids of dead letters", required=True, low=1, high=1000),),
        ("dropped: how many, by reader",),
        "Take dead letters off one's list.",
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
            Field("land", (str,), "the mildest landing to hand out (default: all)", choices=LANDINGS),
            Field("wakes", (bool,), "it is taken to wake the agent with it, which is no sign that the agent is at work"),
        ),
        ("messages: [{id, from, to, timestamp, message, land, ...}]", "more"),
        "New mail, on lease until acknowledged.",
        delivers=True,
    ),
    Action(
        "ack",
        Access.SESSION,
        (
            _INSTANCE,
            _IDS,
            Field(
                "evidence", (str,), "by what a door knows that its model has them; a program leaves it out", choices=EVIDENCE
            ),
        ),
        ("acked: how many left the mailbox",),
        "Mail was read: it never comes back.",
    ),
    Action(
        "release",
        Access.SESSION,
        (
            _INSTANCE,
            Field("ids", (list,), "as for ack; without it everything on lease", low=0, high=10_000),
            Field("unseen", (bool,), "nobody has been shown them: they come again without redelivered"),
            Field("failed", (bool,), "their handler failed: after attempt_limit hand-outs they are dead letters"),
            Field("refuse", (bool,), "not wanted, or with failed no more tries: they are dead letters at once"),
            Field("why", (str,), "why, for their senders", high=200),
        ),
        ("released: how many went back to the mailbox", "ended?: how many are dead letters now"),
        "Give leased mail back unread, or refuse it.",
    ),
    Action(
        "count",
        Access.SESSION,
        (_INSTANCE,),
        ("unread", "interrupt", "digest", "from: {name: n}", "newest?", "instance_id?"),
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
            Field("ways", (list,), "with notify: names of the ways by which this connection can wake the agent", low=0, high=8),
            Field("look_s", (int, float), "so long a notice has to bring a sign of the agent", low=1, high=600, default=8),
            Field("client", (str,), "set by a door: which of its connections asks", high=64),
        ),
        (
            "message",
            "unread?: with notify, how much waits that does not land as digest",
            "armed?: with ways, those that no other connection holds",
        ),
        "Have mail, or word of it, pushed to this connection.",
        note="Pushes with this request's id follow: {push: mail, id, messages, more}, "
        "{push: new, id, unread, interrupt, from, land} or "
        "{push: wake, id, way, unread, interrupt, from, land, newest, instance_id}.",
    ),
    Action(
        "unsubscribe",
        Access.SESSION,
        (
            _INSTANCE,
            Field(
                "subscription",
                (int, str),
                "the id of one subscribe request, or of a check or ask that waits; without it all subscriptions here",
            ),
        ),
        ("message",),
        "No more pushes.",
    ),
    Action(
        "way",
        Access.SESSION,
        (
            _INSTANCE,
            Field("way", (str,), "as the push named it", required=True, low=1, high=32),
            Field("result", (str,), "what became of the notice", required=True, choices=("given", "failed", "refused")),
        ),
        ("way", "state: off, armed, tried, failed or refused"),
        "Answer a wake push: the notice was given, or could not be, or the host refused it.",
    ),
    # the archive
    Action(
        "history",
        Access.SESSION,
        (
            Field("peer", (str,), "only mail to and from this name", low=1, high=64),
            Field("thread", (str,), "only this thread", low=1, high=64),
            Field("since_s", (int, float), "only from this Unix time on", low=0, high=YEAR_2200_S),
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
    Action(
        "import",
        Access.OWNER,
        (
            Field("from_id", (str,), "who wrote it", required=True),
            Field("to_id", (str,), "whose mail it is; this or readers"),
            MESSAGE,
            Field("message_id", (str,), "makes a repeated import harmless", required=True, low=1, high=64),
            Field("timestamp", (int, float), "Unix seconds when it was written", required=True, low=0, high=YEAR_2200_S),
            Field(
                "readers",
                (list,),
                "of an export of ours, all its readers: [{name, state: unread, read or an ending, at?, evidence?, why?}]",
                low=0,
                high=12_000,
            ),
            Field("group", (str,), "the group that it went to", low=1, high=65),
            LAND,
            Field(
                "thread",
                (str,),
                "the message here whose thread it continues: its number, or WRITER/MESSAGE_ID",
                low=1,
                high=130,
            ),
            Field("reply_to", (str,), "the message here that it answers; number, or WRITER/MESSAGE_ID", low=1, high=130),
            Field(
                "supersedes",
                (str,),
                "the message here that it took the place of: its number, or WRITER/MESSAGE_ID",
                low=1,
                high=130,
            ),
            Field("was", (str,), "its id where it comes from", low=1, high=64),
            Field("own", (bool,), "it comes from this data folder: left alone where the message was is here still"),
            Field("past", (dict,), "{forwarded?: {from, id, at}, question?: {deadline}, hops?, resends?}"),
            Field("unread", (bool,), "what was unread waits as unread; without it, it is history"),
        ),
        ("message", "message_id", "number?", "duplicate?: true where it was imported before", "note?"),
        "Take over mail of another system, or of an export. Of an export it wakes nobody.",
    ),
    Action(
        "post",
        Access.OWNER,
        (
            Field(
                "source", (str,), "where the webhook comes from; its mail is from webhook-SOURCE", required=True, low=1, high=24
            ),
            Field("to_id", (str,), "a name or group of this site", required=True),
            MESSAGE,
            Field("message_id", (str,), "the delivery's id, which is taken once", required=True, low=1, high=64),
            LAND,
        ),
        ("message", "message_id", "number", "mailbox_full?: names that were left out", *_REACH, *_REPEATED),
        "Deliver what came in by a webhook.",
    ),
)
