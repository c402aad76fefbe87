"""In the shell that an agent's host runs as a tool, ``ipc`` is that agent, whatever other shells are."""

from typing import Any

import pytest

from broker.protocol.errors import RemoteError
from tests.conftest import Service
from tests.hosts.host_process import HostedAgent, HostProcess
from tests.shell import Shell
from tests.terminals import Terminal

VARIABLES = {"claude": "CLAUDE_CODE_SESSION_ID", "codex": "CODEX_THREAD_ID", "gemini": "GEMINI_SESSION_ID"}


def me(name: str) -> tuple[int, str]:
    return 0, f"{name}, 0 unread\n"


@pytest.mark.parametrize("named", [True, False], ids=["by its variable", "by its process"])
@pytest.mark.parametrize("host", ["claude", "codex", "gemini"])
def test_each_of_two_agents_in_a_folder_is_itself_whatever_terminals_do(
    shared: Service, tag: str, processes: list[Any], host: str, named: bool
) -> None:
    shell = Shell(shared.home, shared.home)
    first, second = (HostedAgent(shared, HostProcess(processes), host, f"web{tag}") for _ in range(2))
    names = [first.start(), second.start()]
    assert names == [f"web{tag}", f"web{tag}-{host}"]
    with Terminal(shell) as a:
        a.ok("register", f"alice{tag}")
        shell.ok("register", f"cron{tag}")
        found = [agent.shell("whoami", **({VARIABLES[host]: agent.session} if named else {})) for agent in (first, second)]
        assert found == [me(name) for name in names]
        assert a.ok("whoami") == f"alice{tag}, 0 unread\n"


@pytest.mark.parametrize("host", ["claude", "codex", "gemini"])
def test_register_in_an_agents_shell_renames_the_agent_or_says_why_not(
    shared: Service, tag: str, processes: list[Any], host: str
) -> None:
    agent = HostedAgent(shared, HostProcess(processes), host, f"web{tag}")
    agent.start()
    assert agent.shell("register", f"web{tag}") == (0, f"This agent has the name web{tag}\n")
    assert agent.shell("register", f"site{tag}") == (0, f"Renamed this agent from web{tag} to site{tag}\n")
    assert agent.shell("whoami") == me(f"site{tag}")
    status, said = agent.shell("register", f"shop{tag}")
    assert status == 5 and f"the shell of the agent site{tag}" in said and "can rename again in" in said
    with shared.connect(f"bob{tag}") as bob:
        bob.send(f"web{tag}", "to the old name")
        mine = [row["id"] for row in bob.request("list")["instances"] if tag in row["id"]]
        assert sorted(mine) == [f"bob{tag}", f"site{tag}"]  # it is nobody else, too
    assert "to the old name" in agent.context("BeforeAgent" if host == "gemini" else "UserPromptSubmit")


def test_a_session_that_resumes_a_name_acts_for_it_from_then_on(shared: Service, tag: str, processes: list[Any]) -> None:
    first = HostedAgent(shared, HostProcess(processes), "claude", f"web{tag}")
    first.start()
    first.hook("SessionEnd")
    second = HostedAgent(shared, HostProcess(processes), "claude", f"web{tag}")
    assert second.start() == f"web{tag}"
    processes[0].kill()
    processes[0].wait()
    with shared.connect(f"bob{tag}") as bob:
        (row,) = [r for r in bob.request("list")["instances"] if r["id"] == f"web{tag}"]
        assert row["body"]["alive"] is True and "ended" not in row
        with pytest.raises(RemoteError, match=f"web{tag} is held by a session of claude at "):
            shared.connect(f"web{tag}")


def test_sessions_that_share_a_process_are_told_apart_or_refused_in_words(
    shared: Service, tag: str, processes: list[Any]
) -> None:
    daemon = HostProcess(processes)
    first, second = (HostedAgent(shared, daemon, "codex", f"{project}{tag}") for project in ("web", "api"))
    first.start()
    assert first.shell("whoami") == me(f"web{tag}")  # alone, it is known by its process
    second.start()
    for agent, name in ((first, f"web{tag}"), (second, f"api{tag}")):
        assert agent.shell("whoami", CODEX_THREAD_ID=agent.session) == me(name)
        status, said = agent.shell("whoami")
        assert status == 4
        assert f"Codex CLI runs 2 sessions in one process (api{tag}, web{tag}), and nothing tells whose shell this is" in said
        assert "next: ipc COMMAND --as NAME" in said
        assert agent.shell("whoami", "--as", name) == me(name)
        assert agent.shell("register", f"x{tag}")[0] == 4
    first.hook("SessionEnd")
    assert second.shell("whoami") == me(f"api{tag}")


def test_a_host_that_runs_in_the_shell_of_another_is_the_nearer_one(shared: Service, tag: str, processes: list[Any]) -> None:
    """Codex CLI as a tool of Claude Code: what it runs has Claude Code's variables, too."""
    outer = HostedAgent(shared, HostProcess(processes), "claude", f"web{tag}")
    outer.start()
    inherited = {VARIABLES["claude"]: outer.session}
    assert outer.shell("whoami", **inherited) == me(f"web{tag}")
    inner = HostedAgent(shared, HostProcess(processes), "codex", f"api{tag}", **inherited)
    inner.start()
    assert inner.shell("whoami") == me(f"api{tag}")
    assert outer.shell("whoami", **inherited) == me(f"web{tag}")


def test_the_name_that_a_host_was_started_with_is_a_wish_and_one_set_in_its_shell_counts(
    shared: Service, tag: str, processes: list[Any]
) -> None:
    shell = Shell(shared.home, shared.home)
    with Terminal(shell) as a:
        a.ok("register", f"bob{tag}")
        wish = {"IPC_NAME": f"fred{tag}"}
        first, second = (HostedAgent(shared, HostProcess(processes, **wish), "claude", f"web{tag}", **wish) for _ in range(2))
        assert (first.start(), second.start()) == (f"fred{tag}", f"fred{tag}-claude")
        assert second.shell("whoami") == me(f"fred{tag}-claude")
        assert second.shell("whoami", IPC_NAME=f"bob{tag}") == me(f"bob{tag}")
        assert second.shell("whoami", "--as", f"bob{tag}") == me(f"bob{tag}")
