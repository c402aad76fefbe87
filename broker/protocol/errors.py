"""Every error a client can meet, in one catalogue.

A row holds a machine code, an HTTP-like class, the sentence, a hint that says what to do next, and whether the same request
may succeed later. Code raises ``IpcError("code", **data)``, and each door renders the error its own way. Programs compare
codes, never sentences; sentences marked *legacy* are compared by scripts from before, and stay byte for byte.

The module does without dataclasses, enum and typing: every command and hook imports it (see broker.home.paths).
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_FORMAT = "Use 1-32 alphanumeric characters, hyphens, or underscores."


NAME_LOST = frozenset(("session_replaced", "session_ended"))
"""Codes of a token whose name another has by now, or that was given up. Their hint says it; the text is for old scripts."""


class SettingsError(ValueError):
    """A setting that can't be used; the text names its file and line, variable or flag."""


class ErrorKind:
    """One row of the catalogue. ``text`` and ``hint`` are ``str.format`` templates over the error's data."""

    __slots__ = ("code", "hint", "http", "retryable", "text")

    def __init__(self, code: str, http: int, text: str, hint: str = "", retryable: bool = False) -> None:
        self.code = code
        self.http = http
        self.text = text
        self.hint = hint
        self.retryable = retryable


_ROWS = (
    # requests that can't be understood
    ErrorKind("bad_request", 400, "{detail}", "See the protocol page for the form of each request."),
    ErrorKind("unknown_action", 404, "Unknown action: {action}", "Known actions: {known}."),  # legacy
    ErrorKind("invalid_name", 400, f"Invalid instance ID format. {_FORMAT}"),  # legacy
    ErrorKind("invalid_recipient", 400, f"Invalid recipient ID format. {_FORMAT}"),  # legacy
    ErrorKind(
        "no_site",
        400,
        "{address} is at another site, and this broker belongs to none",
        "Set it up with docs/many-machines.md, or write to a name here.",
    ),
    ErrorKind("unknown_site", 404, "There is no site {name}", "ipc sites lists them; ipc nats add-site adds one."),
    ErrorKind("email_address", 400, "{address} is an e-mail address", "An agent at another site is name@site, without a dot."),
    ErrorKind("link_taken", 409, "Another process carries this site's mail now", "Open the link again."),
    ErrorKind("name_reserved", 400, "The name {name} is reserved", "Choose another name. To write to everyone, broadcast."),
    ErrorKind(
        "too_large",
        413,
        "{what} of {size} bytes is over the limit of {limit} bytes",
        "Send less, or write a file and send its path.",
    ),
    # who may
    ErrorKind("unauthorized", 401, "Invalid or missing session token", "Register first, then use its token."),  # legacy
    ErrorKind(
        "session_replaced",
        401,
        "Invalid or missing session token",  # legacy
        "{name} was registered again elsewhere: by {who}, at {since}. Register another name, or take this one back with force.",
    ),
    ErrorKind(
        "session_ended",
        401,
        "Invalid or missing session token",
        "{name} was unregistered, or its session was ended. Register to have a name.",
    ),
    ErrorKind("session_expired", 401, "Invalid or missing session token", "The session expired: register again."),
    ErrorKind("invalid_auth", 401, "Invalid auth token", "auth_token is the hex SHA-256 of NAME:SHARED_SECRET."),  # legacy
    ErrorKind(
        "spoofed_sender",
        403,
        "This session is {name} and can't act as {claimed}",
        "Leave the field out, or give your own name.",
    ),
    ErrorKind(
        "forbidden_user",
        403,
        "This service belongs to another user of this machine",
        "Its owner can let you in with a shared secret (IPC_SHARED_SECRET).",
    ),
    ErrorKind(
        "unknown_user",
        403,
        "The port can't tell which user of this machine you are, so you can't register there",
        "Use the ipc command or run/wire.sock in the data folder, or set a shared secret (IPC_SHARED_SECRET).",
    ),
    ErrorKind(
        "key_refused",
        403,
        "The broker refused this key",
        "Ask its owner for: ipc keys allow {name} {key}",
    ),
    ErrorKind(
        "key_bound",
        403,
        "This key stands for {name} and can't act as {claimed}",
        "Register {name}; or ask the broker's owner for a key of the other name: ipc keys new NAME",
    ),
    ErrorKind(
        "wrong_server",
        403,
        "What answers at {endpoint} is not the broker of this key file",
        "Check the address; if the broker has new keys, ask its owner for: ipc keys new {name}",
    ),
    # names
    ErrorKind("name_taken", 409, "Instance {name} already exists", "Choose another name."),  # legacy
    ErrorKind(
        "name_held",
        409,
        "{name} is held by {who} since {since}, last seen {seen}",
        "Register another name such as {free}, or take this one with force: its holder is told.",
    ),
    ErrorKind(
        "name_forwarding",
        409,
        "Instance {name} already exists: it forwards to {target} for {minutes} more minutes",
        "Choose another name, or wait.",
        retryable=True,
    ),
    ErrorKind(
        "paused",
        403,
        "The person has paused the mail between {name} and {other}",
        "Wait until the person goes on with it, or write to the person.",
    ),
    ErrorKind(
        "rename_too_soon", 429, "Rate limit: can rename again in {minutes} minutes", "Wait, then rename.", retryable=True
    ),  # legacy
    ErrorKind("unknown_message", 404, "There is no message {id} of yours", "history shows the ids of your mail."),
    ErrorKind(
        "id_conflict",
        409,
        "The message_id {id} was used before for {what}",
        "Nothing was stored. Use a new id for a new message; a repeat must be the same message to the same name.",
    ),
    ErrorKind("unknown_group", 404, "There is no group {name}", "groups lists them; group_create makes one."),
    ErrorKind("unknown_name", 404, "Nobody is registered as {name}", "list shows who is."),
    ErrorKind("not_understood", 422, "{problem}", "Say it like: msg NAME: text. docs/plain-words.md lists what can be said."),
    ErrorKind("not_answerable", 409, "{name} takes no answers", "Write to someone by name."),
    ErrorKind("blocked", 403, "{name} takes no mail from you", "Nothing was stored."),
    ErrorKind(
        "claim_conflict",
        409,
        "{holder} has claimed {resource} since {since} until {until}",
        "Ask {holder}, work on something else, or wait.",
        retryable=True,
    ),
    ErrorKind("too_many_claims", 429, "A session may hold {limit} claims", "Release some: claims lists them."),
    ErrorKind(
        "permission_over",
        409,
        "No permission prompt {id} waits",
        "It was decided, its time is over, or its host went on without us. ipc permissions lists those that wait.",
    ),
    ErrorKind(
        "permissions_full",
        429,
        "{limit} permission prompts {whose} wait already",
        "The host asks at its terminal.",
        retryable=True,
    ),
    ErrorKind(
        "not_a_person",
        403,
        "What an agent's host has started decides about no permission",
        "Decide on the page, or by ipc permit ID in a terminal of your own.",
    ),
    ErrorKind("too_many_watches", 429, "A session may have {limit} watches", "Drop some: watches lists them."),
    ErrorKind("watches_full", 429, "All agents together have {limit} watches", "Wait until some end.", retryable=True),
    ErrorKind(
        "claims_full", 429, "All agents together hold {limit} claims", "Wait until some end: claims lists them.", retryable=True
    ),
    ErrorKind("too_many_schedules", 429, "A session may have {limit} schedules", "Drop some: schedules lists them."),
    ErrorKind("schedules_full", 429, "All agents together have {limit} schedules", "Wait until some end.", retryable=True),
    ErrorKind(
        "no_cron",
        501,
        "Cron times need the package cronsim, which is not installed where the broker runs",
        "Install it there: pip install 'agent-ipc[cron]'. Or use every_s.",
    ),
    ErrorKind("too_many_memberships", 429, "An agent may be in {limit} groups", "Leave some: groups lists them."),
    ErrorKind("too_many_groups", 429, "There may be {limit} groups", "Join one of those: groups lists them."),
    ErrorKind(
        "too_many_hops", 409, "The message was passed on {limit} times already", "Write a message of your own if it matters."
    ),
    # limits
    ErrorKind(
        "slow_down",
        429,
        "You and {name} have exchanged {limit} messages within a minute",
        "Think first, then go on in {retry_after_s:.0f} s.",
        retryable=True,
    ),
    ErrorKind(
        "mailbox_full",
        429,
        "Message queue full for {name} ({limit} message limit)",  # legacy
        "Wait until {name} reads its mail.",
        retryable=True,
    ),
    ErrorKind(
        "too_many_mailboxes",
        429,
        "You have written to {limit} names that nobody has registered; there is no room for more",
        "Send to a registered name: list shows them.",
        retryable=True,
    ),
    ErrorKind(
        "too_many_names",
        429,
        "{limit} names are registered, and all were active within a quarter of an hour",
        "End some, or register later.",
        retryable=True,
    ),
    ErrorKind(
        "rate_limited", 429, "Rate limit exceeded: {limit:g} messages/s", "Retry in {retry_after_s:.2f} s.", retryable=True
    ),
    ErrorKind(
        "overloaded",
        503,
        "More than {limit} requests of this connection wait already; this one was not taken",
        "Wait for replies before you send more.",
        retryable=True,
    ),
    ErrorKind("too_many_connections", 503, "Too many connections (limit {limit})", "Close idle connections.", retryable=True),
    ErrorKind("idle_timeout", 408, "No complete request within {limit:g} s", "Send a whole JSON object."),
    # the machine
    ErrorKind(
        "storage_full",
        507,
        "The mail store can't be written: {detail}. Nothing was stored",
        "Free disk space, then retry; mail that is stored can still be read.",
        retryable=True,
    ),
    ErrorKind(
        "storage_locked",
        503,
        "The mail store is held by another program: {detail}. Nothing was stored",
        "Close what has ipc.db of the data folder open (fuser tells who), then retry; mail that is stored can still be read.",
        retryable=True,
    ),
    ErrorKind("unavailable", 503, "The broker can't be reached: {detail}", "ipc doctor", retryable=True),
    ErrorKind("timeout", 504, "No answer within {limit:g} s", "Retry; a send keeps its id and is stored once.", True),
    ErrorKind("internal", 500, "Internal error, reference {ref}", "The log has the details: ipc doctor", retryable=True),
)

