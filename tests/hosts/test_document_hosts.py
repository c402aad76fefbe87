"""Hosts that are known by their documentation alone: nothing is written for them, and what is printed answers as it says.

The inputs are those of the documents that each host.toml names. No test ran these programs.
"""

import json
import re
import subprocess
from typing import Any

import pytest

from bridges.known_hosts.catalogue import about, names
from bridges.known_hosts.host_facts import DOCUMENT
from tests.conftest import Service
from tests.hosts.agent import Agent
from tests.shell import IPC

HOSTS = [name for name in names() if about(name).evidence == DOCUMENT]
FILES = {
    "amp": {".config/amp/plugins/agent-ipc.ts", ".config/amp/settings.json"},
    "antigravity": {".gemini/config/hooks.json", ".gemini/config/mcp_config.json"},
    "cursor": {".cursor/hooks.json", ".cursor/mcp.json"},
    "goose": {
        ".agents/plugins/agent-ipc/plugin.json",
        ".agents/plugins/agent-ipc/hooks/hooks.json",
        ".config/goose/config.yaml",
    },
    "kiro": {"web/.kiro/hooks/agent-ipc.json", ".kiro/settings/mcp.json"},
    "vscode": {"web/.github/hooks/agent-ipc-vscode.json", "web/.vscode/mcp.json"},
}
CURSOR_EVENTS = frozenset(
    re.findall(
        r"\w+",
        """sessionStart sessionEnd preToolUse postToolUse postToolUseFailure subagentStart subagentStop beforeShellExecution
        afterShellExecution beforeMCPExecution afterMCPExecution beforeReadFile afterFileEdit beforeSubmitPrompt preCompact
        stop afterAgentResponse afterAgentThought beforeTabFileRead afterTabFileEdit workspaceOpen""",
    )
)
"""Of cursor.com/docs/hooks, 2026-11-28."""


