"""A closed session is started again by mail: a real service, real hooks, and a program that stands for the host's own."""

import json
import os
import signal
import subprocess
from typing import Any

import pytest

from bridges import host_sessions, started_bodies
from tests.conftest import wait_for
from tests.hosts.agent import Agent
from tests.resume.closed_agents import ClosedAgents


def ready(agents: ClosedAgents, name: str) -> None:
    wait_for(f"that {name} may be started", lambda: agents.why(name) == "", explain=agents.service.describe)


def read(agents: ClosedAgents, number: str) -> dict[str, Any]:
    """The receipt of a message, once it was read."""
    wait_for("the mail in its context", lambda: agents.receipt(number)["step"] == "in_context", explain=agents.service.describe)
    return agents.receipt(number)


def logged(agents: ClosedAgents, event: str, name: str) -> list[dict[str, Any]]:
    return [row for row in agents.service.log("resume") if row["event"] == event and row.get("name") == name]


def test_mail_of_the_person_starts_a_closed_session_again_in_its_folder_and_mode(agents: ClosedAgents) -> None:
    web = agents.closed("web", "acceptEdits")
    ready(agents, "web")
    number = agents.write("web", "are you there?")
    receipt = read(agents, number)
    (body,) = agents.bodies("web")
    assert (body["run"], body["folder"]) == (web.session, str(web.project))
    assert agents.saw("are you there?")
    assert body["words"][body["words"].index("--permission-mode") + 1] == "acceptEdits"
    assert "--max-turns" in body["words"] and "--max-budget-usd" not in body["words"]
    assert [step.get("way") for step in receipt["steps"]][1] == "resume"
    wait_for("its end", lambda: logged(agents, "body_ended", "web"))
    (started,), (ended,) = logged(agents, "body_started", "web"), logged(agents, "body_ended", "web")
    assert (started["mail"], started["mode"], started["host"]) == (number, "acceptEdits", "claude")
    assert (ended["began"], ended["status"], ended["why"]) == (True, 0, "its turn was over")
    ready(agents, "web")  # and it may be started again


@pytest.mark.parametrize("later", [False, True], ids=["from the start", "once, later"])
def test_a_session_that_bypassed_permissions_is_never_started_again(agents: ClosedAgents, later: bool) -> None:
    name = "later" if later else "wild"
    agent = agents.closed(name, "default" if later else "bypassPermissions")
    if later:
        terminal = agents.terminal(name)
        terminal.say("hello")
        wait_for("its turn", lambda: len(agents.journal("saw")) > 0)
        agent.hook("PostToolUse", permission_mode="bypassPermissions")
        terminal.close()
        agents.closed(name)  # once more, as it should be
    wait_for("the reason", lambda: "bypassPermissions" in agents.why(name), explain=agents.service.describe)
    number = agents.write(name, "hello")
    assert agents.receipt(number)["why"].startswith(f"{name}: nothing wakes it") and agents.bodies(name) == []


def test_what_a_session_may_do_is_remembered_over_clear_and_a_resume_in_another_process(agents: ClosedAgents) -> None:
    hosts = [subprocess.Popen(["sleep", "600"]) for _ in range(2)]
    first = Agent(agents.service, project="cleared", CLAUDE_PID=str(hosts[0].pid))
    first.start()
    first.hook("UserPromptSubmit", permission_mode="bypassPermissions")
    first.hook("SessionEnd", reason="clear")
    cleared = Agent(agents.service, project="cleared", CLAUDE_PID=str(hosts[0].pid))
    cleared.start()
    cleared.hook("SessionEnd")
    again = Agent(agents.service, project="cleared", session=first.session, CLAUDE_PID=str(hosts[1].pid))
    again.hook("SessionStart-resume")
    again.hook("UserPromptSubmit", permission_mode="default")
    again.hook("SessionEnd")
    for host in hosts:
        host.kill()
        host.wait()
    assert host_sessions.told_modes(str(agents.service.home), first.session, (0, ""))[1] == ["bypassPermissions", "default"]
    wait_for("the reason", lambda: "bypassPermissions" in agents.why("cleared"), explain=agents.service.describe)


def test_an_agent_whose_owner_named_it_starts_one_and_another_agent_does_not(agents: ClosedAgents) -> None:
    agents.closed("unread")
    ready(agents, "unread")
    for name in ("eve", "bob"):
        token = agents.ask("register", instance_id=name)["session_token"]
        agents.ask("send", session_token=token, to_id="unread", message={"content": f"of {name}"})
        if name == "eve":
            agents.own("overview")
            assert logged(agents, "body_started", "unread") == []
    wait_for("the body", lambda: agents.saw("of bob"), explain=agents.service.describe)
    assert agents.saw("of eve") and len(agents.bodies("unread")) == 1  # it is given all that waits


