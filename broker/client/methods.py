"""The methods that the synchronous and the asyncio client share, so that neither lacks one or differs.

Nearly all make one request and give its reply. Those that do more (``check``, ``ask``, ``ack``, ...) are written once, as
generators: each yields the requests to make, gets their replies, and returns what the method gives. A client runs them.
"""

from collections.abc import Generator, Iterable
from typing import Any, Generic, Protocol, TypeVar

from broker.client.mail import Mail
from broker.protocol.essentials import AUTOCHECK_MINUTES, DEFAULT_TIMEOUT_S
from broker.protocol.ids import new_message_id

# What methods give: these types, or in asyncio something to await for them.
Reply = TypeVar("Reply")
"""A reply map."""
Mails = TypeVar("Mails")
"""``list[Mail]``"""
Answer = TypeVar("Answer")
"""``Mail | None``"""
Count = TypeVar("Count")
"""``int``"""
Text = TypeVar("Text")
"""``str``"""
Rows = TypeVar("Rows")
"""A list of maps."""

Fields = dict[str, Any]
Steps = Generator[Fields, Fields, Any]
"""Yields the fields of a request, ``action`` and ``timeout_s`` among them, and gets its reply."""


class HasId(Protocol):
    """A message, such as ``Mail``."""

    @property
    def id(self) -> str: ...


def id_of(message: str | HasId) -> str:
    """The id of a message that is given by its id or itself."""
    return message if isinstance(message, str) else message.id


