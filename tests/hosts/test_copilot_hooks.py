"""Hook processes fed with the events of Copilot CLI, in its own field names and forms."""

import json

import pytest

from tests.conftest import Service
from tests.hosts.agent import Agent


def test_mail_comes_at_each_moment_in_the_host_s_own_form(shared: Service, tag: str) -> None:
    agent = Agent(shared, "copilot", f"web{tag}")
    with shared.connect(f"bob{tag}") as bob:
        bob.send(f"web{tag}", "sent before you were born")
        answer = agent.hook("sessionStart")
        assert answer.keys() == {"additionalContext"}
        assert f"under the name web{tag}." in answer["additionalContext"]
        assert "sent before you were born" in answer["additionalContext"]
        assert agent.hook("userPromptSubmitted") == agent.hook("notification") == agent.hook("BeforeTool") == {}
        for event in ("postToolUse", "postToolUseFailure", "userPromptSubmitted"):
            bob.send(f"web{tag}", f"at {event}")
            assert f"at {event}" in agent.context(event)
        for event in ("agentStop", "agentStop-active", "agentStop-active"):
            bob.request("send", to_id=f"web{tag}", message={"content": "stop that"}, land="interrupt")
            answer = agent.hook(event)
            assert (answer.keys(), answer["decision"]) == ({"decision", "reason"}, "block") and "stop that" in answer["reason"]
            assert agent.hook("userPromptSubmitted") == {}  # the reason becomes a prompt
        bob.request("send", to_id=f"web{tag}", message={"content": "stop that"}, land="interrupt")
        assert agent.hook("agentStop-active") == agent.hook("sessionEnd") == {}
        assert next(row for row in bob.list() if row["id"] == f"web{tag}")["presence"] == "gone"
    silent = agent.run("preToolUse", agent.given("preToolUse"))
    assert (silent.returncode, silent.stdout) == (0, b"")  # anything else could deny the call


def test_a_subagent_s_prompt_neither_makes_a_name_nor_takes_its_leader_s_mail(shared: Service, tag: str) -> None:
    agent = Agent(shared, "copilot", f"web{tag}")
    agent.start()
    with shared.connect(f"bob{tag}") as bob:
        bob.send(f"web{tag}", "for the leader")
        child = "00000000-0000-4000-8000-000000000002"
        assert agent.hook("userPromptSubmitted-subagent", session_id=child) == {}
        assert [row["id"] for row in bob.list() if row["id"].startswith(f"web{tag}")] == [f"web{tag}"]
    assert "for the leader" in agent.context("userPromptSubmitted")


@pytest.mark.parametrize("tool", ["apply_patch", "edit", "view"])
def test_a_claim_of_another_is_told_before_a_tool_that_edits(shared: Service, tag: str, tool: str) -> None:
    agent = Agent(shared, "copilot", f"web{tag}")
    agent.start()
    with shared.connect(f"bob{tag}") as bob:
        bob.request("claim", resource=f"{agent.project}/notes.txt")
    fields = {} if tool == "apply_patch" else {"tool_name": tool, "tool_input": {"path": f"{agent.project}/notes.txt"}}
    assert (f"bob{tag} has claimed" in agent.context("preToolUse", **fields)) == (tool != "view")


def test_what_the_extension_asks_goes_to_the_terminal_where_nobody_decides(shared: Service, tag: str) -> None:
    agent = Agent(shared, "copilot", f"web{tag}")
    asked = {"sessionId": agent.session, "toolName": "commands", "toolArgs": {"fullCommandText": "rm -r x" * 100_000}}
    assert agent.run("AskPermission", json.dumps(asked).encode()).stdout == b""  # no session yet
    agent.start()
    assert agent.run("AskPermission", json.dumps(asked).encode()).stdout == b""  # too long to be shown whole
    assert agent.log()[-1]["event"] == "permission_too_long"
