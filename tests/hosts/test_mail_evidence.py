"""A model's mail is acknowledged by the session's next event, whichever of hooks and tools gave it; else it comes again."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import Service
from tests.hosts.agent import Agent
from tests.hosts.tools import Tools

CHECK = "mcp__plugin_agent-ipc_ipc__check"
OWN = {"tool_calls": [{"tool_name": "Bash"}, {"tool_name": CHECK}]}
OTHER = {"tool_calls": [{"tool_name": "Bash"}]}
AGAIN = "(delivered before, perhaps seen)"


@pytest.fixture
def web(shared: Service, tag: str) -> Agent:
    agent = Agent(shared, project=f"web{tag}", session=f"s1-{tag}")
    agent.start()
    return agent


@pytest.fixture
def tools(web: Agent) -> Iterator[Tools]:
    server = Tools(web, CLAUDE_CODE_SESSION_ID=web.session)
    yield server
    server.close()


def send(web: Agent, text: str, land: str = "turn") -> None:
    with web.service.connect("bob") as bob:
        bob.send(web.project.name, text, land=land)


def next_session(web: Agent) -> str:
    """What the next session of the folder reads as it starts."""
    following = Agent(web.service, project=web.project.name, session=f"{web.session}-next")
    return following.context("SessionStart-startup")


def what_became_of(web: Agent) -> str:
    """By what the message that was sent is known to be in the model's context."""
    with web.service.connect("bob") as bob:
        number = bob.history(limit=1)["messages"][0]["id"]
        (row,) = bob.receipts(number)["receipts"]
    assert row["step"] == "in_context"
    return str(row["steps"][-1]["evidence"])


def queued(web: Agent) -> int:
    return web.service.queued(web.project.name)


@pytest.mark.deep
@pytest.mark.parametrize("events", [[], [("PostToolBatch", OWN)], [("PostToolBatch", OTHER)]])
def test_a_host_killed_before_its_next_event_has_not_shown_a_tool_s_mail(
    web: Agent, tools: Tools, events: list[tuple[str, dict[str, Any]]]
) -> None:
    send(web, "precious")
    assert "precious" in tools.call("check")
    for event, fields in events:
        assert "precious" not in web.context(event, **fields)
    tools.close()
    text = next_session(web)
    assert "precious" in text and AGAIN in text


@pytest.mark.parametrize("following", [("PostToolBatch", OTHER), ("PostToolBatch", OWN), ("PreToolUse", {}), ("Stop", {})])
def test_the_event_after_the_tool_s_own_shows_that_its_mail_arrived(
    web: Agent, tools: Tools, following: tuple[str, dict[str, Any]]
) -> None:
    send(web, "precious")
    assert "precious" in tools.call("check")
    web.hook("PostToolBatch", **OWN)
    assert web.hook("UserPromptSubmit") == {}, "the turn was broken off, and the model is asked after this hook"
    assert queued(web) == 1
    event, fields = following
    assert "precious" not in str(web.hook(event, **fields))
    assert queued(web) == 0
    tools.close()
    assert "precious" not in next_session(web)


@pytest.mark.deep
@pytest.mark.parametrize("own", [True, False])
def test_mail_read_by_a_turn_s_last_tool_call_does_not_come_a_second_time(web: Agent, tools: Tools, own: bool) -> None:
    web.hook("UserPromptSubmit")
    send(web, "precious")
    assert "precious" in tools.call("check")
    if own:
        web.hook("PostToolBatch", **OWN)
    assert web.hook("Stop") == web.hook("UserPromptSubmit") == {}
    assert "No new messages." in tools.call("check")
    assert queued(web) == 0
    assert what_became_of(web) == ("tool" if own else "inferred")


def test_a_broker_s_end_while_the_model_thinks_does_not_bring_the_mail_again(web: Agent, tools: Tools) -> None:
    send(web, "precious", "tool")
    assert "precious" in tools.call("check")
    web.service.kill("broker")
    web.service.start()
    assert web.hook("PostToolBatch", **OWN) == {}
    assert "No new messages." in tools.call("check")
    assert web.hook("Stop") == {}
    assert queued(web) == 0


