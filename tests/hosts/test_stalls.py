"""Hosts that stop in each way, by their own hooks, and one that is killed: the radar of a running service finds them."""

import subprocess
import sys
from typing import Any

import pytest

from tests.conftest import Service, wait_for
from tests.hosts.agent import Agent

QUICK = {"IPC_STALL_SILENT": "1", "IPC_STALL_TOOL": "1", "IPC_STALL_WAIT": "1", "IPC_STALL_LOOPS": "3"}
TOOL = {"tool_name": "Bash", "tool_use_id": "t1"}


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Any:
    service = Service(tmp_path_factory.mktemp("s"), **QUICK)
    yield service.start()
    service.stop()


def hang(agent: Agent) -> None:
    agent.hook("UserPromptSubmit")


def hang_in_a_call(agent: Agent) -> None:
    agent.hook("UserPromptSubmit")
    agent.hook("BeforeTool", **TOOL)


def ask_for_permission(agent: Agent) -> None:
    agent.hook("UserPromptSubmit")
    agent.hook("PermissionRequest")


def ask_a_question(agent: Agent) -> None:
    agent.hook("UserPromptSubmit")
    agent.hook("PermissionRequest-question")


def repeat_a_call(agent: Agent) -> None:
    agent.hook("UserPromptSubmit")
    for number in range(3):
        agent.hook("PostToolUse", tool_use_id=f"t{number}")


def ask_as_gemini(agent: Agent) -> None:
    agent.hook("BeforeAgent")
    agent.hook("BeforeTool")
    agent.hook("Notification")


@pytest.mark.parametrize(
    ("host", "stops", "kind"),
    [
        ("claude", hang, "silent"),
        ("claude", hang_in_a_call, "tool"),
        ("claude", ask_for_permission, "permission"),
        ("claude", ask_a_question, "answer"),
        ("claude", repeat_a_call, "repeats"),
        ("codex", hang, "silent"),
        ("codex", ask_for_permission, "permission"),
        ("gemini", ask_as_gemini, "permission"),
    ],
)
def test_an_agent_whose_host_stops_is_found(quick: Service, tag: str, host: str, stops: Any, kind: str) -> None:
    agent = Agent(quick, host, f"web{tag}")
    name = agent.start()
    with quick.connect(f"bob{tag}") as bob:
        stops(agent)

        def found() -> bool:
            return any((a["name"], a["kind"]) == (name, kind) for a in bob.alarms()["alarms"])

        wait_for("the alarm", found)
        agent.hook("AfterAgent" if host == "gemini" else "Stop")
        wait_for("its end", lambda: not found())


@pytest.mark.deep
def test_a_host_that_is_killed_with_a_question_open_is_found_and_its_end_told(quick: Service, tag: str) -> None:
    host = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    agent = Agent(quick, project=f"web{tag}", CLAUDE_PID=str(host.pid))
    name = agent.start()
    with quick.connect(f"bob{tag}") as bob:
        bob.watch_agent(name, ["ended"])
        bob.request("ask", to_id=name, message={"content": "which branch?"})
        agent.hook("UserPromptSubmit")
        host.kill()
        host.wait()
        wait_for("the alarm", lambda: any(a["kind"] == "dead" for a in bob.alarms()["alarms"]), 40)
        told = [m.content for m in bob.check()]
        assert f"{name} has ended" in told and any("has not answered" in line for line in told)
