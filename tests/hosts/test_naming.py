"""A session's name: stable over restarts, resume and compaction, and never another's."""

import json
import os
import subprocess
import time
from typing import Any

import pytest

from bridges import host_sessions
from bridges.folder_names import clean, joined
from bridges.hosts.naming import git_branch
from broker.protocol.names import RESERVED, is_name
from tests.conftest import Service, wait_for
from tests.hosts.agent import Agent
from tests.hosts.tools import Tools
from tests.shell import IPC


def host_process(processes: list[Any]) -> dict[str, str]:
    """A process that stands for a running Claude Code."""
    process = subprocess.Popen(["sleep", "60"])
    processes.append(process)
    return {"CLAUDE_PID": str(process.pid)}


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("web", "web"),
        ("my site!", "my-site"),
        ("ünïcode", "n-code"),
        ("…", "agent"),
        ("system", "agent"),
        ("All", "agent"),
        ("x" * 50, "x" * 32),
    ],
)
def test_any_folder_s_name_becomes_a_name(text: str, name: str) -> None:
    assert clean(text) == name and is_name(clean(text))
    assert is_name(joined(clean(text), clean("feature/long " * 9)))


@pytest.mark.parametrize("name", sorted(RESERVED))
def test_a_folder_named_like_a_reserved_name_is_called_otherwise(name: str) -> None:
    assert clean(name) == clean(name.upper()) == "agent"


def test_a_folder_keeps_its_name_over_restart_resume_compaction_and_clear(
    shared: Service, tag: str, processes: list[Any]
) -> None:
    agent = Agent(shared, project=f"web{tag}", **host_process(processes))
    assert agent.start() == f"web{tag}"
    token = host_sessions.load(str(shared.home), agent.session).token  # type: ignore[union-attr]
    assert f"under the name web{tag}." in agent.context("SessionStart-compact")
    assert f"under the name web{tag}." in agent.context("SessionStart-resume")
    agent.hook("SessionEnd", reason="clear")
    cleared = Agent(shared, project=f"web{tag}", **{"CLAUDE_PID": agent.env["CLAUDE_PID"]})
    assert cleared.start() == f"web{tag}"
    assert host_sessions.load(str(shared.home), agent.session).session == cleared.session  # type: ignore[union-attr]
    processes[0].kill()
    processes[0].wait()
    again = Agent(shared, project=f"web{tag}", **host_process(processes))
    assert again.start() == f"web{tag}"
    assert host_sessions.load(str(shared.home), again.session).token == token  # type: ignore[union-attr]


def test_a_second_session_of_a_folder_gets_a_name_of_its_own_and_keeps_it(
    shared: Service, tag: str, processes: list[Any]
) -> None:
    first, second = (
        Agent(shared, project=f"web{tag}", **host_process(processes)),
        Agent(shared, project=f"web{tag}", **host_process(processes)),
    )
    assert (first.start(), second.start()) == (f"web{tag}", f"web{tag}-claude")
    gemini = Agent(shared, "gemini", f"web{tag}")
    assert gemini.start() == f"web{tag}-gemini"
    with shared.connect("bob") as bob:
        bob.send(f"web{tag}", "for the first")
    assert second.hook("UserPromptSubmit") == gemini.hook("BeforeAgent") == {}
    assert "for the first" in first.context("UserPromptSubmit")


def test_another_folder_of_the_same_name_takes_its_branch(shared: Service, tag: str, processes: list[Any]) -> None:
    first = Agent(shared, project=f"a/web{tag}", **host_process(processes))
    second = Agent(shared, project=f"b/web{tag}", **host_process(processes))
    (second.project / ".git").mkdir()
    (second.project / ".git" / "HEAD").write_text("ref: refs/heads/feature/x\n")
    assert git_branch(str(second.project)) == "feature/x"
    assert (first.start(), second.start()) == (f"web{tag}", f"web{tag}-feature-x")