@pytest.mark.deep
def test_the_end_of_the_process_behind_the_tools_changes_nothing(web: Agent, tools: Tools) -> None:
    send(web, "precious")
    assert "precious" in tools.call("check")
    web.service.kill("mcp")
    web.hook("PostToolBatch", **OWN)
    assert "No new messages." in tools.call("check")
    assert web.hook("Stop") == web.hook("UserPromptSubmit") == {}
    assert queued(web) == 0


@pytest.mark.parametrize("event", ["UserPromptSubmit", "PostToolBatch"])
def test_a_hook_s_own_mail_is_read_by_the_next_event_and_comes_again_without(web: Agent, event: str) -> None:
    send(web, "shown", "tool")
    assert "shown" in web.context(event)
    assert queued(web) == 1
    assert web.hook("PostToolBatch", **OTHER) == {}
    assert queued(web) == 0
    assert what_became_of(web) == "hook"
    send(web, "lost", "tool")
    assert "lost" in web.context(event)
    text = next_session(web)
    assert "lost" in text and AGAIN in text and "shown" not in text


def test_a_compaction_in_the_middle_of_a_turn_brings_nothing_twice(web: Agent) -> None:
    send(web, "shown")
    assert "shown" in web.context("UserPromptSubmit")
    assert "shown" not in web.context("SessionStart-startup", source="compact")
    assert web.hook("Stop") == {}
    assert queued(web) == 0


def test_a_turn_that_was_broken_off_with_its_session_gives_its_mail_to_the_next(web: Agent) -> None:
    send(web, "shown")
    assert "shown" in web.context("UserPromptSubmit")
    web.hook("SessionEnd")
    assert AGAIN in next_session(web)


@pytest.mark.parametrize("before", ["SessionStart-startup", "UserPromptSubmit"])
def test_a_prompt_shows_nothing_since_the_model_is_asked_after_it(web: Agent, before: str) -> None:
    send(web, "shown")
    assert "shown" in web.context(before)
    assert web.hook("UserPromptSubmit") == {}
    assert queued(web) == 1
    assert web.hook("Stop") == {}
    assert queued(web) == 0


@pytest.mark.deep
def test_mail_that_was_lost_twice_is_not_taken_for_read(web: Agent) -> None:
    send(web, "precious")
    assert "precious" in web.context("UserPromptSubmit")
    for _ in range(2):
        web.hook("SessionEnd")
        assert "precious" in web.context("SessionStart-startup", source="resume")
    assert queued(web) == 1


@pytest.mark.parametrize(
    ("host", "prompt", "tool", "stop"),
    [("codex", "UserPromptSubmit", "PostToolUse", "Stop"), ("gemini", "BeforeAgent", "AfterTool", "AfterAgent")],
)
def test_where_no_step_s_end_is_told_only_the_turn_s_end_shows_that_mail_arrived(
    shared: Service, tag: str, host: str, prompt: str, tool: str, stop: str
) -> None:
    """Another tool of the same step runs before the model is asked, and the host may be killed in between."""
    web = Agent(shared, host, f"web{tag}", f"s1-{tag}")
    web.start()
    web.hook(prompt)
    send(web, "shown", "tool")
    assert "shown" in web.context(tool)
    for _ in range(2):
        assert not web.context(tool)
        assert queued(web) == 1
    assert not web.context(stop)
    assert what_became_of(web) == "hook"
    send(web, "precious", "tool")
    assert "precious" in web.context(tool)
    assert not web.context(tool)
    web.hook("SessionEnd")
    text = web.context("SessionStart")
    assert "precious" in text and AGAIN in text and "shown" not in text


def test_a_tool_of_the_same_step_brings_no_mail_and_proves_none(web: Agent) -> None:
    send(web, "shown", "tool")
    assert web.hook("AfterTool", tool_name="Bash") == {}
    assert "shown" in web.context("PostToolBatch")
    assert web.hook("AfterTool", tool_name="Bash") == {}
    assert queued(web) == 1
