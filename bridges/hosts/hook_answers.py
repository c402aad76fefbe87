"""What a hook prints at each event of a host's session.

    start   registers, says the name, adds the unread mail
    prompt  adds all new mail
    tool    (after one, or all of a step) adds the mail that may land there or at once; all new mail in a turn without a prompt
    edit    names who has claimed the file that is about to change (if that hook is installed)
    permit  waits until the person has decided (if that hook is installed: bridges.hosts.permission)
    stop    holds the agent for urgent mail, and what else waits, at most ``stop_holds`` times in a row
    end     tells the others that the agent is gone, and prints nothing

Each event is reported to the broker, too (bridges.hosts.reports), with the first request; some events are only reported.

Once the answer is written, its mail is kept (bridges.mail_evidence). The session's next event shows that the model has it, and
acknowledges it. If the hook is killed before, the broker takes back what the lost connection had fetched.
"""

from __future__ import annotations

import os
import time

from bridges import host_sessions, host_turns
from bridges.fence import digest, one_line
from bridges.hosts.agent_session import AgentSession
from bridges.hosts.hook_log import note
from bridges.hosts.reports import report_of
from bridges.plurals import more_wait
from broker.client.json_lines import QuickConnection
from broker.home.paths import Place
from broker.protocol.errors import NAME_LOST, RemoteError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from bridges.host_sessions import Binding
    from bridges.host_turns import Turns
    from bridges.hosts.hook_event import HookEvent
    from bridges.started_bodies import Opening

_START_S = 8.0
READ = "The check tool of the ipc server reads them"
_LEAST_CHARS = 800
"""Characters of room below which a turn gets no more mail."""


class _Unused:
    """The block where no bodies are started."""

    def __enter__(self) -> str:
        return ""

    def __exit__(self, *_: object) -> None: ...


def taken_up(event: HookEvent) -> Opening | _Unused:
    """The moment in which the host's process takes up the session (bridges.started_bodies)."""
    if not os.path.isdir(os.path.join(event.home, "resume")):
        return _Unused()
    from bridges.started_bodies import Opening

    return Opening(event.home, event.session, lambda what, **fields: note(event.home, "warning", what, **fields))


