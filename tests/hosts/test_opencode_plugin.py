"""opencode's plugin in Node, driven as the host does, with real hooks and a real monitor; and its hooks' recorded events."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Service, wait_for
from tests.hosts.agent import Agent
from tests.shell import IPC

_LOOP = """
import { createInterface } from "node:readline"
const prompts = []
const get = async ({ path: { id } }) => ({ data: id.startsWith("child") ? { parentID: "ses_" + id.slice(5) } : {} })
const client = { session: { get, promptAsync: async (prompt) => prompts.push(prompt) } }
const { AgentIpc } = await import(process.argv[2])
const hooks = await AgentIpc({ client, directory: process.cwd() })
for await (const line of createInterface({ input: process.stdin })) {
  const [name, input, output] = JSON.parse(line)
  const refused = await hooks[name]?.(input, output).then(() => undefined, String)
  console.log(JSON.stringify([input, refused ?? output, prompts.splice(0)]))
}
"""
needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="not installed: node")


class Plugin:
    """The installed plugin in a process that stands for opencode, in the project folder of an agent."""

    def __init__(self, service: Service, project: str, *arguments: str) -> None:
        self.folder = service.home / project
        (self.folder / "home").mkdir(parents=True)
        self.env = Agent(service).env | {"HOME": str(self.folder / "home")}
        subprocess.run([*IPC, "install", "opencode", *arguments], env=self.env, check=True, capture_output=True, timeout=30)
        plugin = self.folder / "home/.config/opencode/plugins/agent-ipc.js"
        driver = self.folder / "driver.mjs"
        driver.write_text(_LOOP)
        module = plugin.with_suffix(".mjs")
        module.write_text(self.changed(plugin.read_text()))
        self.prompts: list[dict[str, Any]] = []
        pipe = subprocess.PIPE
        command = ["node", str(driver), str(module)]
        self.process = subprocess.Popen(command, env=self.env, cwd=self.folder, stdin=pipe, stdout=pipe, text=True)

    def changed(self, text: str) -> str:
        return text

    def __call__(self, name: str, given: Any, output: Any = None) -> Any:
        """What the hook made of the output."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps([name, given, output]) + "\n")
        self.process.stdin.flush()
        given, output, prompts = json.loads(self.process.stdout.readline())
        self.prompts += prompts
        return given if output is None else output

    def event(self, kind: str, session: str, **fields: Any) -> None:
        self("event", {"event": {"type": kind, "properties": {"sessionID": session, **fields}}})

    def prompt(self, session: str) -> list[dict[str, Any]]:
        """The parts of a prompt of the user's, after the hook."""
        message = {"id": "msg_1", "agent": "plan", "model": {"providerID": "p", "modelID": "m"}}
        parts = [{"id": "prt_1", "type": "text", "text": "go on", "messageID": "msg_1", "sessionID": session}]
        found: list[dict[str, Any]] = self("chat.message", {"sessionID": session}, {"message": message, "parts": parts})[
            "parts"
        ]
        return found

    def model(self, session: str, parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The messages of which a request of the conversation with that prompt is made."""
        messages = [{"info": {"sessionID": session}, "parts": parts}]
        found: list[dict[str, Any]] = self("experimental.chat.messages.transform", {}, {"messages": messages})["messages"]
        return found

    def tool(self, session: str, **output: Any) -> Any:
        call = {"tool": "bash", "sessionID": session, "callID": "call_1"}
        self("tool.execute.before", call, {"args": {"command": "ls"}})
        return self("tool.execute.after", call, output)

    def end(self) -> None:
        self("dispose", None)
        self.process.kill()
        self.process.wait()


@pytest.fixture
def plugin(shared: Service, tag: str) -> Iterator[Plugin]:
    plugin = Plugin(shared, f"web{tag}")
    yield plugin
    plugin.end()


@needs_node
def test_mail_comes_at_a_prompt_hidden_from_the_title_after_a_tool_and_at_the_end(
    shared: Service, tag: str, plugin: Plugin
) -> None:
    with shared.connect(f"bob{tag}") as bob:
        bob.send(f"web{tag}", "before it was born")
        asked, mail = plugin.prompt("ses_1")
        assert asked["text"] == "go on" and mail["ignored"] and f"under the name web{tag}." in mail["text"]
        _, told = plugin.model("ses_1", [asked, mail])
        assert [("before it was born" in part["text"], part["ignored"]) for part in told["parts"]] == [(True, False)]
        plugin.event("session.status", "ses_1", status={"type": "busy"})
        bob.send(f"web{tag}", "after the tool")
        assert plugin.tool("child1", output="done")["output"] == "done"  # a subagent's
        assert "after the tool" in plugin.tool("ses_1", output="done")["output"]
        bob.request("send", to_id=f"web{tag}", message={"content": "stop that"}, land="interrupt")
        plugin.event("session.status", "ses_1", status={"type": "idle"})
        plugin.event("session.idle", "ses_1")
        held = plugin.prompts[-1]["body"]  # its monitor may have said before that urgent mail is there
        assert held["agent"] == "plan" and "stop that" in held["parts"][0]["text"]


@pytest.mark.deep
@needs_node
def test_a_tool_of_ours_is_refused_where_nothing_tells_which_of_several_sessions_calls(tag: str, plugin: Plugin) -> None:
    call = {"tool": "ipc_send", "sessionID": "ses_1", "callID": "call_1"}
    plugin.prompt("ses_1")
    assert plugin("tool.execute.before", call, {"args": {}}) == {"args": {}}
    plugin.prompt("ses_2")
    assert "In your shell ipc is you" in plugin("tool.execute.before", call, {"args": {}})
    assert plugin("tool.execute.before", {**call, "tool": "bash"}, {"args": {}}) == {"args": {}}


@needs_node
def test_an_idle_session_is_woken_by_a_line_of_its_monitor(shared: Service, tag: str, plugin: Plugin) -> None:
    plugin.model("ses_1", plugin.prompt("ses_1"))
    plugin.event("session.idle", "ses_1")
    with shared.connect(f"bob{tag}") as bob:
        bob.send(f"web{tag}", "wake up")

        def woken() -> bool:
            plugin("config", {}, {})
            return bool(plugin.prompts)

        wait_for("the prompt", woken)
    assert plugin.prompts[0]["path"]["id"] == "ses_1"
    assert plugin.prompts[0]["body"]["parts"][0]["text"].startswith("agent-ipc: mail #")


@needs_node
def test_a_plugin_whose_program_is_gone_says_so_once(shared: Service, tag: str) -> None:
    class Orphan(Plugin):
        def changed(self, text: str) -> str:
            return text.replace("test -x ", "test -x /nowhere")

    plugin = Orphan(shared, f"web{tag}")
    _, said = plugin.prompt("ses_1")
    assert said["text"] == "agent-ipc is no longer where it was installed from. Next: ipc install opencode"
    assert len(plugin.prompt("ses_1")) == 1
    assert plugin.tool("ses_1", output="done") == {"output": "done"}
    plugin.end()


@pytest.mark.deep
@needs_node
def test_the_server_and_the_rules_are_added_to_the_settings_that_the_host_has_read(shared: Service, tag: str) -> None:
    plugin = Plugin(shared, f"web{tag}", "--allow")
    config = plugin("config", {"permission": "ask", "mcp": {"other": {}}})
    assert config["mcp"].keys() == {"ipc", "other"} and config["mcp"]["ipc"]["command"][-1] == "mcp"
    assert config["permission"]["*"] == config["permission"]["ipc_share_file"] == "ask"
    assert config["permission"]["ipc_send"] == "allow"
    plugin.end()


def test_mail_comes_at_each_moment_of_the_recorded_events(shared: Service, tag: str) -> None:
    agent = Agent(shared, "opencode", f"web{tag}")
    with shared.connect(f"bob{tag}") as bob:
        assert agent.start() == f"web{tag}"
        for event in ("prompt", "tool"):
            bob.send(f"web{tag}", f"at {event}")
            assert f"at {event}" in agent.context(event)
        bob.request("claim", resource=f"{agent.project}/notes.txt")
        assert f"bob{tag} has claimed" in agent.context("edit", tool_input={"filePath": f"{agent.project}/notes.txt"})
        bob.request("send", to_id=f"web{tag}", message={"content": "stop that"}, land="interrupt")
        assert agent.hook("tool-subagent") == agent.hook("tool_began") == agent.hook("permission") == {}
        assert "stop that" in agent.hook("stop")["reason"]
        assert agent.hook("end") == {}


def test_a_run_that_ends_with_its_turn_is_not_held(shared: Service, tag: str) -> None:
    agent = Agent(shared, "opencode", f"web{tag}")
    agent.context("start-headless")
    with shared.connect(f"bob{tag}") as bob:
        bob.request("send", to_id=f"web{tag}", message={"content": "stop that"}, land="interrupt")
    assert agent.hook("stop") == {}


@pytest.mark.deep
def test_a_file_of_that_name_that_is_not_ours_stays(home: Path) -> None:
    mine = home / ".config/opencode/plugins/agent-ipc.js"
    mine.parent.mkdir(parents=True)
    mine.write_text("// mine\n")
    env = {"HOME": str(home), "IPC_HOME": str(home / "ipc"), "PATH": "/usr/bin:/bin"}
    for verb in ("install", "uninstall"):
        subprocess.run([*IPC, verb, "opencode"], env=env, capture_output=True, timeout=30, cwd=home)
    assert mine.read_text() == "// mine\n"