CATALOGUE: dict[str, ErrorKind] = {row.code: row for row in _ROWS}
_LONGEST_WAIT_S = 1e9
"""Seconds. A longer ``retry_after_s`` of the other end is ignored, like one that is no number."""


class IpcError(Exception):
    """An error with a code of the catalogue and the data its sentence is made of.

    ``data["retry_after_s"]`` is set where the broker knows when a retry can succeed.
    """

    def __init__(self, code: str, **data: Any) -> None:
        self.kind = CATALOGUE[code]
        self.code = code
        self.data = data
        self.text = self.kind.text.format(**data)
        self.hint = self.kind.hint.format(**data)
        if data.get("did_you_mean"):
            self.hint = f"Did you mean {data['did_you_mean']}? {self.hint}"
        super().__init__(f"{self.text}. {self.hint}" if self.hint else self.text)

    @property
    def retryable(self) -> bool:
        return self.kind.retryable

    @property
    def retry_after_s(self) -> float | None:
        value = self.data.get("retry_after_s")
        return float(value) if isinstance(value, (int, float)) and abs(value) < _LONGEST_WAIT_S else None

    def to_wire(self) -> dict[str, Any]:
        """The reply map of this error, without the request's id."""
        wire: dict[str, Any] = {"status": "error", "code": self.code, "message": self.text}
        if self.hint:
            wire["hint"] = self.hint
        if self.data.get("did_you_mean"):
            wire["did_you_mean"] = self.data["did_you_mean"]
        if self.data.get("holder"):
            wire["holder"] = self.data["holder"]
        if self.retryable:
            wire["retryable"] = True
        if self.retry_after_s is not None:
            wire["retry_after_s"] = round(self.retry_after_s, 3)
        return wire


class RemoteError(IpcError):
    """An error reply as a client received it. Sentence and hint are the broker's own words."""

    def __init__(self, reply: dict[str, Any]) -> None:
        code = str(reply.get("code", "internal"))
        self.kind = CATALOGUE.get(code, CATALOGUE["internal"])
        self.code = code
        self.data = {k: v for k, v in reply.items() if k not in ("status", "code", "message", "hint", "id")}
        self.text = str(reply.get("message", ""))
        self.hint = str(reply.get("hint", ""))
        Exception.__init__(self, f"{self.text}. {self.hint}" if self.hint else self.text)