def test_bodies_run_one_at_a_time_and_the_mail_of_the_other_waits(agents: ClosedAgents) -> None:
    for name in ("first", "second"):
        agents.closed(name)
    for name in ("first", "second"):
        ready(agents, name)
    numbers = [agents.write(name, f"for {name} [works 0.3 s]") for name in ("first", "second")]
    for number in numbers:
        read(agents, number)
    wait_for("both ends", lambda: logged(agents, "body_ended", "first") and logged(agents, "body_ended", "second"))
    ends = {row["pid"]: row["at"] for row in agents.journal("end")}
    one, two = sorted((agents.bodies("first")[0], agents.bodies("second")[0]), key=lambda row: float(row["at"]))
    assert ends[one["pid"]] < two["at"]
    assert agents.journal("double") == []


def test_a_terminal_that_opens_the_session_ends_the_body_in_order_and_goes_on_with_it(agents: ClosedAgents) -> None:
    agent = agents.closed("taken")
    ready(agents, "taken")
    agents.write("taken", "take your time [works 60 s]")
    wait_for("the body's turn", lambda: agents.saw("take your time"), explain=agents.service.describe)
    (body,) = agents.bodies("taken")
    terminal = agents.terminal("taken")
    wait_for("the terminal's session", lambda: agents.saw("started by mail; that run was ended"))
    assert [row["pid"] for row in agents.journal("end") if row["pid"] == body["pid"]]  # in order
    wait_for("the word of it", lambda: logged(agents, "body_ended", "taken"))
    assert logged(agents, "body_ended", "taken")[0]["why"] == "the session was opened in a terminal"
    record = started_bodies.of_session(str(agents.service.home), agent.session)
    assert record is not None and not record.runs()
    wait_for("the reason", lambda: agents.why("taken") == "it runs")
    terminal.close()
    ready(agents, "taken")


def test_a_body_that_was_killed_in_its_turn_is_not_started_twice_for_one_message(agents: ClosedAgents) -> None:
    agents.closed("slow")
    ready(agents, "slow")
    agents.write("slow", "the first [works 60 s]")
    wait_for("the body's turn", lambda: agents.saw("the first"), explain=agents.service.describe)
    os.kill(agents.bodies("slow")[0]["pid"], signal.SIGKILL)
    wait_for("its end", lambda: logged(agents, "body_ended", "slow"))
    assert logged(agents, "body_ended", "slow")[0]["why"] == "it was killed"
    ready(agents, "slow")
    number = agents.write("slow", "the second [works 0 s]")
    read(agents, number)
    assert len(agents.bodies("slow")) == 2


def test_a_body_is_ended_when_its_time_is_over_and_when_the_service_stops(agents: ClosedAgents) -> None:
    agent = agents.closed("ending")
    for number, why in enumerate(("its 10 minutes were over", "the service was stopped")):
        ready(agents, "ending")
        agents.write("ending", f"number {number} [works 60 s]")
        wait_for("the body's turn", lambda n=number: agents.saw(f"number {n}"), explain=agents.service.describe)
        body = started_bodies.of_session(str(agents.service.home), agent.session)
        assert body is not None
        if number == 0:
            body.at_s, body.until_s = body.at_s - 600, body.at_s
            started_bodies.save(str(agents.service.home), body)
        else:
            agents.service.kill("resume", signal.SIGTERM)
        wait_for(
            "its end", lambda n=number: len(logged(agents, "body_ended", "ending")) == n + 1, explain=agents.service.describe
        )
        assert logged(agents, "body_ended", "ending")[number]["why"] == why and not body.runs()


def test_a_fault_is_a_reason_or_ends_the_door_with_a_line_and_never_lets_it_stand_still(agents: ClosedAgents) -> None:
    home = agents.service.home
    agents.closed("faulty")
    ready(agents, "faulty")
    starts, session = home / "resume" / "starts.json", home / "sessions" / "host-broken.json"
    starts.touch(0o600)
    before = starts.read_text() or "[]"
    starts.write_text('[["p", 1.0, 1e400]]')
    agents.ask("register", instance_id="a-change")
    wait_for("the reason", lambda: "starts.json is damaged" in agents.why("faulty"), explain=agents.service.describe)
    starts.write_text(before)
    fields = {"host": "claude", "session": "broken", "name": "faulty", "token": "t", "project": "/", "pid": "no number"}
    session.write_text(json.dumps(fields))
    agents.ask("register", instance_id="another-change")
    wait_for("its end", lambda: [row for row in agents.service.log("resume") if row["event"] == "resume_failed"])
    session.unlink()
    ready(agents, "faulty")
    assert [row for row in agents.service.log("supervisor") if row["event"] == "child_ended" and row["child"] == "resume"]


def test_the_state_says_of_each_name_why_it_would_not_be_started(agents: ClosedAgents) -> None:
    assert agents.why("quiet-one") == "no session of a host is known under this name"
    assert "quiet-one: no session of a host is known" in agents.cli("doctor")
    assert "resume" in agents.cli("status")