def test_a_name_that_an_other_program_has_is_never_taken_over(shared: Service, tag: str) -> None:
    with shared.connect(f"web{tag}") as web:
        assert Agent(shared, project=f"web{tag}").start() == f"web{tag}-claude"
        assert web.whoami()["instance_id"] == f"web{tag}"


@pytest.mark.deep
@pytest.mark.parametrize("how", ["flag", "variable", "config"])
def test_the_user_s_own_name_comes_first(service: Service, how: str) -> None:
    agent = Agent(service, **({"IPC_NAME": "fred"} if how == "variable" else {}))
    if how == "config":
        (service.home / "config.toml").write_text(f"[hosts.names]\n{json.dumps(str(agent.project))} = 'fred'\n")
    assert agent.start(*(["--name", "fred"] if how == "flag" else [])) == "fred"


def test_a_running_session_keeps_its_name_though_another_wants_it(shared: Service, tag: str, processes: list[Any]) -> None:
    first = Agent(shared, project=f"web{tag}", IPC_NAME=f"fred{tag}", **host_process(processes))
    second = Agent(shared, project=f"api{tag}", IPC_NAME=f"fred{tag}", **host_process(processes))
    assert (first.start(), second.start()) == (f"fred{tag}", f"fred{tag}-claude")


def test_sessions_that_start_at_the_same_instant_get_different_names(shared: Service, tag: str, processes: list[Any]) -> None:
    from concurrent.futures import ThreadPoolExecutor

    agents = [Agent(shared, project=f"web{tag}", **host_process(processes)) for _ in range(6)]
    with ThreadPoolExecutor(6) as pool:
        names = list(pool.map(lambda a: a.start(), agents))
    assert len(set(names)) == 6 and f"web{tag}" in names


def take_over(service: Service, name: str) -> None:
    reply = service.ask({"action": "register", "instance_id": name, "auth_token": "", "force": True})
    assert reply["status"] == "ok", reply


def test_a_session_whose_name_was_taken_over_is_told_once_and_gets_another_at_its_next_start(shared: Service, tag: str) -> None:
    agent = Agent(shared, project=f"web{tag}")
    agent.start()
    take_over(shared, f"web{tag}")
    told = agent.context("UserPromptSubmit")
    assert f"this session no longer has the name web{tag}" in told and f"`ipc register web{tag} --force`" in told
    assert agent.hook("PostToolUse") == agent.hook("UserPromptSubmit") == agent.hook("Stop") == {}
    assert agent.start() == f"web{tag}-claude"


def test_a_session_whose_name_was_taken_over_takes_another_or_the_same_by_force(
    shared: Service, tag: str, processes: list[Any]
) -> None:
    agent = Agent(shared, project=f"web{tag}")
    agent.start()
    tools = Tools(agent, CLAUDE_CODE_SESSION_ID=agent.session)
    processes.append(tools.process)
    assert "No new messages" in tools.call("check")
    for name, words in ((f"site{tag}", ("register", f"site{tag}")), (f"site{tag}", ("register", f"site{tag}", "--force"))):
        take_over(shared, json.loads(ipc(agent, "whoami", "--json"))["instance_id"])
        assert "no longer has the name" in agent.context("PostToolUse")
        assert "was registered again elsewhere" in tools.call("check")
        assert ipc(agent, *words) == f"Registered this agent as {name}\n"
        assert agent.hook("UserPromptSubmit") == {}
        assert ipc(agent, "whoami") == f"{name}, 0 unread\n"
        assert "No new messages" in tools.call("check")
    take_over(shared, f"site{tag}")
    tools.call("register", instance_id=f"site{tag}", force=True)
    assert ipc(agent, "whoami") == f"site{tag}, 0 unread\n"


