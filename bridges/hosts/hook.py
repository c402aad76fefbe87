"""``ipc hook HOST EVENT``: mail at the boundaries of an agent's turns.

The host runs this as a process of its own at each event and waits for it, so it imports little, asks the broker once or
twice, and never breaks its host: whatever goes wrong, it says nothing and exits 0.

    start   registers, says the name, adds the unread mail
    prompt  adds all new mail
    tool    adds the mail that may land after a tool call or at once
    edit    says who has claimed the file that is about to change (where that hook is installed)
    stop    holds the agent for urgent mail, at most so many times in a row
    end     says that the agent is gone

Mail is kept once the answer was written, and acknowledged at the session's next event, which shows that the model has it
(bridges.mail_evidence). A hook that is killed before gives its mail back, because the broker gets back at once what a lost
connection had fetched.
"""

from __future__ import annotations

import importlib
import json
import os
import select

from bridges import host_sessions as bindings
from bridges import mail_evidence
from bridges.fence import digest
from bridges.hosts.hook_log import failure, note
from broker.client.json_lines import QuickConnection
from broker.home.paths import Place, working_folder
from broker.protocol.errors import IpcError, RemoteError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any

    from bridges.host_sessions import Binding, Turns

HOSTS = ("claude", "gemini", "codex")
_INPUT_BYTES = 32 * 1024 * 1024
"""A tool's output is in the input of its hook; what is larger is read past, not kept."""
_SILENCE_S = 2.0
_START_S = 8.0
_REQUEST_S = 2.0
_FETCH = 50
_READ = "The check tool of the ipc server reads them"
_LEAST_CHARS = 800
"""With less room left in a turn, no mail is looked for."""
_RANK = {"turn": 0, "tool": 1, "interrupt": 2}


def main(arguments: list[str]) -> int:
    """Exit status 0, always: a hook that fails must not stop an agent."""
    home = Place.here().home
    answer = ""
    try:
        host, event, name = _parsed(arguments)
        answer = host.SILENT
        hook = Hook(home, host, event, name, _input())
        if hook.work():
            return 0
    except IpcError as e:
        note(home, "info", "hook_without_service", arguments=arguments, code=e.code, text=e.text)
    except Exception as e:  # the one broad catch of this process: the host must go on
        failure(home, e, "hook_failed", arguments=arguments)
    if answer:
        _write(home, answer)
    return 0


def _parsed(arguments: list[str]) -> tuple[ModuleType, str, str | None]:
    """``HOST EVENT [--name NAME]``. Raises ValueError."""
    words = list(arguments)
    name = None
    if "--name" in words:
        at = words.index("--name")
        name = words[at + 1]
        del words[at : at + 2]
    if len(words) != 2 or words[0] not in HOSTS:
        raise ValueError("ipc hook takes a host (claude, gemini, codex) and an event")
    return importlib.import_module(f"bridges.hosts.{words[0]}"), words[1], name


def _input() -> dict[str, Any]:
    """The event that the host describes on standard input; empty if that is no object. All of it is read, up to its end, to
    the end of an object where the host leaves the pipe open, or until nothing has come for some seconds."""
    parts, size = [], 0
    while select.select([0], [], [], _SILENCE_S)[0]:
        part = os.read(0, 1024 * 1024)
        size += len(part)
        if size <= _INPUT_BYTES:
            parts.append(part)
        whole = part.rstrip().endswith(b"}") and not select.select([0], [], [], 0)[0]
        if not part or (whole and _object(b"".join(parts))):
            break
    raw = b"".join(parts)
    return _object(raw) or (_head(raw) if size > _INPUT_BYTES else {})


def _object(raw: bytes) -> dict[str, Any]:
    try:
        given = json.loads(raw)
    except (ValueError, RecursionError):
        return {}
    return given if isinstance(given, dict) else {}


