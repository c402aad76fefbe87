"""Rows of the table of requests: who there is, and who works on what."""

from __future__ import annotations

from broker.protocol.rows import Access, Action, Field

AGENT_EVENTS = (
    "began",
    "turn_began",
    "turn_ended",
    "sign",
    "tool_began",
    "tool_ended",
    "permission",
    "answer",
    "failed",
    "ended",
)
HAPPENINGS = ("idle", "ended", "failed", "stuck", "edits", "claims", "releases", "joins")
"""What an agent can be watched for."""
_GROUP = Field("group", (str,), "the group's name", required=True)
_NAME = Field("name", (str,), "whose mail it is about", required=True)

AGENT_ROWS = (
    Action(
        "register",
        Access.ANYONE,
        (
            Field("instance_id", (str,), "the name to take", required=True),
            Field("auth_token", (str,), "hex SHA-256 of NAME:SHARED_SECRET where a secret is set"),
            Field("renews", (str,), "the token of the session that ended: only if nobody else has the name by now"),
            Field("body", (dict,), "who acts for it: {kind: terminal|session|process, key, pid, started, host, where}"),
            Field("force", (bool,), "also if another body holds the name; that one is told"),
            Field("client", (str,), "set by a door: which of its connections asks", high=64),
            Field("peer_uid", (int,), "set by a door when its other end is another OS user than ours", low=0, high=2**32),
        ),
        ("session_token", "message", "queued"),
        "Take a name and get the token that proves it.",
    ),
    # who there is
    Action(
        "list",
        Access.SESSION,
        (Field("all", (bool,), "also names that nobody has, for which mail waits, and those of other sites"),),
        (
            "instances: [{id, last_seen, silent_s, presence, note, reach, body: {kind, host, where, since, alive}, ended, "
            "unclaimed}], of other sites {id, site, age_s, presence, note, silent_s}",
        ),
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
            Field("body", (dict,), "set by doors: who acts for the name from now on, as in register"),
        ),
        ("presence", "note", "reach"),
        "Say what one is doing.",
    ),
    Action(
        "report",
        Access.SESSION,
        (
            Field("event", (str,), "what happened", required=True, choices=AGENT_EVENTS),
            Field("tool", (str,), "of a tool call or a permission: the tool", high=128),
            Field("call", (str,), "the host's id of the call: a call that began must end by the same", high=128),
            Field("paths", (list,), "files that the call has changed", low=0, high=64),
            Field("digest", (str,), "a hash of the call and its result: the same again and again is a loop", high=64),
            Field("input", (str,), "of a call that ended: a hash of tool and input, as in permission_ask", high=64),
            Field("note", (str,), "what failed, or is asked", high=200),
        ),
        ("presence",),
        "For hooks: tell what the agent's host does.",
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
    Action(
        "unregister",
        Access.SESSION,
        (Field("instance_id", (str,), "optional; must be the session's own name"),),
        ("message",),
        "Give the name back; its mail stays for the next who registers it.",
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
        (
            "claimed: {resource, since, until}; again by its holder renews it",
            "elsewhere?: [{resource, holder, note, site, age_s}]: claims at other sites that overlap it, which hold nobody off",
        ),
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
        (
            Field("resource", (str,), "only those that overlap it", low=1, high=512),
            Field("all", (bool,), "also those at other sites, which hold nobody off here"),
        ),
        ("claims: [{resource, holder, since, until, note, mine}], at other sites {resource, holder, note, mine, site, age_s}",),
        "Who works on what.",
        long=True,
    ),
    Action(
        "watch_agent",
        Access.SESSION,
        (
            Field("name", (str,), "the agent; * is any", required=True),
            Field(
                "events",
                (list,),
                "idle, ended, failed, stuck (these by default), edits, claims, releases, joins",
                low=1,
                high=8,
            ),
            Field("resource", (str,), "of edits, claims, releases: only what overlaps this pattern", low=1, high=512),
            Field("once", (bool,), "false: each time (default true)"),
            Field("wake", (bool,), "true: it may wake; else it comes as quiet mail"),
            Field("ttl_s", (int, float), "how long", low=1, high=2_592_000, default=604_800),
        ),
        ("watch: {id, name, events, once, wake, until, resource}",),
        "Be told by a notice when something happens to an agent.",
    ),
    Action(
        "unwatch_agent",
        Access.SESSION,
        (Field("watch_id", (int,), "as watch_agent answered it; all of one's own without it", low=1, high=2**31),),
        ("dropped: how many",),
        "Be told no more.",
    ),
    Action(
        "watches",
        Access.SESSION,
        (),
        ("watches: [{id, name, events, once, wake, until, resource}]",),
        "What one is told of.",
        long=True,
    ),
    Action(
        "alarms",
        Access.SESSION,
        (),
        ("alarms: [{id, name, kind, other, since, evidence}]",),
        "Agents that do not go on, and how that is known.",
        long=True,
    ),
    Action(
        "autocheck",
        Access.SESSION,
        (Field("minutes", (int,), "between checks; 0 ends them; without it nothing changes", low=0, high=60),),
        ("autocheck: on|off", "minutes?: where it is on"),
        "Have one's doors look for mail every so many minutes, or see whether they do.",
    ),
)
