"""Mail itself put into the inbox of an idle session, for a host that runs no hook in the turn which that begins.

    fetched, on lease --kept as evidence says--> written to the socket --in the host's record--> given: a turn has begun
                                                          |
                                                          '--not there in time--> released, and said to be refused

The host answers nothing, and may drop what it gets. So the mail is acknowledged only when its own record of the conversation
has the mail and an answer of the model (bridges.mail_evidence): at an event of the session, or where the host writes that down
later, by ``look``. A message that waits behind a turn of the user's is left there.
"""

from __future__ import annotations

import os
import time

from bridges import host_sessions, host_turns, mail_evidence, waking
from bridges.fence import digest
from bridges.hosts.agent_session import AgentSession
from bridges.hosts.hook_answers import READ
from bridges.known_hosts.catalogue import hooks_of
from bridges.mail_evidence import in_record
from broker.client.json_lines import QuickConnection
from broker.home.paths import Place

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from bridges.host_sessions import Binding

_POLL_S = 0.05
_OF_LOOK = 2 / 3
"""The part of the time for a sign of life within which the message must be in the host's record."""


class FrameWay(waking.SocketWay):
    """The inbox socket of a host that takes mail in its own form (``frames`` and ``record`` of its hooks)."""

    def __init__(self, home: str, binding: Binding) -> None:
        self._home = home
        self._first = binding
        self._host = hooks_of(binding.host)
        super().__init__(os.environ.get(self._host.SOCKET, ""), None)

    def give(self, text: str, _count: Mapping[str, Any]) -> str:
        binding = host_sessions.load(self._home, self._first.session)  # its host may have begun another session since
        if binding is None or not self.there():
            return waking.FAILED
        with QuickConnection(Place(self._home), autostart=False, door="hook") as door:
            session = AgentSession(self._home, door, binding)
            messages, more = session.fetch(None, binding.chars, wakes=True)
            if not messages:
                return waking.FAILED
            text, ids = digest(messages, more, to=binding.name, limit_chars=binding.chars, read=READ, now_s=time.time())
            session.put_back(messages, ids)
            if not ids:  # it is too long to be shown here
                return self._say(self._host.frames(text, binding.session))
            return self._put(session, text, ids)

    def look(self) -> bool:
        """Acknowledge what the host's record shows that the model has. True while something is not known."""
        binding = host_sessions.load(self._home, self._first.session)
        if binding is None or not mail_evidence.frame_waits(self._home, binding.session):
            return False
        with QuickConnection(Place(self._home), autostart=False, door="hook") as door:
            AgentSession(self._home, door, binding).settle(mail_evidence.LOOK, [])
        return True

    def _put(self, session: AgentSession, text: str, ids: list[str]) -> str:
        """Put the mail into the inbox, and see whether the host takes it out."""
        binding = session.binding
        path, mark = self._host.record(binding.session), text[(at := text.index("[mail ")) : text.index("]", at)]
        begins = _size(path)
        session.keep_frame(ids, mark=mark, answer=self._host.ANSWERED, path=path, begins=begins)
        self._turn(binding, len(text))
        result = self._say(self._host.frames(text, binding.session))
        end_s = time.monotonic() + binding.look_s * _OF_LOOK
        while result == waking.GIVEN and not in_record(path, begins, mark) and time.monotonic() < end_s and binding.live():
            time.sleep(_POLL_S)
        if in_record(path, begins, mark):
            session.tell("turn_began")
            session.finish()
            if not host_turns.load(self._home, binding.session).working:  # the hook of its end was quicker
                session.tell("turn_ended")
                session.finish()
            return waking.GIVEN
        if result == waking.GIVEN and _size(path) > begins and binding.live():
            return waking.GIVEN  # another turn runs
        self._turn(binding, None)
        session.take_back(ids, mark)
        return waking.REFUSED  # not ``failed``: what is given back is no new mail to try it with again

    def _turn(self, binding: Binding, chars: int | None) -> None:
        """Keep that a turn begins, which has so many characters of mail; that none does (None)."""
        turns = host_turns.load(self._home, binding.session)
        turns.begin()
        turns.added, turns.working = chars or 0, chars is not None
        host_turns.save(self._home, binding.session, turns)


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:  # its first message makes it
        return 0