def _head(raw: bytes) -> dict[str, Any]:
    """The fields we need from the beginning of an input that is too large: hosts write them first."""
    import re

    head = raw[:65536].decode("utf-8", "replace")
    found = {}
    for key in ("session_id", "cwd", "agent_id"):
        match = re.search(rf'"{key}"\s*:\s*("(?:[^"\\]|\\.)*")', head)
        if match:
            found[key] = json.loads(match[1])
    return found


def _write(home: str, answer: str) -> bool:
    """Write the answer; False if the host no longer reads."""
    raw = answer.encode("utf-8", "replace")
    try:
        while raw:
            raw = raw[os.write(1, raw) :]
    except OSError as e:
        note(home, "warning", "answer_not_written", error=str(e))
        return False
    return True


class Hook:
    """One event of one session. ``work`` returns True where it wrote an answer."""

    def __init__(self, home: str, host: ModuleType, event: str, name: str | None, given: dict[str, Any]) -> None:
        self.home = home
        self.host = host
        self.event = event
        self.wanted = name or os.environ.get("IPC_NAME") or None
        self.given = given
        self.session = _text(given, "session_id") or os.environ.get(host.SESSION_VARIABLE, "")
        self.project = os.environ.get(host.PROJECT_VARIABLE) or _folder(given) or working_folder()
        self.moment = host.EVENTS.get(event, "")

    def work(self) -> bool:
        if not self.moment or not self.session or self.given.get("agent_id"):
            return False  # not ours; or a subagent's: the mail is its leader's
        if self.moment == "start":
            return self.start()
        binding = bindings.load(self.home, self.session)
        if binding is None:  # installed while the session ran
            return self.moment == "prompt" and self.start()
        turns = bindings.load_turns(self.home, self.session)
        with QuickConnection(Place(self.home), autostart=False, door="hook") as door:
            work = {"prompt": self.prompt, "tool": self.tool, "edit": self.edit, "stop": self.stop, "end": self.end}
            session = AgentSession(self.home, door, binding)
            if binding.ended and self.moment != "end":
                session.revive(turns.working)
            session.settle(self.moment, _text(self.given, "tool_name"))
            return work[self.moment](session, turns)

    def start(self) -> bool:
        from bridges.hosts.session_start import register

        with QuickConnection(Place(self.home), autostart=True, door="hook") as door:
            binding = register(door, self, timeout_s=_START_S)
            session = AgentSession(self.home, door, binding)
            turns = bindings.load_turns(self.home, self.session)
            if self.given.get("source") != "compact":  # that happens within a turn
                turns.working = self.moment == "prompt"
                turns.begin()
                session.begin_anew()
            turns.told = ""
            bindings.save_turns(self.home, self.session, turns)
            intro = (
                f"agent-ipc: other agents on this machine can write to this session under the name {binding.name}. "
                "Mail arrives by itself at prompts and after tool calls; the tools of the ipc server send and read it."
            )
            return self.deliver(session, turns, "turn", intro=intro)

    def prompt(self, session: AgentSession, turns: Turns) -> bool:
        turns.begin()
        self.set_working(session, turns, True)
        return self.deliver(session, turns, "turn", announce=True)

    def tool(self, session: AgentSession, turns: Turns) -> bool:
        if turns.working:
            bindings.touch_turns(self.home, self.session)
        else:  # a turn that began without a prompt: the agent was woken
            self.set_working(session, turns, True)
        return self.deliver(session, turns, "tool")

    def edit(self, session: AgentSession, _turns: Turns) -> bool:
        from bridges.hosts.claim_warning import overlapping, sentence

        paths = [os.path.join(_folder(self.given) or self.project, p) for p in self.host.edited(self.given)]
        found = [claim for path in paths for claim in overlapping(session.ask, path)]
        return bool(found) and _write(self.home, self.host.context(self.event, sentence(found)))

    def stop(self, session: AgentSession, turns: Turns) -> bool:
        if self.given.get("stop_hook_active") is not True:
            turns.held = 0
        if turns.held < session.binding.holds:
            left = max(1, session.binding.chars - turns.added)
            messages, more = session.fetch("interrupt", left)
            if messages:
                text, ids = digest(messages, more, to=session.binding.name, limit_chars=left, read=_READ)
                turns.held += 1
                turns.added += len(text)
                turns.working = True
                bindings.save_turns(self.home, self.session, turns)
                session.put_back(messages, ids)
                if _write(self.home, self.host.hold(text)):
                    session.keep(ids)
                return True
        turns.begin()
        self.set_working(session, turns, False)
        return False

    def end(self, session: AgentSession, turns: Turns) -> bool:
        session.binding.ended = True
        bindings.save(self.home, session.binding)
        turns.working = False
        bindings.save_turns(self.home, self.session, turns)
        session.say_presence("gone", reach=[])
        return False

    def set_working(self, session: AgentSession, turns: Turns, working: bool) -> None:
        """Keep and report whether a turn runs; the broker hears of changes only."""
        changed = turns.working != working
        turns.working = working
        bindings.save_turns(self.home, self.session, turns)
        if changed:
            session.say_presence("working" if working else "idle")

    def deliver(self, session: AgentSession, turns: Turns, land: str, *, intro: str = "", announce: bool = False) -> bool:
        """Add the new mail to what the model reads, and keep it until the next event."""
        binding, before = session.binding, (turns.added, turns.told, turns.spent)
        left = binding.chars - len(intro) - turns.added
        text, ids = self.spent(session, turns) if left < _LEAST_CHARS else self.digest(session, turns, land, left, announce)
        turns.added += len(text)
        if (turns.added, turns.told, turns.spent) != before:
            bindings.save_turns(self.home, self.session, turns)
        whole = "\n".join(part for part in (intro, text) if part)
        if not whole:
            return False
        if _write(self.home, self.host.context(self.event, whole)):
            session.keep(ids)
        return True

    def digest(self, session: AgentSession, turns: Turns, land: str, left: int, announce: bool) -> tuple[str, list[str]]:
        """(mail that has room, its ids). What is too long for any turn is said once after tools, and at each prompt."""
        messages, more = session.fetch(land, left)
        if not messages:
            return "", []
        text, ids = digest(messages, more, to=session.binding.name, limit_chars=left, read=_READ)
        session.put_back(messages, ids)
        first = str(messages[0]["id"])
        if ids or announce:
            return text, ids
        known, turns.told = turns.told == first, first
        return ("" if known else text), []

    def spent(self, session: AgentSession, turns: Turns) -> tuple[str, list[str]]:
        """One line a turn, once its hooks have added as much mail as they may."""
        unread = 0 if turns.spent else session.ask("count")["unread"]
        if not unread:
            return "", []
        turns.spent = True
        more = f"{unread} more wait{'s' if unread == 1 else ''} for {session.binding.name}"
        return f"{more}; no more is added in this turn. {_READ}.", []


