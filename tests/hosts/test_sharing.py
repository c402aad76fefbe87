"""Hooks and MCP tools of one host's session are one instance."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.conftest import Service
from tests.hosts.agent import Agent
from tests.hosts.host_process import HostedAgent, HostProcess
from tests.hosts.tools import Tools


@pytest.fixture
def tools(processes: list[Any]) -> Callable[..., Tools]:
    def start(agent: Agent, **env: str) -> Tools:
        server = Tools(agent, **env)
        processes.append(server.process)
        return server

    return start


@pytest.mark.parametrize("host", ["claude", "codex"])
def test_the_tools_are_the_instance_that_the_hooks_registered(shared: Service, tag: str, tools: Any, host: str) -> None:
    """Claude Code tells its servers the session; of the others we know the process."""
    agent = Agent(shared, host, f"web{tag}")
    agent.start()
    server = tools(agent, **({"CLAUDE_CODE_SESSION_ID": agent.session} if host == "claude" else {}))
    with shared.connect("bob") as bob:
        bob.send(f"web{tag}", "for the tools")
        assert "for the tools" in server.call("check")
        bob.send(f"web{tag}", "for the hooks")
        assert "for the hooks" in agent.context("PostToolUse")
        server.call("rename", new_id=f"web{tag}-2")
        bob.send(f"web{tag}-2", "after the rename")
        assert "after the rename" in agent.context("PostToolUse")


def test_hooks_follow_the_name_that_the_agent_takes_by_its_tools(shared: Service, tag: str, tools: Any) -> None:
    agent = Agent(shared, project=f"web{tag}")
    agent.start()
    server = tools(agent, CLAUDE_CODE_SESSION_ID=agent.session)
    server.call("register", instance_id=f"fred{tag}")
    with shared.connect("bob") as bob:
        bob.send(f"fred{tag}", "hello")
    assert "hello" in agent.context("UserPromptSubmit")


def test_a_tool_resumes_no_name_that_another_agent_of_the_folder_still_has(
    shared: Service, tag: str, tools: Any, processes: list[Any]
) -> None:
    first, second = (HostedAgent(shared, HostProcess(processes), "claude", f"web{tag}") for _ in range(2))
    first.start(), second.start()
    server = tools(second, CLAUDE_CODE_SESSION_ID=second.session)
    refused = server.call("register", instance_id=f"web{tag}")
    assert f"web{tag} is held by a session of claude at " in refused and "or take this one with force" in refused
    assert second.shell("whoami", CLAUDE_CODE_SESSION_ID=second.session) == (0, f"web{tag}-claude, 0 unread\n")
    server.call("register", instance_id=f"web{tag}", force=True)
    assert f"this session no longer has the name web{tag}" in first.context("UserPromptSubmit")
    assert second.shell("whoami", CLAUDE_CODE_SESSION_ID=second.session) == (0, f"web{tag}, 0 unread\n")


def test_tools_of_agents_without_hooks_share_no_name(shared: Service, tag: str, tools: Any) -> None:
    first, second = (tools(Agent(shared, "gemini", f"web{tag}")) for _ in range(2))
    assert f"Registered web{tag}" in first.call("register", instance_id=f"web{tag}")
    assert f"web{tag} is held by a program (t) at " in second.call("register", instance_id=f"web{tag}")
    second.call("register", instance_id=f"web{tag}", force=True)
    assert f"web{tag} was registered again elsewhere: by a program (t) at " in first.call("check")
