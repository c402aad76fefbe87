"""A session's name: stable over restarts, resume and compaction, and never another's."""

import json
import os
import subprocess
from typing import Any

import pytest

from bridges.hosts import binding as bindings
from bridges.hosts.naming import clean, git_branch, joined
from broker.names import is_name
from tests.conftest import Service
from tests.hosts.conftest import Agent


def host_process(processes: list[Any]) -> dict[str, str]:
    """A process that stands for a running Claude Code."""
    process = subprocess.Popen(["sleep", "60"])
    processes.append(process)
    return {"CLAUDE_PID": str(process.pid)}


@pytest.mark.parametrize(
    ("text", "name"),
    [("web", "web"), ("my site!", "my-site"), ("ünïcode", "n-code"), ("…", "agent"), ("system", "agent"), ("x" * 50, "x" * 32)],
)
def test_any_folder_s_name_becomes_a_name(text: str, name: str) -> None:
    assert clean(text) == name and is_name(clean(text))
    assert is_name(joined(clean(text), clean("feature/long " * 9)))


def test_a_folder_keeps_its_name_over_restart_resume_compaction_and_clear(service: Service, processes: list[Any]) -> None:
    agent = Agent(service, **host_process(processes))
    assert agent.start() == "web"
    token = bindings.load(str(service.home), agent.session).token  # type: ignore[union-attr]
    assert "under the name web." in agent.context("SessionStart-compact")
    assert "under the name web." in agent.context("SessionStart-resume")
    agent.hook("SessionEnd", reason="clear")
    cleared = Agent(service, **{"CLAUDE_PID": agent.env["CLAUDE_PID"]})
    assert cleared.start() == "web"
    assert bindings.load(str(service.home), agent.session).session == cleared.session  # type: ignore[union-attr]
    processes[0].kill()
    processes[0].wait()
    again = Agent(service, **host_process(processes))
    assert again.start() == "web"
    assert bindings.load(str(service.home), again.session).token == token  # type: ignore[union-attr]


def test_a_second_session_of_a_folder_gets_a_name_of_its_own_and_keeps_it(service: Service, processes: list[Any]) -> None:
    first, second = Agent(service, **host_process(processes)), Agent(service, **host_process(processes))
    assert (first.start(), second.start()) == ("web", "web-claude")
    gemini = Agent(service, "gemini")
    assert gemini.start() == "web-gemini"
    with service.connect("bob") as bob:
        bob.send("web", "for the first")
    assert second.hook("UserPromptSubmit") == gemini.hook("BeforeAgent") == {}
    assert "for the first" in first.context("UserPromptSubmit")


def test_another_folder_of_the_same_name_takes_its_branch(service: Service, processes: list[Any]) -> None:
    first = Agent(service, project="a/web", **host_process(processes))
    second = Agent(service, project="b/web", **host_process(processes))
    (second.project / ".git").mkdir()
    (second.project / ".git" / "HEAD").write_text("ref: refs/heads/feature/x\n")
    assert git_branch(str(second.project)) == "feature/x"
    assert (first.start(), second.start()) == ("web", "web-feature-x")


def test_a_name_that_an_other_program_has_is_never_taken_over(service: Service) -> None:
    with service.connect("web") as web:
        assert Agent(service).start() == "web-claude"
        assert web.whoami()["instance_id"] == "web"


@pytest.mark.parametrize("how", ["flag", "variable", "config"])
def test_the_user_s_own_name_comes_first(service: Service, how: str) -> None:
    agent = Agent(service, **({"IPC_NAME": "fred"} if how == "variable" else {}))
    if how == "config":
        (service.home / "config.toml").write_text(f"[hosts.names]\n{json.dumps(str(agent.project))} = 'fred'\n")
    assert agent.start(*(["--name", "fred"] if how == "flag" else [])) == "fred"


def test_a_running_session_keeps_its_name_though_another_wants_it(service: Service, processes: list[Any]) -> None:
    first = Agent(service, IPC_NAME="fred", **host_process(processes))
    second = Agent(service, project="api", IPC_NAME="fred", **host_process(processes))
    assert (first.start(), second.start()) == ("fred", "fred-claude")


def test_sessions_that_start_at_the_same_instant_get_different_names(service: Service, processes: list[Any]) -> None:
    from concurrent.futures import ThreadPoolExecutor

    agents = [Agent(service, **host_process(processes)) for _ in range(6)]
    with ThreadPoolExecutor(6) as pool:
        names = list(pool.map(lambda a: a.start(), agents))
    assert len(set(names)) == 6 and "web" in names


def test_a_session_whose_name_was_taken_over_gets_another_at_its_next_start(service: Service) -> None:
    agent = Agent(service)
    agent.start()
    service.connect("web").close()  # takes the name over
    assert agent.hook("UserPromptSubmit") == {}
    assert agent.start() == "web-claude"


def test_sessions_that_share_a_daemon_are_different_agents(service: Service) -> None:
    """Codex CLI's daemon runs the hooks of all sessions: here it is the process that runs this test."""
    first, second, other = (Agent(service, "codex", project) for project in ("web", "web", "api"))
    assert [a.start() for a in (first, second, other)] == ["web", "web-codex", "api"]
    assert bindings.load(str(service.home), first.session).session == first.session  # type: ignore[union-attr]
    found = bindings.of_process(str(service.home), os.getpid(), str(other.project))
    assert found is not None and found.session == other.session
    assert bindings.of_process(str(service.home), os.getpid(), str(first.project)) is None
    second.hook("SessionEnd")
    assert Agent(service, "codex").start() == "web-codex"
