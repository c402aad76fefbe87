"""The instance that a hook or monitor speaks for: its requests, the mail it fetches, the evidence for mail it was given."""

from __future__ import annotations

from bridges import host_sessions, mail_evidence
from bridges.hosts.hook_log import note
from broker.home.paths import Place
from broker.protocol.errors import IpcError, RemoteError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from bridges.host_sessions import Binding
    from broker.client.json_lines import QuickConnection

_REQUEST_S = 2.0
_PRESENCE = {"began": "idle", "turn_began": "working", "turn_ended": "idle", "ended": "gone"}
_FETCH = 50


class AgentSession:
    """The instance that a hook or monitor speaks for, over the process's connection to the broker."""

    def __init__(self, home: str, door: QuickConnection, binding: Binding) -> None:
        self._home = home
        self._door = door
        self._told: list[dict[str, Any]] = []
        self.binding = binding

    def tell(self, event: str, **fields: Any) -> None:
        """Report what the host does. It goes with the next request, or with ``finish``."""
        self._told.append({"action": "report", "event": event, **fields})

    def finish(self) -> None:
        """Send what no request took along."""
        if self._told:
            last = self._told.pop()
            try:
                self.ask(**last)
            except IpcError as e:
                if not self._say_as_before(last, e.code):
                    note(self._home, "info", "report_lost", code=e.code, text=e.text)

    def _say_as_before(self, report: dict[str, Any], code: str | None) -> bool:
        """Tell a service of an older version, which knows no reports, at least whether the agent works."""
        known = code != "unknown_action"
        if not known and (state := _PRESENCE.get(report["event"])):
            self.say_presence(state)
        return not known

    def ask(self, action: str, **fields: Any) -> dict[str, Any]:
        """Make a request as this instance. A session that ended meanwhile is renewed. Raises IpcError."""
        try:
            return self._request(action, fields)
        except RemoteError as e:
            if e.kind.http != 401:
                raise
            from bridges.session_renewal import renew

            place, bound = Place(self._home), self.binding
            path = host_sessions.path_of(self._home, bound.session)
            bound.token = renew(place, bound.name, bound.token, path, door="hook", body=bound.body())
            self._request("presence", {"reach": bound.reach})
        return self._request(action, fields)

    def _request(self, action: str, fields: dict[str, Any]) -> dict[str, Any]:
        told = self._told
        bodies = [{**body, "session_token": self.binding.token} for body in (*told, {"action": action, **fields})]
        *reports, reply = self._door.exchange(bodies, timeout_s=_REQUEST_S)
        error = None if reply.get("status") == "ok" else RemoteError(reply)
        if error is None or error.kind.http != 401:
            self._told = []
            for report, answer in zip(told, reports, strict=True):
                self._say_as_before(report, answer.get("code"))
        if error is not None:
            raise error
        return reply

    def revive(self, working: bool) -> None:
        """Let the session go on, though it was said to have ended or its host was taken for dead."""
        self.binding.ended = False
        self.binding.pid, self.binding.started = host_sessions.host_process()
        host_sessions.save(self._home, self.binding)
        self.say_presence("working" if working else "idle", reach=self.binding.reach)

    def fetch(self, land: str | None, limit_bytes: int, **fields: Any) -> tuple[list[dict[str, Any]], int]:
        """(messages that land at ``land`` or sooner, None for all; how many more wait). ``fields``: more of ``check``."""
        reply = self.ask("check", **({} if land is None else {"land": land}), limit=_FETCH, max_bytes=limit_bytes, **fields)
        if reply["messages"] and (name := reply["messages"][0]["to"]) != self.binding.name:  # renamed through another door
            from bridges import saved_sessions

            saved_sessions.follow(self._home, self.binding.token, name)
            self.binding.name = name
        found = reply["messages"]
        known = mail_evidence.held(self._home, self.binding.session) if any(m.get("redelivered") for m in found) else set[str]()
        if known:  # the end of a lease or of a broker brought it back: it is not new to the model
            self._touch([m["id"] for m in found if m["id"] in known])
            found = [m for m in found if m["id"] not in known]
        return found, int(reply.get("more", 0))

    def put_back(self, messages: list[dict[str, Any]], given: list[str]) -> None:
        """Release what did not fit. Nobody was shown it, so it comes again as new."""
        left = [str(m["id"]) for m in messages if str(m["id"]) not in given]
        if left:
            self.ask("release", ids=left, unseen=True)

    def keep(self, ids: list[str], *, amid: bool = False) -> None:
        """Keep the ids of mail that the model was given. The next event shows that the model has it.

        ``amid``: it was given after a tool, and other tools of the same step may follow.
        """
        if not ids:
            return
        try:
            mail_evidence.add(self._home, self.binding.session, ids, by="hook", amid=amid)
        except OSError as e:  # nothing can be written: the mail comes again
            note(self._home, "warning", "shown_not_kept", error=str(e))
        else:
            self._touch(ids)

    def keep_frame(self, ids: list[str], *, mark: str, answer: str, path: str, begins: int) -> None:
        """Keep the ids of mail that is put into the host's inbox. Raises OSError."""
        mail_evidence.add_frame(self._home, self.binding.session, ids, mark=mark, answer=answer, path=path, begins=begins)
        self._touch(ids)

    def take_back(self, ids: list[str], mark: str) -> None:
        """Release what the host did not take from its inbox. It may have been seen: the host may only be slow."""
        mail_evidence.drop(self._home, self.binding.session, mark)
        self.ask("release", ids=ids)

    def settle(self, moment: str, tools: list[str], *, whole: bool = False) -> None:
        """Acknowledge or release mail that was given before, by what this event shows."""
        proven, lost = mail_evidence.settle(self._home, self.binding.session, moment, tools, whole=whole)
        try:
            for evidence, ids in proven.items():
                self.ask("ack", ids=ids, evidence=evidence)
            if lost:
                self.ask("release", ids=lost)
        except IpcError:
            for evidence, ids in proven.items():  # the next event settles them
                by = "hook" if evidence == "hook" else "tool"
                mail_evidence.add(self._home, self.binding.session, ids, by=by, ran=evidence == "tool")
            raise

    def begin_anew(self) -> None:
        """Release what an earlier run of the session or the name was given and has not shown to have."""
        mail_evidence.drop(self._home, self.binding.session)
        self.ask("release")

    def _touch(self, ids: list[str]) -> None:
        try:
            self.ask("touch", ids=ids, lease_s=mail_evidence.HELD_S)
        except IpcError as e:
            if e.code != "unknown_action":
                raise
            self.ask("ack", ids=ids, evidence="inferred")  # a broker of an older version can't hold mail for longer
            mail_evidence.drop(self._home, self.binding.session)

    def say_presence(self, state: str, *, reach: list[str] | None = None) -> None:
        """Tell the others what this agent does.

        A broker of an older version has no such request, and a broker whose disk is full can't keep it. Mail goes on in both.
        """
        fields: dict[str, Any] = {"state": state}
        if reach is not None:
            fields |= {"reach": reach, "body": self.binding.body()}
        try:
            self.ask("presence", **fields)
        except IpcError as e:
            if e.code not in ("unknown_action", "storage_full"):
                raise
