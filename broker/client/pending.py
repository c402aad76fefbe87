"""The calls that the synchronous and the asyncio client share: one method an action, made of one ``request``."""

from typing import Any, Generic, Protocol, TypeVar

from broker.protocol.ids import new_message_id

Reply = TypeVar("Reply")
"""What a request gives: a reply map, or in asyncio something to await for one."""


class HasId(Protocol):
    """A message, such as ``Mail``."""

    @property
    def id(self) -> str: ...


def id_of(message: str | HasId) -> str:
    """The id of a message that is given by its id or itself."""
    return message if isinstance(message, str) else message.id


class Calls(Generic[Reply]):
    """Each method raises RemoteError with the broker's error. Fields and replies are those of docs/reference.md."""

    def request(self, action: str, *, timeout_s: float = 30.0, **fields: Any) -> Reply:
        """Any action of the table, as this session."""
        raise NotImplementedError

    # mail goes out

    def send(self, to: str, content: str, data: Any = None, *, message_id: str | None = None, **options: Any) -> Reply:
        """Send to a name or a group; returns once it is durable.

        ``options``: land, ttl_s, thread, supersedes, person. The reply has ``message`` (a sentence) and ``message_id``.
        """
        return self._write("send", content, data, message_id, to_id=to, **options)

    def broadcast(self, content: str, data: Any = None, *, message_id: str | None = None, **options: Any) -> Reply:
        """Send to every registered instance but this one; the reply has ``count``."""
        return self._write("broadcast", content, data, message_id, **options)

    def reply(
        self, to_message: str | HasId, content: str, data: Any = None, *, message_id: str | None = None, **options: Any
    ) -> Reply:
        """Answer a message, given by its id or as ``check`` gave it, in its thread. ``options``: land, auto, person."""
        return self._write("reply", content, data, message_id, to_message=id_of(to_message), **options)

    def forward(
        self, message: str | HasId, to: str, note: str | None = None, *, land: str | None = None, message_id: str | None = None
    ) -> Reply:
        """Pass on a message one got or sent, given by its id or as ``check`` gave it."""
        fields: dict[str, Any] = {"forward_id": id_of(message), "to_id": to, "note": note, "land": land}
        return self.request("forward", message_id=message_id or new_message_id(), **fields)

    def withdraw(self, message: str | HasId) -> Reply:
        """Take back a message that nobody has been given yet; ``withdrawn`` counts the copies."""
        return self.request("withdraw", withdraw_id=id_of(message))

    def receipts(self, *messages: str | HasId) -> Reply:
        """What became of messages one sent: ``receipts`` with a state for each recipient."""
        return self.request("receipts", ids=[id_of(m) for m in messages])

    def asks(self, state: str | None = None) -> Reply:
        """Questions asked by and of this session."""
        return self.request("asks", state=state)

    # mail that waits, and that was

    def touch(self, *messages: str | HasId, lease_s: float | None = None) -> Reply:
        """Keep messages of the last check for ``lease_s`` seconds more (default: as long as a check does)."""
        return self.request("touch", ids=[id_of(m) for m in messages], lease_s=lease_s)

    def count(self) -> Reply:
        """How much mail waits, without delivering any: unread, interrupt, from."""
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
        """Mail got and sent, newest first; the next page is ``before`` the last id."""
        return self.request("history", peer=peer, thread=thread, since_s=since_s, before=before, limit=limit)

    def search(self, query: str, *, before: str | None = None, limit: int | None = None) -> Reply:
        """Full-text search in mail got and sent; all words must occur."""
        return self.request("search", query=query, before=before, limit=limit)

    # who there is

    def whoami(self) -> Reply:
        return self.request("whoami")

    def presence(self, state: str | None = None, note: str | None = None) -> Reply:
        """Say what one does (working, idle or gone) and on what."""
        return self.request("presence", state=state, note=note)

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
        """Refuse the mail of a name, or with mode ``mute`` file it unread."""
        return self.request("block", name=name, mode=mode)

    def unblock(self, name: str) -> Reply:
        return self.request("unblock", name=name)

    def blocks(self) -> Reply:
        return self.request("blocks")

    # who works on what

    def claim(self, resource: str, *, ttl_s: float | None = None, note: str | None = None) -> Reply:
        """Claim a file, pattern or any name; raises ``claim_conflict`` where another's overlaps. Again renews."""
        return self.request("claim", resource=resource, ttl_s=ttl_s, note=note)

    def release_claim(self, resource: str | None = None) -> Reply:
        """End one claim, or all of one's own."""
        return self.request("claim_release", resource=resource)

    def claims(self, resource: str | None = None) -> Reply:
        """All claims, or those that overlap a resource."""
        return self.request("claims", resource=resource)

    def start_autocheck(self, minutes: int = 5) -> Reply:
        """Have one's doors look for mail every so many minutes; kept until it is stopped."""
        return self.request("autocheck_start", minutes=minutes)

    def stop_autocheck(self) -> Reply:
        return self.request("autocheck_stop")

    def autocheck(self) -> Reply:
        return self.request("autocheck_status")

    def _write(self, action: str, content: str, data: Any, message_id: str | None, **fields: Any) -> Reply:
        message = {"content": content} if data is None else {"content": content, "data": data}
        return self.request(action, message=message, message_id=message_id or new_message_id(), **fields)
