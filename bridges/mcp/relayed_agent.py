"""What a relay says of its agent in its hello: project, folder, environment, and what the process before this one knew."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bridges import host_sessions
from bridges.host_sessions import Binding
from broker.home.environment import HOST_SESSIONS
from broker.home.process_table import process_started


@dataclass(frozen=True, slots=True)
class Agent:
    """What a relay says of its agent."""

    project: str
    cwd: str
    wanted: str | None = None
    """The name that is registered without being asked for."""
    relay: str = ""
    """The relay's id. It stays while a host's session lasts, whatever process serves it."""
    environment: Mapping[str, str] = field(default_factory=dict)
    relay_pid: int = 0
    state: Mapping[str, Any] = field(default_factory=dict)
    """What the process before this one last said in ``BridgeSession.state``."""
    client: str = ""
    """The host, as it names itself."""

    @classmethod
    def from_hello(cls, hello: Mapping[str, Any]) -> "Agent":
        """Raises KeyError, ValueError."""
        environment, state = hello["environment"], hello.get("state") or {}
        texts = (hello["project"], hello["cwd"], hello["relay"], hello.get("name") or "")
        if not all(isinstance(text, str) for text in texts) or not all(isinstance(m, dict) for m in (environment, state)):
            raise ValueError("a field has the wrong type")
        environment = {str(name): str(value) for name, value in environment.items()}
        pid = hello.get("pid")
        return cls(texts[0], texts[1], texts[3] or None, texts[2], environment, pid if isinstance(pid, int) else 0, state)

    def binding(self, home: Path) -> Binding | None:
        """The binding that the hooks of the agent's host made, found by the host's session id or its process."""
        _host, session = self._host_session()
        if session:
            return host_sessions.load(str(home), session)
        if not self.relay_pid:
            return None
        return host_sessions.of_process(str(home), host_sessions.above_shells(self.relay_pid), self.project)

    def body(self, home: Path) -> dict[str, Any] | None:
        """Who acts for the agent's name: its host's session where it is known, else the relay. None for a relay of 0.3.0."""
        binding = self.binding(home)
        if binding is not None:
            return binding.body()
        host, session = self._host_session()
        if session:
            pid = host_sessions.above_shells(self.relay_pid) if self.relay_pid else 0
            return host_sessions.body_of(host, session, pid, process_started(pid), self.project)
        started = process_started(self.relay_pid) if self.relay_pid else ""
        return host_sessions.process_body(self.relay_pid, started, self.project, self.client) if started else None

    def _host_session(self) -> tuple[str, str]:
        """(host, its session's id) as the environment names them; both empty if it names none."""
        found = ((host, self.environment.get(variable, "")) for host, variable in HOST_SESSIONS.items())
        return next((pair for pair in found if pair[1]), ("", ""))

    def path(self, given: str) -> Path:
        """A path as the agent means it: relative to its folder, ``~`` its home."""
        if given == "~" or given.startswith("~/"):
            given = self.environment.get("HOME", "~") + given[1:]
        return Path(os.path.abspath(os.path.join(self.cwd, os.path.expanduser(given))))