def test_sessions_that_share_a_daemon_are_different_agents(shared: Service, tag: str) -> None:
    """Codex CLI's daemon runs the hooks of all sessions: here it is the process that runs this test."""
    first, second, other = (Agent(shared, "codex", project) for project in (f"web{tag}", f"web{tag}", f"api{tag}"))
    assert [a.start() for a in (first, second, other)] == [f"web{tag}", f"web{tag}-codex", f"api{tag}"]
    assert host_sessions.load(str(shared.home), first.session).session == first.session  # type: ignore[union-attr]
    found = host_sessions.of_process(str(shared.home), os.getpid(), str(other.project))
    assert found is not None and found.session == other.session
    assert host_sessions.of_process(str(shared.home), os.getpid(), str(first.project)) is None
    second.hook("SessionEnd")
    assert Agent(shared, "codex", f"web{tag}").start() == f"web{tag}-codex"


def ipc(agent: Agent, *arguments: str) -> str:
    """A command in the agent's shell."""
    env = {**agent.env, "CLAUDE_CODE_SESSION_ID": agent.session}
    done = subprocess.run([*IPC, *arguments], env=env, cwd=agent.project, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    return done.stdout


def names(service: Service) -> list[str]:
    """Who is registered, but for who asks."""
    with service.connect("observer") as observer:
        return [i["id"] for i in observer.request("list")["instances"] if i["id"] != "observer"]


@pytest.mark.parametrize("wanted", [(), ("--name", "web")])
@pytest.mark.deep
def test_a_name_taken_in_the_agent_s_shell_stays_over_compaction_resume_and_a_new_session(
    service: Service, processes: list[Any], wanted: tuple[str, ...]
) -> None:
    agent = Agent(service, **host_process(processes))
    assert agent.start(*wanted) == "web"
    ipc(agent, "rename", "site")
    for event in ("SessionStart-compact", "SessionStart-resume"):
        assert "under the name site." in agent.context(event, *wanted)
    agent.hook("SessionEnd")
    assert Agent(service, **host_process(processes)).start(*wanted) == "site"
    assert names(service) == ["site"]


def test_mail_tells_the_hooks_of_a_name_taken_elsewhere(shared: Service, tag: str) -> None:
    agent = Agent(shared, project=f"web{tag}")
    agent.start()
    token = host_sessions.load(str(shared.home), agent.session).token  # type: ignore[union-attr]
    assert shared.ask({"action": "rename", "new_id": f"site{tag}", "session_token": token})["status"] == "ok"
    with shared.connect("bob") as bob:
        bob.send(f"site{tag}", "hello")
    assert f"Your name is site{tag} now." in agent.context("UserPromptSubmit")
    assert agent.start() == f"site{tag}"


def test_a_lone_session_has_the_folder_s_first_name_again(shared: Service, tag: str, processes: list[Any]) -> None:
    first, second = (
        Agent(shared, project=f"web{tag}", **host_process(processes)),
        Agent(shared, project=f"web{tag}", **host_process(processes)),
    )
    assert (first.start(), second.start()) == (f"web{tag}", f"web{tag}-claude")
    second.context("SessionStart-compact")
    first.hook("SessionEnd"), second.hook("SessionEnd")
    assert Agent(shared, project=f"web{tag}", **host_process(processes)).start() == f"web{tag}"


def test_after_clear_a_second_session_keeps_the_name_of_its_process(shared: Service, tag: str, processes: list[Any]) -> None:
    first, second = (
        Agent(shared, project=f"web{tag}", **host_process(processes)),
        Agent(shared, project=f"web{tag}", **host_process(processes)),
    )
    first.start(), second.start()
    first.hook("SessionEnd"), second.hook("SessionEnd", reason="clear")
    assert Agent(shared, project=f"web{tag}", CLAUDE_PID=second.env["CLAUDE_PID"]).start() == f"web{tag}-claude"


@pytest.mark.deep
def test_a_session_that_ended_by_its_timeout_is_renewed_by_whoever_comes_first(make_service: Any, processes: list[Any]) -> None:
    service = make_service(IPC_SESSION_TIMEOUT="1").start()
    agent = Agent(service, **host_process(processes))
    agent.start()

    def after_its_end() -> None:
        end_s = time.monotonic() + 1.1
        wait_for("the session's end", lambda: time.monotonic() > end_s)
        with service.connect("bob") as bob:
            bob.send("web", "still there?")

    after_its_end()
    assert "still there?" in agent.context("UserPromptSubmit")
    after_its_end()
    assert "still there?" in agent.context("PostToolUse")
    after_its_end()
    assert "web, 2 unread" in ipc(agent, "whoami")  # what the last hook brought is read when another event shows it
    assert "still there?" in agent.context("PostToolUse")
    after_its_end()
    assert "under the name web." in (text := agent.context("SessionStart-resume")) and "still there?" in text
    tools = Tools(agent, CLAUDE_CODE_SESSION_ID=agent.session)
    processes.append(tools.process)
    assert "web" in tools.call("list_instances")
    after_its_end()
    assert "still there?" in tools.call("check")
    assert "under the name web." in agent.context("SessionStart-resume")


@pytest.mark.deep
def test_the_name_of_an_ended_session_that_another_has_by_now_is_not_taken_back(make_service: Any) -> None:
    service = make_service(IPC_SESSION_TIMEOUT="1").start()
    agent = Agent(service)
    agent.start()
    token = host_sessions.load(str(service.home), agent.session).token  # type: ignore[union-attr]
    take_over(service, "web")
    reply = service.ask({"action": "register", "instance_id": "web", "renews": token})
    assert reply["status"] == "error" and reply["message"] == "Instance web already exists"
    assert "this session no longer has the name web" in agent.context("UserPromptSubmit")


def test_a_host_that_was_killed_within_a_turn_is_gone_for_who_asks(shared: Service, tag: str, processes: list[Any]) -> None:
    agent = Agent(shared, project=f"web{tag}", **host_process(processes))
    agent.start()
    agent.hook("UserPromptSubmit")
    processes[0].kill()
    processes[0].wait()
    shared.connect("bob").close()
    other = Agent(shared, project=f"other{tag}")
    other.start()
    (row,) = [r for r in json.loads(ipc(other, "list", "--json")) if r["id"] == f"web{tag}"]
    assert row["presence"] == "gone" and "reach" not in row
    agent.env |= host_process(processes)
    agent.hook("PostToolUse")  # it was another process that had died
    (row,) = [r for r in json.loads(ipc(other, "list", "--json")) if r["id"] == f"web{tag}"]
    assert (row["presence"], row["reach"]) == ("working", ["prompt", "tool", "stop"])


def test_a_session_in_another_pid_namespace_keeps_its_name_while_it_is_present(
    shared: Service, tag: str, processes: list[Any]
) -> None:
    first = Agent(shared, project=f"web{tag}", **host_process(processes))
    first.start()
    bound = host_sessions.load(str(shared.home), first.session)
    assert bound is not None and bound.live() and not bound.elsewhere()
    start, _, place = bound.started.partition("@")
    bound.started = f"{start}@1.{place.partition('.')[2]}"
    host_sessions.save(str(shared.home), bound)
    assert bound.elsewhere() and not bound.live()
    assert Agent(shared, project=f"web{tag}", **host_process(processes)).start() == f"web{tag}-claude"
    bound.started = start  # as version 0.3.0 wrote it
    assert bound.live() and not bound.elsewhere()


def test_the_name_of_a_program_that_runs_in_the_folder_without_hooks_is_left_to_it(
    shared: Service, tag: str, processes: list[Any]
) -> None:
    web = f"web{tag}"
    bare = Tools(Agent(shared, project=web))  # such as those of a host that has no hooks
    processes.append(bare.process)
    bare.call("register", instance_id=web)
    assert Agent(shared, project=web, **host_process(processes)).start() == f"{web}-claude"
    refused = Tools(Agent(shared, project="elsewhere"))
    processes.append(refused.process)
    assert f"Register another name such as {web}-2, or" in refused.call("register", instance_id=web)
    assert f"Registered {web}-2" in refused.call("register", instance_id=f"{web}-2")
    bare.close()
    assert Agent(shared, project=web, **host_process(processes)).start() == web