class ByHand:
    """A person's home, into which they would write what is printed, and the host's session in a folder of it."""

    def __init__(self, service: Service, host: str, tag: str) -> None:
        self.host = host
        self.home = service.home / "by-hand" / f"{host}{tag}"
        self.project = self.home / "web"
        self.project.mkdir(parents=True)
        self.session = f"session-{host}{tag}"
        self.env = {**Agent(service, project=f"x{host}{tag}").env, "HOME": str(self.home)}

    def ipc(self, *words: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run([*IPC, *words], env=self.env, cwd=self.project, capture_output=True, text=True, check=False)

    def printed(self, *more: str) -> dict[str, str]:
        """The files that ``--print`` shows, by their paths in the home."""
        run = self.ipc("install", self.host, "--print", *more)
        assert run.returncode == 0, run
        parts = re.split(rf"^# {re.escape(str(self.home))}/(.+)$", run.stdout, flags=re.M)
        return dict(zip(parts[1::2], parts[2::2], strict=True))

    def commands(self, name: str) -> dict[str, str]:
        """The hooks' shell commands, by event."""
        text = "".join(self.printed("--name", name).values())
        found = [json.loads(quoted) for quoted in re.findall(r'"command": ("(?:[^"\\]|\\.)*")', text)]
        return {m[1]: one for one in found if (m := re.search(rf" hook {self.host} (\w+)", one))}

    def run(self, command: str, given: dict[str, Any]) -> str:
        """What the hook printed to the host."""
        run = subprocess.run(
            ["/bin/sh", "-c", command],
            input=json.dumps(given),
            env=self.env,
            cwd=self.project,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (run.returncode, run.stderr) == (0, ""), run
        return run.stdout


@pytest.mark.parametrize("host", HOSTS)
def test_each_file_is_printed_with_its_path(shared: Service, tag: str, host: str) -> None:
    assert ByHand(shared, host, tag).printed().keys() == FILES[host]


def test_what_a_person_has_stays_in_what_is_printed(shared: Service, tag: str) -> None:
    hand = ByHand(shared, "cursor", tag)
    (hand.home / ".cursor").mkdir()
    mine = {"version": 1, "hooks": {"stop": [{"command": "true"}]}}
    (hand.home / ".cursor/hooks.json").write_text(json.dumps(mine))
    hooks = json.loads(hand.printed()[".cursor/hooks.json"])["hooks"]
    assert hooks["stop"][0] == {"command": "true"} and len(hooks["stop"]) == 2


def test_cursor_s_file_has_no_event_that_it_does_not_know(shared: Service, tag: str) -> None:
    hand = ByHand(shared, "cursor", tag)
    for scope in ("user", "project"):
        [hooks] = [json.loads(text) for path, text in hand.printed("--scope", scope).items() if path.endswith("hooks.json")]
        assert hooks.keys() == {"version", "hooks"} and hooks["version"] == 1
        assert hooks["hooks"].keys() <= CURSOR_EVENTS
        assert {key for one in hooks["hooks"].values() for hook in one for key in hook} <= {"command", "timeout", "loop_limit"}


def test_cursor_gets_mail_at_its_start_after_tools_and_at_a_turn_s_end(shared: Service, tag: str) -> None:
    name = f"cursor{tag}"
    hand = ByHand(shared, "cursor", tag)
    hooks = hand.commands(name)
    common = {"conversation_id": hand.session, "generation_id": "g1", "workspace_roots": [str(hand.project)], "model": "m"}
    with shared.connect(f"bob{tag}") as bob:
        bob.send(name, "sent before you were born")
        start = {**common, "session_id": hand.session, "is_background_agent": False, "composer_mode": "agent"}
        told = json.loads(hand.run(hooks["sessionStart"], {**start, "hook_event_name": "sessionStart"}))
        assert told.keys() == {"additional_context"} and "sent before you were born" in told["additional_context"]
        bob.send(name, "in the second turn")
        prompt = {**common, "hook_event_name": "beforeSubmitPrompt", "prompt": "go on", "attachments": []}
        assert hand.run(hooks["beforeSubmitPrompt"], prompt) == "{}"
        tool = {"tool_name": "Shell", "tool_input": {"command": "ls"}, "tool_use_id": "t1", "cwd": str(hand.project)}
        tool |= {**common, "hook_event_name": "postToolUse", "tool_output": '{"output": "x", "exitCode": 0}', "duration": 5}
        assert "in the second turn" in json.loads(hand.run(hooks["postToolUse"], tool))["additional_context"]
        stop = {**common, "hook_event_name": "stop", "status": "completed", "loop_count": 0}
        for count in range(3):
            bob.request("send", to_id=name, message={"content": "stop that"}, land="interrupt")
            assert "stop that" in json.loads(hand.run(hooks["stop"], {**stop, "loop_count": count}))["followup_message"]
        bob.request("send", to_id=name, message={"content": "stop that"}, land="interrupt")
        assert hand.run(hooks["stop"], stop) == "{}", "three times in a row, and then no more"
        end = {**common, "hook_event_name": "sessionEnd", "session_id": hand.session, "reason": "user_close"}
        assert hand.run(hooks["sessionEnd"], end) == "{}"
        assert next(row for row in bob.list() if row["id"] == name)["presence"] == "gone"


def test_antigravity_gets_mail_before_each_request_to_its_model(shared: Service, tag: str) -> None:
    name = f"agy{tag}"
    hand = ByHand(shared, "antigravity", tag)
    hooks = hand.commands(name)
    common = {"conversationId": hand.session, "workspacePaths": [str(hand.project)], "transcriptPath": "/t", "stepIdx": 1}

    def told(number: int) -> str:
        given = {**common, "invocationNum": number, "initialNumSteps": 7}
        answer = json.loads(hand.run(hooks["PreInvocation"], given))
        assert answer.keys() <= {"injectSteps"}
        return "".join(step["ephemeralMessage"] for step in answer.get("injectSteps", []))

    with shared.connect(f"bob{tag}") as bob:
        bob.send(name, "sent before you were born")
        first = told(0)
        assert f"under the name {name}." in first and "sent before you were born" in first
        assert told(1) == ""
        bob.send(name, "in the turn", land="tool")
        assert "in the turn" in told(2)
        bob.request("send", to_id=name, message={"content": "stop that"}, land="interrupt")
        stop = {**common, "executionNum": 1, "terminationReason": "model_stop", "fullyIdle": True}
        answer = json.loads(hand.run(hooks["Stop"], stop))
        assert answer["decision"] == "continue" and "stop that" in answer["reason"]
        assert hand.run(hooks["Stop"], stop) == "{}"


def test_vs_code_gets_mail_at_its_start_after_tools_and_at_a_turn_s_end(shared: Service, tag: str) -> None:
    name = f"code{tag}"
    hand = ByHand(shared, "vscode", tag)
    hooks = hand.commands(name)
    common = {"timestamp": "2026-02-09T10:30:00.000Z", "cwd": str(hand.project), "sessionId": hand.session}
    with shared.connect(f"bob{tag}") as bob:
        bob.send(name, "sent before you were born")
        told = json.loads(hand.run(hooks["SessionStart"], {**common, "hookEventName": "SessionStart", "source": "new"}))
        assert "sent before you were born" in told["hookSpecificOutput"]["additionalContext"]
        bob.send(name, "after the tool")
        assert hand.run(hooks["UserPromptSubmit"], {**common, "prompt": "go on"}) == ""
        tool = {"tool_name": "editFiles", "tool_input": {"files": ["a.ts"]}, "tool_use_id": "tool-123", "tool_response": "ok"}
        told = json.loads(hand.run(hooks["PostToolUse"], {**common, **tool}))["hookSpecificOutput"]
        assert told["hookEventName"] == "PostToolUse" and "after the tool" in told["additionalContext"]
        bob.request("send", to_id=name, message={"content": "stop that"}, land="interrupt")
        told = json.loads(hand.run(hooks["Stop"], {**common, "stop_hook_active": False}))["hookSpecificOutput"]
        assert (told["hookEventName"], told["decision"]) == ("Stop", "block") and "stop that" in told["reason"]
        assert hand.run(hooks["Stop"], {**common, "stop_hook_active": True}) == ""


def test_kiro_gets_mail_as_bare_text_and_its_stop_shows_that_it_was_read(shared: Service, tag: str) -> None:
    name = f"kiro{tag}"
    hand = ByHand(shared, "kiro", tag)
    hooks = hand.commands(name)
    common = {"cwd": str(hand.project)}  # its documentation names no session: our command does
    with shared.connect(f"bob{tag}") as bob:
        told = hand.run(hooks["SessionStart"], {**common, "hook_event_name": "SessionStart"})
        assert told.startswith("agent-ipc: other agents write to you under the name")
        mail = [bob.send(name, "with the prompt")["message_id"]]
        prompt = hand.run(hooks["UserPromptSubmit"], {**common, "hook_event_name": "UserPromptSubmit", "prompt": "go on"})
        assert "with the prompt" in prompt
        bob.request("send", to_id=name, message={"content": "stop that"}, land="interrupt")
        tool = {"hook_event_name": "PostToolUse", "tool_name": "fs_read", "tool_input": {}, "tool_response": {}}
        assert hand.run(hooks["PostToolUse"], {**common, **tool}) == ""
        assert hand.run(hooks["Stop"], {**common, "hook_event_name": "Stop"}) == ""
        assert bob.request("receipts", ids=mail)["receipts"][0]["state"] == "read"


def test_goose_is_held_for_urgent_mail_and_given_nothing_that_it_would_not_read(shared: Service, tag: str) -> None:
    name = f"goose{tag}"
    hand = ByHand(shared, "goose", tag)
    hooks = hand.commands(name)
    common = {"session_id": hand.session}
    with shared.connect(f"bob{tag}") as bob:
        mail = [bob.send(name, "it waits for the check tool")["message_id"]]
        assert hand.run(hooks["SessionStart"], {**common, "event": "SessionStart"}) == ""
        prompt = {**common, "event": "UserPromptSubmit", "matcher_context": "go on", "message": "go on"}
        assert hand.run(hooks["UserPromptSubmit"], prompt) == ""
        tool = {"event": "PostToolUse", "matcher_context": "developer__shell", "tool_name": "developer__shell"}
        tool |= {"tool_input": {"command": "rg TODO"}, "working_dir": str(hand.project), "tool_call_id": "c1"}
        assert hand.run(hooks["PostToolUse"], {**common, **tool}) == ""
        assert bob.request("receipts", ids=mail)["receipts"][0]["state"] == "queued"
        bob.request("send", to_id=name, message={"content": "stop that"}, land="interrupt")
        stop = {**common, "event": "Stop", "last_assistant_message": "Done."}
        answer = json.loads(hand.run(hooks["Stop"], stop))
        assert answer["decision"] == "block" and "stop that" in answer["reason"]
        assert hand.run(hooks["Stop"], stop) == ""
        assert hand.run(hooks["SessionEnd"], {**common, "event": "SessionEnd"}) == ""


def test_amp_s_plugin_has_answers_in_the_forms_that_it_reads(shared: Service, tag: str) -> None:
    agent = Agent(shared, "amp", f"web{tag}")
    plugin = ByHand(shared, "amp", tag).printed()[".config/amp/plugins/agent-ipc.ts"]
    assert set(re.findall(r'amp\.on\("([\w.]+)"', plugin)) == {"agent.start", "tool.result", "agent.end"}
    with shared.connect(f"bob{tag}") as bob:
        assert f"under the name web{tag}." in agent.context("SessionStart")
        bob.send(f"web{tag}", "with the prompt")
        assert "with the prompt" in agent.context("UserPromptSubmit")
        bob.send(f"web{tag}", "after the tool", land="tool")
        assert "after the tool" in agent.context("PostToolUse")
        bob.send(f"web{tag}", "stop that", land="interrupt")
        assert "stop that" in agent.hook("Stop")["reason"]
        assert agent.hook("SessionEnd") == {}