def _text(given: dict[str, Any], key: str) -> str:
    value = given.get(key)
    return value if isinstance(value, str) else ""


def _folder(given: dict[str, Any]) -> str:
    """Where the host says that it works; empty where no folder can be called so."""
    path = _text(given, "cwd")
    try:
        return "" if b"\0" in os.fsencode(path) else path
    except UnicodeEncodeError:  # half a surrogate pair
        return ""


class AgentSession:
    """The instance that a hook speaks for."""

    def __init__(self, home: str, door: QuickConnection, binding: Binding) -> None:
        self._home = home
        self._door = door
        self.binding = binding

    def ask(self, action: str, **fields: Any) -> dict[str, Any]:
        """A request as this instance, whose session is renewed where it ended meanwhile. Raises IpcError."""
        try:
            return self._request(action, fields)
        except RemoteError as e:
            if e.kind.http != 401:
                raise
            from bridges.session_renewal import renew

            place, bound = Place(self._home), self.binding
            path = bindings.path_of(self._home, bound.session)
            bound.token = renew(place, bound.name, bound.token, path, door="hook")
            self._request("presence", {"reach": bound.reach})
        return self._request(action, fields)

    def _request(self, action: str, fields: dict[str, Any]) -> dict[str, Any]:
        body = {"action": action, "session_token": self.binding.token, **fields}
        return self._door.request(body, timeout_s=_REQUEST_S)

    def revive(self, working: bool) -> None:
        """The session goes on, though its end was said, or its host was taken for dead."""
        self.binding.ended = False
        self.binding.pid, self.binding.started = bindings.host_process()
        bindings.save(self._home, self.binding)
        self.say_presence("working" if working else "idle", reach=self.binding.reach)

    def fetch(self, land: str, limit_bytes: int) -> tuple[list[dict[str, Any]], int]:
        """(messages that may land now, how many more wait)."""
        reply = self.ask("check", land=land, limit=_FETCH, max_bytes=limit_bytes)
        if reply["messages"] and (name := reply["messages"][0]["to"]) != self.binding.name:  # renamed through another door
            from bridges import saved_sessions

            saved_sessions.follow(self._home, self.binding.token, name)
            self.binding.name = name
        found = reply["messages"]
        known = mail_evidence.held(self._home, self.binding.session) if any(m.get("redelivered") for m in found) else set[str]()
        if known:  # back by the end of a lease, or a broker's: it is not new to the model
            self._touch([m["id"] for m in found if m["id"] in known])
            found = [m for m in found if m["id"] not in known]
        messages = [m for m in found if _RANK.get(m.get("land", "tool"), 1) >= _RANK[land]]
        return messages, int(reply.get("more", 0)) + len(found) - len(messages)

    def put_back(self, messages: list[dict[str, Any]], given: list[str]) -> None:
        """What did not fit has been shown to nobody: it comes again as new."""
        left = [str(m["id"]) for m in messages if str(m["id"]) not in given]
        if left:
            self.ask("release", ids=left, unseen=True)

    def keep(self, ids: list[str]) -> None:
        """The model was given this mail; the next event shows that it has it."""
        if not ids:
            return
        try:
            mail_evidence.add(self._home, self.binding.session, ids, by="hook")
        except OSError as e:  # nothing can be written: it comes again
            note(self._home, "warning", "shown_not_kept", error=str(e))
        else:
            self._touch(ids)

    def settle(self, moment: str, tool: str) -> None:
        """What this event shows about mail that was given before."""
        proven, lost = mail_evidence.settle(self._home, self.binding.session, moment, tool)
        try:
            if proven:
                self.ask("ack", ids=proven)
            if lost:
                self.ask("release", ids=lost)
        except IpcError:
            mail_evidence.add(self._home, self.binding.session, proven, by="hook")  # the next event settles it
            raise

    def begin_anew(self) -> None:
        """What an earlier run of the session, or of the name, was given and has not shown to have comes again."""
        mail_evidence.drop(self._home, self.binding.session)
        self.ask("release")

    def _touch(self, ids: list[str]) -> None:
        try:
            self.ask("touch", ids=ids, lease_s=mail_evidence.HELD_S)
        except IpcError as e:
            if e.code != "unknown_action":
                raise
            self.ask("ack", ids=ids)  # a broker of an older version holds nothing for longer
            mail_evidence.drop(self._home, self.binding.session)

    def say_presence(self, state: str, *, reach: list[str] | None = None) -> None:
        """Tell the others what this agent does. A broker of an older version has no such request, and one whose disk is full
        can't keep it: neither holds mail back."""
        fields: dict[str, Any] = {"state": state} if reach is None else {"state": state, "reach": reach}
        try:
            self.ask("presence", **fields)
        except IpcError as e:
            if e.code not in ("unknown_action", "storage_full"):
                raise