class Methods(Generic[Reply, Mails, Answer, Count, Text, Rows]):
    """Each method raises RemoteError with the broker's error. Fields and replies are those of docs/reference.md."""

    def __init__(self, name: str, token: str, queued: int) -> None:
        self.name = name
        self.token = token
        self.queued = queued
        """Messages that waited at registration."""
        self._unacked: list[str] = []

    def request(self, action: str, *, timeout_s: float = DEFAULT_TIMEOUT_S, **fields: Any) -> Reply:
        """Any action of the table, as this session."""
        raise NotImplementedError

    def _run(self, steps: Steps) -> Any:
        """What the steps return, after making their requests."""
        raise NotImplementedError

    def _late(self) -> list[Fields]:
        """Replies with mail that came too late for the ``check`` that asked, and that are this client's to hand out."""
        return []

    # mail goes out

    def send(self, to: str, content: str, data: Any = None, *, message_id: str | None = None, **options: Any) -> Reply:
        """Send to a name, a group, or an address (``bob@rome``, ``*@rome``); the message is on disk when the reply comes.

        ``options``: land, ttl_s, thread, supersedes, person. The reply has ``message`` (a sentence) and ``message_id``.
        """
        return self.request(**_message("send", content, data, message_id, to_id=to, **options))

    def broadcast(self, content: str, data: Any = None, *, message_id: str | None = None, **options: Any) -> Reply:
        """Send to every registered instance but this one; ``count`` in the reply is their number."""
        return self.request(**_message("broadcast", content, data, message_id, **options))

    def reply(
        self, to_message: str | HasId, content: str, data: Any = None, *, message_id: str | None = None, **options: Any
    ) -> Reply:
        """Answer a message, given by its id or as ``Mail``, in its thread. ``options``: land, auto, person."""
        return self.request(**_message("reply", content, data, message_id, to_message=id_of(to_message), **options))

    def forward(
        self, message: str | HasId, to: str, note: str | None = None, *, land: str | None = None, message_id: str | None = None
    ) -> Reply:
        """Pass on a message that this agent received or sent, given by its id or as ``Mail``."""
        fields: dict[str, Any] = {"forward_id": id_of(message), "to_id": to, "note": note, "land": land}
        return self.request("forward", message_id=message_id or new_message_id(), **fields)

    def withdraw(self, message: str | HasId) -> Reply:
        """Take back a message that no recipient has fetched yet; ``withdrawn`` counts its copies."""
        return self.request("withdraw", withdraw_id=id_of(message))

    def receipts(self, *messages: str | HasId) -> Reply:
        """What became of sent messages, given by id or as ``Mail``: ``receipts`` has a state for each recipient."""
        return self.request("receipts", ids=[id_of(m) for m in messages])

    def ask(
        self,
        to: str,
        content: str,
        data: Any = None,
        *,
        wait: float = 60.0,
        deadline_s: float | None = None,
        message_id: str | None = None,
    ) -> Answer:
        """Ask, and wait up to ``wait`` seconds for the answer. None if it has not come by then; later it arrives as mail.

        The next ``check`` or ``ack`` acknowledges the answer. The question is stale after ``deadline_s`` seconds (default 600).
        """
        asked = _message("ask", content, data, message_id, to_id=to, wait_s=wait, deadline_s=deadline_s)
        answer: Answer = self._run(self._ask({**asked, "timeout_s": wait + DEFAULT_TIMEOUT_S}))
        return answer

    def _ask(self, request: Fields) -> Steps:
        reply = yield request
        answer = [Mail.from_wire(m) for m in reply["messages"]]
        self._unacked += [m.id for m in answer]
        return answer[0] if answer else None

    def asks(self, state: str | None = None) -> Reply:
        """Questions that this agent asked, and that it was asked. ``state``: open, answered, stale, or None for all."""
        return self.request("asks", state=state)

    # mail that waits, and that was

    def check(self, wait: float = 0.0, limit: int = 100) -> Mails:
        """At most ``limit`` new messages, waiting up to ``wait`` seconds for a first one.

        Acknowledges what the previous check returned. Mail that is not acknowledged comes back after 30 s, or when the
        connection ends.
        """
        mails: Mails = self._run(self._check(wait, limit))
        return mails

    def _check(self, wait: float, limit: int) -> Steps:
        yield from self._ack(None)
        reply = yield {"action": "check", "wait_s": wait, "limit": limit, "timeout_s": wait + DEFAULT_TIMEOUT_S}
        mails = [Mail.from_wire(m) for r in [*self._late(), reply] for m in r["messages"]]
        self._unacked = [m.id for m in mails]
        return mails

    def ack(self, mail: Iterable[HasId] | None = None) -> Count:
        """Acknowledge these messages, or all that the last check returned; the number of those acknowledged.

        Acknowledged mail never comes back.
        """
        count: Count = self._run(self._ack(mail))
        return count

    def _ack(self, mail: Iterable[HasId] | None) -> Steps:
        ids = self._unacked if mail is None else [m.id for m in mail]
        if not ids:
            return 0
        reply = yield {"action": "ack", "ids": ids}
        self._settled(ids)
        return int(reply["acked"])

    def release(self, mail: Iterable[HasId], *, failed: bool = False, refuse: bool = False, why: str | None = None) -> Count:
        """Give messages back unread; the number of those given back. The next check has them again.

        ``refuse``: they are not wanted, and are dead letters at once. ``failed``: they could not be handled, and are dead
        letters once they were handed out 20 times, with ``refuse`` at once. Their senders are told, and ``why``.
        """
        options = {"failed": failed or None, "refuse": refuse or None, "why": why}
        count: Count = self._run(self._release([m.id for m in mail], options))
        return count

    def _release(self, ids: list[str], options: Fields) -> Steps:
        self._settled(ids)
        reply = yield {"action": "release", "ids": ids, **options}
        return int(reply["released"])

    def dead(self, message: str | HasId | None = None, *, before: str | None = None, limit: int | None = None) -> Reply:
        """Mail that this agent sent, or was to get, and that ended unread: rows in ``dead``; with a message that one, whole."""
        return self.request("dead", dead_id=None if message is None else id_of(message), before=before, limit=limit)

    def dead_send(self, message: str | HasId, to: str | None = None, *, message_id: str | None = None) -> Reply:
        """Send a dead letter again as a new message, to the same recipient or another."""
        return self.request("dead_send", dead_id=id_of(message), to_id=to, message_id=message_id or new_message_id())

    def dead_drop(self, *messages: str | HasId) -> Reply:
        """Take dead letters off this agent's list; ``dropped`` counts them."""
        return self.request("dead_drop", ids=[id_of(m) for m in messages])

    def _settled(self, ids: list[str]) -> None:
        gone = set(ids)
        self._unacked = [i for i in self._unacked if i not in gone]

    def touch(self, *messages: str | HasId, lease_s: float | None = None) -> Reply:
        """Keep fetched messages for ``lease_s`` seconds from now (default: as a check does, 30); ``touched`` counts them.

        Touched messages do not come back when the connection ends.
        """
        return self.request("touch", ids=[id_of(m) for m in messages], lease_s=lease_s)

    def count(self) -> Reply:
        """How much mail waits, without fetching it: ``unread`` and ``interrupt``, and ``from`` with a count for each sender."""
        return self.request("count")

    def history(
        self,
        peer: str | None = None,
        *,
        thread: str | None = None,
        since_s: float | None = None,
        before: str | None = None,
        limit: int | None = None,
    ) -> Reply:
        """Received and sent mail, newest first. The next page is ``before`` the last id of this one.

        ``since_s`` is Unix time; ``limit`` bounds the number of messages.
        """
        return self.request("history", peer=peer, thread=thread, since_s=since_s, before=before, limit=limit)

    def search(self, query: str, *, before: str | None = None, limit: int | None = None) -> Reply:
        """Full-text search in received and sent mail; each word of ``query`` must occur."""
        return self.request("search", query=query, before=before, limit=limit)

    # who there is

    def list(self, *, all: bool = False) -> Rows:  # the field's name
        """Registered instances: ``id``, ``last_seen`` (UTC, ISO 8601), ``silent_s``, who acts for each.

        ``all``: names, too, that nobody has and for which mail waits, and those of other sites, with ``site`` and ``age_s``.
        """
        rows: Rows = self._run(self._list(whole=all))
        return rows

    def _list(self, *, whole: bool) -> Steps:
        reply = yield {"action": "list", "all": whole}
        return reply["instances"]

    def sites(self) -> Reply:
        """Other sites, in ``sites``: what waits for each, since when and why."""
        return self.request("sites")

    def rename(self, new_name: str) -> Text:
        """Take another name, at most once an hour; the old one forwards for two hours. Gives the broker's sentence."""
        text: Text = self._run(self._rename(new_name))
        return text

    def _rename(self, new_name: str) -> Steps:
        reply = yield {"action": "rename", "old_id": self.name, "new_id": new_name}
        self.name = new_name
        return str(reply["message"])

    def unregister(self) -> Reply:
        """Give the name back; its mail stays for the next who registers it."""
        return self.request("unregister")

    def whoami(self) -> Reply:
        return self.request("whoami")

    def presence(self, state: str | None = None, note: str | None = None) -> Reply:
        """Say whether this agent is ``working``, ``idle`` or ``gone``, and in ``note`` on what."""
        return self.request("presence", state=state, note=note)

    def report(
        self,
        event: str,
        *,
        tool: str | None = None,
        call: str | None = None,
        paths: Iterable[str] | None = None,
        digest: str | None = None,
        note: str | None = None,
    ) -> Reply:
        """Tell what this agent's host does, such as ``turn_began``, ``tool_ended``, ``permission``. Hooks do so."""
        told = None if paths is None else [*paths]
        return self.request("report", event=event, tool=tool, call=call, paths=told, digest=digest, note=note)

    def groups(self) -> Reply:
        return self.request("groups")

    def create_group(self, name: str) -> Reply:
        """Make a group and join it; mail sent to its name goes to all members."""
        return self.request("group_create", group=name)

    def join_group(self, name: str) -> Reply:
        return self.request("group_join", group=name)

    def leave_group(self, name: str) -> Reply:
        return self.request("group_leave", group=name)

    def block(self, name: str, mode: str = "block") -> Reply:
        """Refuse mail from a name; with mode ``mute`` take it and deliver it to nobody but ``history``."""
        return self.request("block", name=name, mode=mode)

    def unblock(self, name: str) -> Reply:
        return self.request("unblock", name=name)

    def blocks(self) -> Reply:
        return self.request("blocks")

    # who works on what

    def claim(self, resource: str, *, ttl_s: float | None = None, note: str | None = None) -> Reply:
        """Claim a file, a pattern or any name for ``ttl_s`` seconds; a second claim of the same resource renews it.

        Raises RemoteError ``claim_conflict`` where another agent's claim overlaps.
        """
        return self.request("claim", resource=resource, ttl_s=ttl_s, note=note)

    def release_claim(self, resource: str | None = None) -> Reply:
        """End one claim of this agent, or without a resource all of them."""
        return self.request("claim_release", resource=resource)

    def claims(self, resource: str | None = None, *, all: bool = False) -> Reply:  # the field's name
        """All claims, or those that overlap a resource. ``all``: those at other sites, too, which hold nobody off here."""
        return self.request("claims", resource=resource, all=all or None)

    def watch_agent(
        self,
        name: str,
        events: Iterable[str] = (),
        *,
        resource: str | None = None,
        once: bool = True,
        wake: bool = False,
        ttl_s: float | None = None,
    ) -> Reply:
        """Be told by mail of ``system`` when the agent is ``idle``, has ``ended`` or ``failed``, is ``stuck`` (these four by
        default), ``joins``, or ``edits``, ``claims`` or ``releases`` what overlaps ``resource``. ``*`` is any agent."""
        wanted = [*events] or None
        return self.request("watch_agent", name=name, events=wanted, resource=resource, once=once, wake=wake, ttl_s=ttl_s)

    def unwatch_agent(self, watch_id: int | None = None) -> Reply:
        """End one watch of this agent, or without an id all of them."""
        return self.request("unwatch_agent", watch_id=watch_id)

    def watches(self) -> Reply:
        return self.request("watches")

    def schedule(self, to: str, content: str, data: Any = None, *, message_id: str | None = None, **when: Any) -> Reply:
        """Have a message sent later. ``when`` is one of ``at_s`` (a Unix time), ``in_s``, ``every_s`` (seconds), ``cron`` (five
        fields); for the last two ``until_s`` ends it. ``land`` as for ``send``. ``schedule`` in the reply has its ``id``."""
        return self.request(**_message("schedule", content, data, message_id, to_id=to, **when))

    def schedules(self) -> Reply:
        return self.request("schedules")

    def schedule_drop(self, schedule_id: int | None = None) -> Reply:
        """Send no more of one schedule of this agent, or without an id of all."""
        return self.request("schedule_drop", schedule_id=schedule_id)

    def alarms(self) -> Reply:
        """Agents that do not go on: ``name``, ``kind``, ``since`` and ``evidence`` of each."""
        return self.request("alarms")

    def start_autocheck(self, minutes: int = AUTOCHECK_MINUTES) -> Reply:
        """Have the doors look for this agent's mail every ``minutes`` minutes, until ``stop_autocheck``."""
        return self.request("autocheck", minutes=minutes)

    def stop_autocheck(self) -> Reply:
        return self.request("autocheck", minutes=0)

    def autocheck(self) -> Reply:
        return self.request("autocheck")


def _message(action: str, content: str, data: Any, message_id: str | None, **fields: Any) -> Fields:
    """The fields of a request that stores a message."""
    message = {"content": content} if data is None else {"content": content, "data": data}
    return {"action": action, "message": message, "message_id": message_id or new_message_id(), **fields}
