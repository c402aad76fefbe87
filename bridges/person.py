"""The person: the owner of the data folder as an instance of its own, for the page and the terminal view.

    sessions/person.json    name, token, and what name was asked for: page and terminal view share one session

The name is the setting ``person``, or the login name, with a number behind it where another living body has it. The owner's key
marks the session as a person's, so that what is written by it counts as a person's word.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

from bridges import saved_sessions
from bridges.folder_names import clean, variants
from broker.home.process_table import process_started
from broker.protocol.errors import NAME_LOST, IpcError, RemoteError
from broker.protocol.essentials import STORES
from broker.protocol.ids import auth_token, new_message_id

if TYPE_CHECKING:
    from broker.client.aio import AsyncConnection
    from broker.home.settings import Settings

_ANOTHERS = frozenset({"name_held", "name_taken", "name_forwarding"})
_LOST = NAME_LOST | {"unauthorized", "session_expired"}
_ASK_S = 20.0
_AT_ONCE = 1000


def person_path(home: str) -> str:
    return os.path.join(saved_sessions.folder(home), "person.json")


def wanted_name(settings: Settings) -> str:
    """The setting ``person``, else the login name, as a name that the broker takes."""
    import getpass

    try:
        login = settings.person or getpass.getuser()
    except (OSError, KeyError):  # a user without an entry
        login = "me"
    return clean(login)


def known_name(settings: Settings) -> str:
    """What the person is called, without asking the broker: as the session that is kept, or else as is wanted."""
    stored, wanted = saved_sessions.read_json(person_path(str(settings.home))), wanted_name(settings)
    return str(stored["name"]) if stored.get("wanted") == wanted and stored.get("name") else wanted


class Person:
    """Acts as the person, over a connection to the broker that others may share."""

    def __init__(self, broker: AsyncConnection, settings: Settings, key: str) -> None:
        """``key`` is the owner's (broker.home.files.owner_key)."""
        self._broker = broker
        self._settings = settings
        self._home = str(settings.home)
        self._key = key
        self._token = ""
        self._one_at_a_time = asyncio.Lock()
        self.name = ""
        """Empty until ``session`` was awaited."""

    # what the person does

    async def send(self, to: str, content: str, **more: Any) -> dict[str, Any]:
        return await self.act("send", to_id=to, message={"content": content}, person=True, **more)

    async def reply(self, message: str, content: str, **more: Any) -> dict[str, Any]:
        return await self.act("reply", to_message=message, message={"content": content}, person=True, **more)

    async def ask(self, to: str, content: str, **more: Any) -> dict[str, Any]:
        """Ask, and do not wait: the answer comes as mail."""
        return await self.act("ask", to_id=to, message={"content": content}, person=True, wait_s=0, **more)

    async def broadcast(self, content: str, **more: Any) -> dict[str, Any]:
        return await self.act("broadcast", message={"content": content}, person=True, **more)

    async def forward(self, message: str, to: str, **more: Any) -> dict[str, Any]:
        return await self.act("forward", forward_id=message, to_id=to, person=True, **more)

    async def ack(self, ids: list[str]) -> dict[str, Any]:
        """Mail to the person was read. An ack counts only for mail that was handed out; the rest goes back unseen."""
        held: set[str] = set()
        while not held.issuperset(ids):
            got = {message["id"] for message in (await self.act("check", limit=_AT_ONCE))["messages"]}
            if not got:
                break
            held |= got
        acked = await self.act("ack", ids=ids)
        if others := sorted(held.difference(ids)):
            await self.act("release", ids=others, unseen=True)
        return acked

    async def pause(self, name: str, other: str | None = None, *, on: bool) -> dict[str, Any]:
        return await self.own("pause", name=name, on=on, **({"other": other} if other else {}))

    async def dead_forward(self, dead: str, to: str | None = None, **more: Any) -> dict[str, Any]:
        """Send a dead letter again, as the person."""
        return await self._by_session("dead_forward", dead_id=dead, **({"to_id": to} if to else {}), **more)

    async def dead_forget(self, ids: list[str]) -> dict[str, Any]:
        return await self.own("dead_forget", ids=ids)

    async def permission_decide(self, permission: str, decision: str) -> dict[str, Any]:
        return await self.own("permission_decide", permission_id=permission, decision=decision)

    # requests

    async def own(self, action: str, **fields: Any) -> dict[str, Any]:
        """A request as the owner of the data folder. Raises IpcError."""
        return await self._request({"action": action, "session_token": self._key, **fields})

    async def act(self, action: str, **fields: Any) -> dict[str, Any]:
        """A request by the person's session. Raises IpcError."""
        token = await self.session()
        try:
            return await self._request({"action": action, "session_token": token, **fields})
        except RemoteError as error:
            if error.code not in _LOST:
                raise
        return await self._request({"action": action, "session_token": await self.session(token), **fields})

    async def _by_session(self, action: str, **fields: Any) -> dict[str, Any]:
        token = await self.session()
        try:
            return await self.own(action, by=token, **fields)
        except RemoteError as error:
            if error.code not in _LOST:
                raise
        return await self.own(action, by=await self.session(token), **fields)

    async def _request(self, body: dict[str, Any]) -> dict[str, Any]:
        if body["action"] in STORES:  # a broker that ended meanwhile is asked again, and must store it once
            body.setdefault("message_id", new_message_id())
        reply = await self._broker.request(body, _ASK_S)
        if reply.get("status") != "ok":
            raise RemoteError(reply)
        return {name: value for name, value in reply.items() if name not in ("id", "status")}

    # the session

    async def session(self, refused: str = "") -> str:
        """The token of the person's session, found or made. ``refused`` is one that counts no more. Raises IpcError."""
        async with self._one_at_a_time:
            if self._token and self._token != refused:
                return self._token
            stored = saved_sessions.read_json(person_path(self._home))
            wanted, kept = wanted_name(self._settings), stored.get("token")
            if stored.get("wanted") == wanted and isinstance(kept, str) and kept != refused and await self._resumed(kept):
                return kept
            return await self._registered(wanted)

    async def _resumed(self, token: str) -> bool:
        """Whether the token of another process, or of an earlier one, still counts."""
        try:
            found = await self._request({"action": "whoami", "session_token": token})
        except RemoteError as error:
            if error.code not in _LOST:
                raise
            return False
        self._token, self.name = token, str(found["instance_id"])
        return True

    async def _registered(self, wanted: str) -> str:
        body = {"kind": "process", "key": "person", "pid": os.getpid(), "started": process_started(os.getpid())}
        for name in variants(wanted, []):
            proof = auth_token(name, self._settings.shared_secret)
            request = {"action": "register", "instance_id": name, "auth_token": proof, "body": body}
            try:
                token = str((await self._request(request))["session_token"])
            except RemoteError as error:
                if error.code not in _ANOTHERS:
                    raise
                continue
            await self.own("person", by=token)
            self._token, self.name = token, name
            saved_sessions.keep_json(person_path(self._home), {"name": name, "token": token, "wanted": wanted})
            return token
        raise IpcError("bad_request", detail=f"All names like {wanted} are held by others; set person in config.toml")