class HookAnswers:
    """The answer to one event. ``write`` prints it, and returns False if the host no longer reads."""

    def __init__(self, event: HookEvent, write: Callable[[str], bool]) -> None:
        self.event = event
        self.write = write
        self.begun_s = time.monotonic()

    def answer(self) -> bool:
        """Do what the event asks for. Returns True if an answer was written."""
        event, moment = self.event, self.event.moment
        report = report_of(event)
        if not event.session or not (moment or report):
            return False  # an event that says nothing to us
        asks = moment == "permit" and report is not None and report["event"] == "permission"
        if event.given.get("agent_id") or moment == "permit":
            moment = ""  # of a subagent, whose mail is its leader's; or it says nothing of mail
        if moment == "start":
            return self.start()
        binding = host_sessions.load(event.home, event.session)
        if binding is None:  # the hooks were installed while the session ran, or its host tells no start
            first = "prompt" if "start" in event.host.EVENTS.values() else "tool"
            return moment == first and self.start()
        turns = host_turns.load(event.home, event.session)
        with QuickConnection(Place(event.home), autostart=False, door="hook") as door:
            work = {"prompt": self.prompt, "tool": self.tool, "edit": self.edit, "stop": self.stop, "end": self.end}
            session = AgentSession(event.home, door, binding)
            try:
                revives = binding.ended and moment not in ("", "end")
                if revives or moment == "prompt":
                    with taken_up(event) as ended:
                        if revives or ended:
                            session.revive(turns.working)
                self.keep_mode(binding)
                if report is not None and moment != "stop":
                    session.tell(**report)
                answered = False
                if moment:
                    session.settle(moment, event.tools(), whole=event.ends_step)
                    answered = work[moment](session, turns)
                session.finish()
                return self.permit(session, door) if asks else answered
            except RemoteError as e:
                if e.code not in NAME_LOST:
                    raise
                return self.tell_loss(binding.name, turns, e.hint)

    def start(self) -> bool:
        from bridges.hosts.session_start import register

        with QuickConnection(Place(self.event.home), autostart=True, door="hook") as door:
            with taken_up(self.event) as ended:
                binding = register(door, self.event, timeout_s=_START_S)
            self.keep_mode(binding)
            session = AgentSession(self.event.home, door, binding)
            turns = host_turns.load(self.event.home, self.event.session)
            if self.event.given.get("source") != "compact":  # a compaction is within a turn
                turns.working = self.event.moment == "prompt"
                turns.begin()
                session.tell("turn_began" if turns.working else "began")
                session.begin_anew()
            turns.told = ""
            host_turns.save(self.event.home, self.event.session, turns)
            intro = f"agent-ipc: other agents write to you under the name {binding.name}. Their mail comes by itself."
            if ended:
                intro += " Until your user opened this session now, it went on by itself, started by mail; that run was ended."
            beside = getattr(self.event.host, "BESIDE", {}).items()  # of hosts that have mail of their own
            intro += "".join(f" {sentence}" for variable, sentence in beside if os.environ.get(variable))
            return self.deliver(session, turns, None, intro=intro)

    def keep_mode(self, binding: Binding) -> None:
        """Keep the permission mode that the event tells, which a subagent may have of its own."""
        if binding.tell_mode("" if self.event.given.get("agent_id") else self.event.text("permission_mode")):
            host_sessions.save(self.event.home, binding)

    def tell_loss(self, name: str, turns: Turns, how: str) -> bool:
        """Tell the model, once, that the session has lost its name to another, and what it can do."""
        if self.event.moment not in ("prompt", "tool") or turns.told == how:
            return False
        turns.told = how
        host_turns.save(self.event.home, self.event.session, turns)
        text = (
            f"agent-ipc: this session no longer has the name {name}, and no mail reaches it. {one_line(how)} In a shell: "
            f"`ipc register OTHER` or `ipc register {name} --force`; the register tool of the ipc server does the same."
        )
        return self.write(self.event.host.context(self.event.called, text))

    def prompt(self, session: AgentSession, turns: Turns) -> bool:
        turns.begin()
        self.set_working(turns, True)
        return self.deliver(session, turns, None, announce=True)

    def tool(self, session: AgentSession, turns: Turns) -> bool:
        if turns.working:
            return self.deliver(session, turns, "tool")
        self.set_working(turns, True)  # a turn that began without a prompt: the agent was woken
        return self.deliver(session, turns, None)

    def edit(self, session: AgentSession, _turns: Turns) -> bool:
        from bridges.hosts.claim_warning import overlapping, sentence

        paths = [os.path.join(self.event.folder() or self.event.project, p) for p in self.event.host.edited(self.event.given)]
        found = [claim for path in paths for claim in overlapping(session.ask, path)]
        return bool(found) and self.write(self.event.host.context(self.event.called, sentence(found)))

    def permit(self, session: AgentSession, door: QuickConnection) -> bool:
        from bridges.hosts.permission import decided

        answer = decided(self.event, session, door, self.begun_s)
        return bool(answer) and self.write(answer)

    def stop(self, session: AgentSession, turns: Turns) -> bool:
        if self.event.given.get("stop_hook_active") is False:
            turns.held = 0
        if turns.held < session.binding.holds and not self.mute():
            left = max(1, session.binding.chars - turns.added)
            messages, more = session.fetch("interrupt", left)
            if messages and more:  # the agent goes on anyway, so what else waits need not wake it later
                others, more = session.fetch(None, left)
                messages += others
            if messages:
                text, ids = digest(messages, more, to=session.binding.name, limit_chars=left, read=READ, now_s=time.time())
                turns.held += 1
                turns.added += len(text)
                turns.working = True
                host_turns.save(self.event.home, self.event.session, turns)
                session.tell("turn_began")
                session.put_back(messages, ids)
                if self.write(self.event.host.hold(text)):
                    session.keep(ids)
                return True
        turns.begin()
        turns.held = 0  # not every host tells a first end from one that a hold led to
        self.set_working(turns, False)
        session.tell("turn_ended")
        return False

    def mute(self) -> bool:
        """True if the model is not given the answer to this event: it brings no mail, and is evidence for what was given."""
        return self.event.called in getattr(self.event.host, "MUTE", ())

    def end(self, session: AgentSession, turns: Turns) -> bool:
        session.binding.ended = True
        host_sessions.save(self.event.home, session.binding)
        turns.working = False
        host_turns.save(self.event.home, self.event.session, turns)
        session.say_presence("gone", reach=[])
        return False

    def set_working(self, turns: Turns, working: bool) -> None:
        """Keep whether a turn runs."""
        turns.working = working
        host_turns.save(self.event.home, self.event.session, turns)

    def deliver(
        self, session: AgentSession, turns: Turns, land: str | None, *, intro: str = "", announce: bool = False
    ) -> bool:
        """Add new mail to what the model reads. Returns True if an answer was written."""
        if self.mute():
            return False
        binding, before = session.binding, (turns.added, turns.told, turns.spent)
        left = binding.chars - len(intro) - turns.added
        text, ids = self.spent(session, turns) if left < _LEAST_CHARS else self.digest(session, turns, land, left, announce)
        turns.added += len(text)
        if (turns.added, turns.told, turns.spent) != before:
            host_turns.save(self.event.home, self.event.session, turns)
        whole = "\n".join(part for part in (intro, text) if part)
        if not whole:
            return False
        if self.write(self.event.host.context(self.event.called, whole)):
            session.keep(ids, amid=self.event.moment == "tool" and not self.event.ends_step)
        return True

    def digest(self, session: AgentSession, turns: Turns, land: str | None, left: int, announce: bool) -> tuple[str, list[str]]:
        """(text of the mail that fits, its ids). Mail too long for a turn is announced once after tools, and at each prompt."""
        before = session.binding.name
        messages, more = session.fetch(land, left)
        if not messages:
            return "", []
        text, ids = digest(messages, more, to=session.binding.name, limit_chars=left, read=READ, now_s=time.time())
        session.put_back(messages, ids)
        if session.binding.name != before:  # another door renamed it
            text = f"Your name is {session.binding.name} now.\n{text}"
        first = str(messages[0]["id"])
        if ids or announce:
            return text, ids
        known, turns.told = turns.told == first, first
        return ("" if known else text), []

    def spent(self, session: AgentSession, turns: Turns) -> tuple[str, list[str]]:
        """(one line, no ids), once a turn, when the turn's hooks have added as much mail as they may."""
        count = {} if turns.spent else session.ask("count")
        unread = count.get("unread", 0) - count.get("digest", 0)
        if not unread:
            return "", []
        turns.spent = True
        more = f"{more_wait(unread)} for {session.binding.name}"
        return f"{more}; no more is added in this turn. {READ}.", []
