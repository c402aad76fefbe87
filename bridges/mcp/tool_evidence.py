"""Evidence for mail in results of tools: the mail is kept until something shows that the model has it.

    fetched by a request --> shown with its answer --evidence--> acknowledged
            |                        |
            +------------------------+-- cancelled, or not taken --> given back

If the host's hooks work for the session, they bring the evidence, and the session's record keeps what was shown
(bridges.mail_evidence). Otherwise the session's next request is the evidence, or the host's orderly end. A host may give a tool
call up without a word. So an answer that came late proves nothing: its mail is shown once more, marked "perhaps seen", and the
second showing counts as read, which is inferred.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import cache, partial
from typing import Any

from bridges import mail_evidence
from bridges.host_sessions import Binding
from bridges.known_hosts.catalogue import about, names, of_client

_SDK = ("mcp", 86_400.0)
"""The Python SDK's client, and how long it waits for a tool."""
_UNKNOWN_S = 1.5
"""Seconds within which an answer counts as awaited by a client of another name, which may give up any time."""
_OTHERS_S, _SPARE_S = 50.0, 5.0
"""Seconds that a tool waits for a client of another name at most: many give up after 60; and what an answer needs."""
_CANCELLED = 100


def patience_of(client: str) -> float:
    """Seconds for which a client of that name surely waits for an answer."""
    return next((patience_s for name, patience_s in _patience() if client.lower().startswith(name)), _UNKNOWN_S)


def called(client: str) -> str:
    """The host that a client's name is of; of one that we don't know the name, as a body takes it."""
    return "".join(c for c in of_client(client) or client if c.isprintable())[:32]


@cache
def _patience() -> list[tuple[str, float]]:
    """(the beginning of a client's name, seconds for which it waits for a tool unless told otherwise)."""
    hosts = map(about, names())
    return [*((host.client, host.patience_s) for host in hosts if host.client and host.patience_s), _SDK]


@dataclass
class Showing:
    """The mail of one answer. ``again``: the ids among ``ids`` that were delivered before."""

    key: str
    ids: list[str] = field(default_factory=list)
    again: list[str] = field(default_factory=list)
    late: bool = False


Ask = Callable[[str, list[str]], None]
"""Begins a ``release`` or ``touch``, as ``unseen`` a release of what nobody was shown, or by the name of its evidence an ack.
Waits for no reply."""


class Given:
    """What one session was given. ``binding`` returns the binding that the host's hooks made, None without hooks."""

    def __init__(self, home: str, binding: Callable[[], Binding | None], ask: Ask) -> None:
        self._home = home
        self._binding = binding
        self._ask = ask
        self._begun: dict[str, float] = {}
        self._fetched: dict[str, Showing] = {}
        self._shown: list[Showing] = []
        self._cancelled: deque[str] = deque(maxlen=_CANCELLED)
        self.patience_s = _UNKNOWN_S

    def wait_s(self, wanted_s: float) -> float:
        """Seconds that a tool may wait, so that its answer comes before the host gives the call up."""
        known = self.patience_s > _UNKNOWN_S
        return min(wanted_s, self.patience_s - _SPARE_S if known else _OTHERS_S)

    def begin(self, key: str) -> None:
        """Note a request of the host."""
        self._begun[key] = time.monotonic()
        if key in self._cancelled:  # a host that connects again counts its requests from the beginning
            self._cancelled.remove(key)

    async def fetched(self, key: str, messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Note mail that a request brings. Returns the messages that are new to the model."""
        showing = self._fetched.setdefault(
            key, Showing(key)
        )  # before anything is awaited: the request may be cancelled meanwhile
        showing.ids += [m["id"] for m in messages]
        showing.again += [m["id"] for m in messages if m.get("redelivered")]
        found = await self._host()
        if found is None:
            return messages
        known = await asyncio.to_thread(mail_evidence.held, self._home, found)
        passed = [m["id"] for m in messages if m["id"] in known]
        if passed:  # the end of a lease or of a broker brought it back
            showing.ids = [i for i in showing.ids if i not in passed]
            showing.again = [i for i in showing.again if i not in passed]
            self._ask("touch", passed)
        return [m for m in messages if m["id"] not in known]

    def left_out(self, key: str, ids: list[str]) -> None:
        """Release mail that is not in the answer. Nobody sees it."""
        showing = self._fetched.get(key)
        if ids and showing is not None:
            showing.ids = [i for i in showing.ids if i not in ids]
            self._ask("unseen", ids)

    async def show(self, key: str) -> None:
        """Note that the answer to this request is about to be written."""
        begun_s = self._begun.pop(key, None)
        showing = self._fetched.pop(key, None)
        if showing is None or not showing.ids:
            return
        if key in self._cancelled:
            self._ask("release", showing.ids)
            return
        showing.late = begun_s is not None and time.monotonic() - begun_s > self.patience_s
        found = await self._host()
        if found is None:
            self._shown.append(showing)
        else:
            keep = partial(mail_evidence.add, by="tool", late=showing.late, key=key)
            await asyncio.to_thread(keep, self._home, found, showing.ids)
        self._ask("touch", showing.ids)

    async def cancel(self, key: str) -> None:
        """Release the mail of a request that the host has given up. The host drops its answer."""
        self._cancelled.append(key)
        self._begun.pop(key, None)
        lost = [s for s in (self._fetched.pop(key, None), *self._shown) if s is not None and s.key == key]
        self._shown = [s for s in self._shown if s.key != key]
        ids = [i for s in lost for i in s.ids]
        found = await self._host()
        if found is not None:
            ids += await asyncio.to_thread(mail_evidence.drop, self._home, found, key)
        if ids:
            self._ask("release", ids)

    def settle(self, named: object = (), evidence: str = "inferred") -> None:
        """Acknowledge what was shown in time or ``named`` by the model, as the host came back or (``closed``) left in order.

        That it came back lets us infer it: it may call several tools before it asks the model again.
        """
        showings, self._shown = self._shown, []
        settled: dict[str, list[str]] = {}
        if isinstance(named, str) and not any(named in s.ids for s in showings):
            settled["tool"] = [named]  # shown before, in an answer that came late; what is none of the mailbox is left alone
        for s in showings:
            if named in s.ids:
                settled.setdefault("tool", []).extend(s.ids)
                continue
            read = s.again if s.late else s.ids
            settled.setdefault("inferred" if s.late else evidence, []).extend(read)
            settled.setdefault("release", []).extend(i for i in s.ids if i not in read)
        for what, ids in settled.items():
            if ids:
                self._ask(what, ids)

    async def close(self, *, orderly: bool, going_on: bool) -> None:
        """End. ``going_on``: another process of ours goes on with the session and is told what was shown."""
        ids = [i for s in self._fetched.values() for i in s.ids]
        self._fetched.clear()
        if not going_on:
            if orderly:
                self.settle(evidence="closed")
            ids += [i for s in self._shown for i in s.ids]
            found = await self._host()
            if found is not None:
                ids += await asyncio.to_thread(mail_evidence.drop, self._home, found)
        if ids:
            self._ask("release", ids)

    def state(self) -> list[dict[str, Any]]:
        """What was shown, for the next process."""
        return [asdict(s) for s in self._shown]

    def restore(self, state: list[Any]) -> None:
        """Take over what the process before this one had shown. An older version gives ids alone."""
        self._shown = [Showing(**s) if isinstance(s, dict) else Showing("", [str(s)]) for s in state]

    async def _host(self) -> str | None:
        """The host's id of the session, if its hooks work for it; else None."""
        found = await asyncio.to_thread(self._binding)
        return None if found is None or found.ended else found.session
