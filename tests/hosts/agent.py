"""Hook processes as a host starts them, against a real service."""

import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

from bridges.known_hosts.catalogue import hooks_of
from tests.conftest import Service
from tests.shell import IPC

RECORDED = Path(__file__).with_name("recorded")


def recorded(name: str) -> dict[str, Any]:
    """An event as a host described it: Claude Code 2.1.331 and 2.1.332, Gemini CLI 0.61.0, Codex CLI 0.169.0 and 0.171.0 (its
    PreToolUse of apply_patch is after its schema), Copilot CLI 1.0.102, opencode 1.18.33."""
    given: dict[str, Any] = json.loads((RECORDED / f"{name}.json").read_text())
    return given


class Agent:
    """One session of a host in a project folder."""

    def __init__(self, service: Service, host: str = "claude", project: str = "web", session: str = "", **env: str) -> None:
        self.host = host
        self.service = service
        self.project = service.home / "projects" / project
        self.project.mkdir(parents=True, exist_ok=True)
        self.session = session or f"{host}-{project}-{time.monotonic_ns()}"
        self.env = {"PATH": os.environ["PATH"], "HOME": str(service.home), **service.env, **env}

    def given(self, event: str, **fields: Any) -> bytes:
        """The recorded event, as this session's."""
        known = RECORDED / f"{self.host}-{event}.json"
        body = recorded(known.stem) if known.exists() else {"hook_event_name": event.partition("-")[0]}
        own = {"session_id": self.session, "cwd": str(self.project), **fields}
        names = hooks_of(self.host).FIELDS
        return json.dumps({**body, **{names.get(name, name): value for name, value in own.items()}}).encode()

    def run(self, event: str, stdin: bytes, *arguments: str, **options: Any) -> "subprocess.CompletedProcess[bytes]":
        command = [*IPC, "hook", self.host, event.partition("-")[0], *arguments]
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "timeout": 30, **options}
        return subprocess.run(command, input=stdin, env=self.env, cwd=self.project, check=False, **options)

    def hook(self, event: str, *arguments: str, **fields: Any) -> dict[str, Any]:
        """The answer's object; empty where nothing was said. The hook always succeeds."""
        done = self.run(event, self.given(event, **fields), *arguments)
        assert (done.returncode, done.stderr) == (0, b"")
        answer: dict[str, Any] = json.loads(done.stdout) if done.stdout else {}
        return answer

    def context(self, event: str, *arguments: str, **fields: Any) -> str:
        """What was added for the model."""
        answer = self.hook(event, *arguments, **fields)
        return str(answer.get("hookSpecificOutput", answer).get("additionalContext", ""))

    def start(self, *arguments: str) -> str:
        """Begin the session; the name it got."""
        event = {"claude": "SessionStart-startup", "copilot": "sessionStart", "opencode": "start"}.get(
            self.host, "SessionStart"
        )
        text = self.context(event, *arguments)
        return text.partition("under the name ")[2].partition(".")[0]

    def log(self) -> list[dict[str, Any]]:
        return self.service.log("hooks")
