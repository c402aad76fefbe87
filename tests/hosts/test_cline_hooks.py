"""Cline CLI: hook processes fed with the events that its plugin wrote, and the plugin itself, driven as the host drives it."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import Service
from tests.hosts.agent import Agent
from tests.shell import IPC

_DRIVER = """
import { createInterface } from "node:readline"
const say = (value) => console.log(JSON.stringify(value ?? {}))
globalThis.__clinePluginHost = { emitEvent: (name, given) => say({ name, given }) }
const { default: plugin } = await import(process.argv[2])
plugin.setup({}, JSON.parse(process.argv[3]))
for await (const line of createInterface({ input: process.stdin })) {
  const { hook, given } = JSON.parse(line)
  say(await plugin.hooks[hook](given))
}
process.exit(0)
"""


def test_mail_comes_at_each_moment_and_the_end_is_told_by_the_environment(shared: Service, tag: str) -> None:
    agent = Agent(shared, "cline", f"web{tag}")
    with shared.connect(f"bob{tag}") as bob:
        bob.send(f"web{tag}", "sent before you were born")
        text = agent.context("SessionStart")
        assert f"under the name web{tag}." in text and "sent before you were born" in text
        assert agent.hook("UserPromptSubmit") == agent.hook("BeforeTool") == agent.hook("PreToolUse") == {}
        bob.send(f"web{tag}", "after the tool", land="tool")
        assert "after the tool" in agent.context("PostToolUse")
        bob.request("claim", resource=f"{agent.project}/notes.txt")
        edit = {"path": f"{agent.project}/notes.txt", "new_text": "hello"}
        assert f"bob{tag} has claimed" in agent.context("PreToolUse", tool_input=edit)
        bob.send(f"web{tag}", "stop that", land="interrupt")
        assert "stop that" in agent.hook("Stop")["reason"]
        assert agent.hook("PostToolUse", agent_id="agent_2") == agent.hook("Stop") == {}
        command, env = [*IPC, "hook", "cline", "SessionEnd"], {**agent.env, "CLINE_SESSION_ID": agent.session}
        assert subprocess.run(command, stdin=subprocess.DEVNULL, env=env, capture_output=True, check=True).stdout == b""
        assert next(row for row in bob.list() if row["id"] == f"web{tag}")["presence"] == "gone"


class Plugin:
    """The installed plugin in a process of its own, as the host runs it."""

    def __init__(self, service: Service, name: str) -> None:
        self.project = service.home / "projects" / name
        self.project.mkdir(parents=True)
        self.env = {**os.environ, **service.env, "HOME": str(self.project)}
        subprocess.run([*IPC, "install", "cline"], env=self.env, cwd=self.project, capture_output=True, check=True)
        driver = self.project / "driver.mjs"
        driver.write_text(_DRIVER)
        (self.project / ".cline/plugins/agent-ipc/package.json").write_text('{"type": "module"}')
        context = {"session": {"sessionId": f"s-{name}"}, "workspaceInfo": {"rootPath": str(self.project)}}
        code = self.project / ".cline/plugins/agent-ipc/index.js"
        code.write_text(code.read_text().replace("TURN_MS = 2600", "TURN_MS = 60000"))  # nobody stops it here
        command = ["node", str(driver), str(code), json.dumps(context)]
        self.process = subprocess.Popen(command, env=self.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def call(self, hook: str, **given: Any) -> dict[str, Any]:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"hook": hook, "given": given}) + "\n")
        self.process.stdin.flush()
        return self.said()

    def said(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        said: dict[str, Any] = json.loads(self.process.stdout.readline())
        return said

    def prompt(self, text: str) -> str:
        """What the plugin adds to the prompt."""
        return str(self.call("beforeRun", snapshot=_snapshot(text)).get("appendContext", ""))


def _snapshot(text: str = "", **more: Any) -> dict[str, Any]:
    return {"agentId": "a1", "iteration": 1, "messages": [{"content": [{"type": "text", "text": text}]}], **more}


@pytest.fixture
def plugin(shared: Service, tag: str) -> Iterator[Plugin]:
    running = Plugin(shared, f"web{tag}")
    yield running
    assert running.process.stdin is not None and running.process.stdout is not None
    running.process.stdin.close()
    running.process.wait(20)
    running.process.stdout.close()


@pytest.mark.skipif(shutil.which("node") is None, reason="not installed: node")
def test_the_plugin_gives_what_the_host_drops_again_and_nothing_to_subagents(shared: Service, tag: str, plugin: Plugin) -> None:
    done = {"status": "completed"}
    with shared.connect(f"bob{tag}") as bob:
        assert f"under the name web{tag}." in plugin.prompt("go on")
        bob.send(f"web{tag}", "after the tool", land="tool")
        tool = {"toolCall": {"toolName": "editor", "toolCallId": "c1"}, "input": {}, "result": {"output": "ok"}}
        child = _snapshot(parentAgentId="a1")
        assert plugin.call("beforeRun", snapshot=child) == plugin.call("afterTool", snapshot=child, **tool) == {}
        assert "after the tool" in plugin.call("afterTool", snapshot=_snapshot(), **tool)["appendContext"]
        bob.send(f"web{tag}", "stop that", land="interrupt")
        queued = plugin.call("afterRun", snapshot=_snapshot(), result=done)
        assert (queued["name"], queued["given"]["sessionId"]) == ("queue_message", f"s-web{tag}")
        assert "stop that" in queued["given"]["prompt"] and plugin.said() == {}
        assert "stop that" in plugin.prompt("the user was quicker")
        assert plugin.call("afterRun", snapshot=_snapshot(), result=done) == {}
        bob.send(f"web{tag}", "and that", land="interrupt")
        notice = plugin.said()["given"]["prompt"]  # it is idle
        assert notice.startswith("agent-ipc: urgent mail #") and "and that" in plugin.prompt(notice)
        assert plugin.call("afterRun", snapshot=_snapshot(), result=done) == {}
        assert plugin.prompt("go on") == ""
