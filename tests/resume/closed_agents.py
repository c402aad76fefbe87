"""A service that may start closed agents again, the scripted host's program on PATH, a person, and agents to be closed."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from broker.client.json_lines import request
from broker.home.files import owner_key
from broker.home.paths import Place
from tests.conftest import Service, wait_for
from tests.hosts.agent import Agent
from tests.shell import IPC

HOST = Path(__file__).with_name("scripted_host.py")
ROOT = Path(__file__).parent.parent.parent


class Terminal:
    """A terminal in which the scripted host goes on with a session."""

    def __init__(self, command: list[str], env: dict[str, str], folder: Path) -> None:
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, env=env, cwd=folder, text=True, start_new_session=True)

    def say(self, words: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{words}\n")
        self.process.stdin.flush()

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(30)


class ClosedAgents:
    """Use ``start`` once. ``table`` is the text of ``[hosts.resume]``."""

    def __init__(self, service: Service, table: str, **env: str) -> None:
        self.service = service
        programs = service.home / "bin"
        programs.mkdir(parents=True, exist_ok=True)
        program = programs / "claude"
        program.write_text(f'#!/bin/sh\nexec {sys.executable} {HOST} "$@"\n')
        program.chmod(0o755)
        (service.home / "config.toml").write_text(f"[hosts.resume]\n{table}\n")
        path = f"{programs}:{os.environ['PATH']}"
        self.env = {"SCRIPT_ROOT": str(ROOT), **env}
        service.env |= {"PATH": path, **self.env}
        self.me = ""
        self.agents: dict[str, Agent] = {}

    def start(self) -> "ClosedAgents":
        self.service.start()
        body = {"kind": "process", "key": "person"}
        self.me = self.ask("register", instance_id="me", body=body)["session_token"]
        self.own("person", by=self.me)
        wait_for("the door", lambda: self.state())
        return self

    def ask(self, action: str, **fields: Any) -> dict[str, Any]:
        return request(Place(str(self.service.home)), {"action": action, **fields})

    def own(self, action: str, **fields: Any) -> dict[str, Any]:
        return self.ask(action, session_token=owner_key(str(self.service.home)), **fields)

    def write(self, to: str, text: str, **fields: Any) -> str:
        """The number of a message of the person."""
        reply = self.ask("send", session_token=self.me, to_id=to, message={"content": text}, person=True, **fields)
        return str(reply["number"])

    def receipt(self, number: str) -> dict[str, Any]:
        (row,) = self.ask("receipts", session_token=self.me, ids=[number])["receipts"]
        return dict(row)

    def terminal(self, name: str, mode: str = "default") -> Terminal:
        """Open the agent's session in a terminal; its first hook is still to run."""
        agent = self.agents.get(name) or Agent(self.service, project=name)
        self.agents[name] = agent
        env = {**agent.env, **self.service.env, "SCRIPT_MODE": mode}
        return Terminal(["claude", "--resume", agent.session], env, agent.project)

    def closed(self, name: str, mode: str = "default") -> Agent:
        """An agent whose session did a turn and was closed."""
        terminal = self.terminal(name, mode)
        terminal.say("hello")
        terminal.close()
        return self.agents[name]

    def state(self) -> dict[str, Any]:
        path = self.service.home / "run" / "resume.json"
        state: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        return state if "agents" in state else {}

    def why(self, name: str) -> str:
        """Why it would not be started, once the door has looked."""
        return str(self.state().get("agents", {}).get(name, "not looked at"))

    def journal(self, key: str) -> list[dict[str, Any]]:
        path = self.service.home / "journal"
        rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        return [row for row in rows if key in row]

    def bodies(self, name: str) -> list[dict[str, Any]]:
        """The bodies of an agent that were started."""
        return [row for row in self.journal("run") if row["body"] and row["run"] == self.agents[name].session]

    def saw(self, text: str) -> bool:
        return any(text in row["saw"] for row in self.journal("saw"))

    def cli(self, *words: str) -> str:
        done = subprocess.run(
            [*IPC, *words], env={**os.environ, **self.service.env}, capture_output=True, text=True, check=False
        )
        return done.stdout + done.stderr
