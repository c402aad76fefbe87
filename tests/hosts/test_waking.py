"""Waking an idle session: the inbox socket, the monitor, the background hook; and nothing said twice."""

import os
import re
import shutil
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from bridges import host_sessions, waking
from broker.client.json_lines import QuickConnection, request
from tests.conftest import Service, wait_for
from tests.hosts.agent import Agent
from tests.inbox_socket import InboxSocket
from tests.shell import IPC


class Watch:
    """``ipc monitor`` or ``ipc wait`` as the host runs it, with its lines."""

    def __init__(self, agent: Agent, command: str, *arguments: str) -> None:
        env = {**agent.env, "CLAUDE_CODE_SESSION_ID": agent.session}
        self.process = subprocess.Popen(
            [*IPC, command, *arguments], env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        self.lines: list[str] = []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.decode().strip())


@pytest.fixture
def watch(processes: list[Any]) -> Any:
    def start(agent: Agent, command: str, *arguments: str) -> Watch:
        watching = Watch(agent, command, *arguments)
        processes.append(watching.process)
        return watching

    return start


def table(agent: Agent) -> dict[str, str]:
    """The ways by which the broker can wake the agent, and the state of each."""
    name = agent.project.name
    rows = request(agent.service.settings, {"action": "status"})["instances"]
    return {way["way"]: way["state"] for row in rows if row["id"] == name for way in row.get("ways", [])}


def armed(agent: Agent, way: str) -> bool:
    """True once a process would wake the session in this way."""
    return table(agent).get(way) == "armed"


END = "If it is not shown here, call check."
ONE = re.compile(rf"agent-ipc: mail #\d+\. {re.escape(END)}")


def test_a_notice_says_which_mail_came_and_points_to_the_tool() -> None:
    count = {"unread": 5, "interrupt": 1, "from": {"a": 2, "b": 1, "c": 1, "d": 1}, "newest": "41", "instance_id": "web"}
    assert waking.notice(count) == f"agent-ipc: urgent mail #41. {END}"
    assert ONE.fullmatch(waking.notice({"unread": 1, "from": {"bob": 1}, "newest": "7", "instance_id": "web"}))


def test_the_inbox_socket_gets_the_token_and_then_the_text(home: Path) -> None:
    inbox = InboxSocket(home / "in.sock")
    way = waking.SocketWay(inbox.path, "t0ken")
    assert way.there() and way.give('hello\n"there"', {}) == waking.GIVEN
    wait_for("both lines", lambda: len(inbox.lines) == 2)
    assert inbox.lines == [
        {"type": "auth", "token": "t0ken"},
        {"type": "user", "message": {"role": "user", "content": 'hello\n"there"'}},
    ]
    assert waking.SocketWay(inbox.path, None).give("x", {}) == waking.GIVEN
    wait_for("the third", lambda: len(inbox.lines) == 3)
    inbox.close()


def test_a_socket_that_nobody_reads_is_no_way_and_nobody_waits_for_it(home: Path) -> None:
    for path in ("", str(home / "none"), "x" * 200):
        assert not waking.SocketWay(path, "t").there() and waking.SocketWay(path, "t").give("x", {}) == waking.FAILED
    (home / "file").write_text("")
    assert not waking.SocketWay(str(home / "file"), None).there()
    full = socket.socket(socket.AF_UNIX)
    full.bind(str(home / "full"))
    full.listen(0)
    kept = []
    while True:  # until its queue is full
        client = socket.socket(socket.AF_UNIX)
        client.setblocking(False)
        kept.append(client)
        try:
            client.connect(str(home / "full"))
        except BlockingIOError:
            break
    assert waking.SocketWay(str(home / "full"), "t").give("x", {}) == waking.FAILED
    for one in [full, *kept]:
        one.close()


def test_the_monitor_prints_a_line_for_mail_and_takes_none(shared: Service, tag: str, watch: Any) -> None:
    agent = Agent(shared, project=f"web{tag}")
    monitor = watch(agent, "monitor")  # may start before the session's first hook
    agent.start()
    with shared.connect("bob") as bob:
        bob.send(f"web{tag}", "one")
        wait_for("a line", lambda: monitor.lines)
        assert ONE.fullmatch(monitor.lines[0]) and len(monitor.lines) == 1
        assert "one" in agent.context("UserPromptSubmit")


@pytest.mark.deep
def test_mail_that_waited_before_is_told_too_and_a_restarted_broker_loses_no_notice(service: Service, watch: Any) -> None:
    agent = Agent(service)
    agent.start()
    with service.connect("bob") as bob:
        bob.send("web", "one")
        monitor = watch(agent, "monitor")
        wait_for("a line", lambda: len(monitor.lines) == 1)
        agent.context("UserPromptSubmit")
        agent.hook("Stop")
        service.kill("broker")
        bob.send("web", "two")
        wait_for("another", lambda: len(monitor.lines) == 2)


def test_nothing_is_said_while_a_turn_runs_but_what_it_left_is_said_at_its_end(shared: Service, tag: str, watch: Any) -> None:
    agent = Agent(shared, project=f"web{tag}")
    agent.start()
    monitor = watch(agent, "monitor")
    wait_for("the monitor", lambda: armed(agent, "monitor"))
    with shared.connect("bob") as bob:
        agent.hook("UserPromptSubmit")
        bob.send(f"web{tag}", "one")
        assert "one" in agent.context("PostToolUse")
        bob.request("send", to_id=f"web{tag}", message={"content": "two"}, land="turn")
        assert agent.hook("PostToolUse") == agent.hook("Stop") == {}
        wait_for("a line", lambda: monitor.lines)
        assert ONE.fullmatch(monitor.lines[0]) and len(monitor.lines) == 1


def test_a_better_way_keeps_the_others_quiet_and_its_end_lets_them_speak(shared: Service, tag: str, watch: Any) -> None:
    agent = Agent(shared, project=f"web{tag}")
    agent.start()
    monitor = watch(agent, "monitor")
    wait_for("the monitor", lambda: armed(agent, "monitor"))
    better = QuickConnection(shared.settings)
    token = host_sessions.load(str(shared.home), agent.session).token  # type: ignore[union-attr]
    me = {"session_token": token, "door": "mcp"}
    better.request({"action": "subscribe", "notify": True, "ways": ["socket"], **me})
    with shared.connect(f"bob{tag}") as bob:
        bob.send(f"web{tag}", "one")
        pushes: list[dict[str, Any]] = []
        while not any(push.get("push") == "wake" for push in pushes):
            pushes += better.receive(time.monotonic() + 20)
        assert monitor.lines == []
        better.close()  # the process that would have told is gone
        wait_for("the monitor to tell", lambda: monitor.lines)


def test_a_second_monitor_of_a_session_ends_at_once_and_the_first_with_its_host(
    service: Service, watch: Any, processes: list[Any]
) -> None:
    host = subprocess.Popen(["sleep", "60"])
    processes.append(host)
    agent = Agent(service, CLAUDE_PID=str(host.pid))
    agent.start()
    first = watch(agent, "monitor")
    wait_for("the monitor", lambda: armed(agent, "monitor"))
    assert watch(agent, "monitor").process.wait(20) == 0
    host.kill()
    host.wait()
    service.kill("broker")  # or it would look for its host in half a minute
    assert first.process.wait(20) == 0


def test_the_background_hook_ends_with_two_and_a_text_at_the_first_mail(shared: Service, tag: str, watch: Any) -> None:
    agent = Agent(shared, project=f"web{tag}")
    agent.start()
    waiting = watch(agent, "wait", agent.session)
    with shared.connect("bob") as bob:
        bob.send(f"web{tag}", "one")
    _, errors = waiting.process.communicate(timeout=20)
    assert waiting.process.returncode == 2
    assert ONE.match(errors.decode())


def test_the_background_hook_does_not_hold_up_a_session_that_nobody_attends(shared: Service, tag: str) -> None:
    agent = Agent(shared, project=f"web{tag}", CLAUDE_CODE_SESSION_ATTENDED="0")
    agent.start()
    done = subprocess.run([*IPC, "wait", agent.session], env=agent.env, capture_output=True, timeout=30)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_session_that_nobody_knows_has_no_monitor(shared: Service, tag: str) -> None:
    agent = Agent(shared, project=f"web{tag}")
    done = subprocess.run([*IPC, "monitor"], env=agent.env, capture_output=True, timeout=30)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def queueing_host(service: Service, processes: list[Any], script: str) -> tuple[Agent, "subprocess.Popen[bytes]"]:
    """A session of a program named codex, which runs the script when it is told to queue. It is ready to be woken."""
    agent = Agent(service, "codex")
    codex = service.home / "codex"
    shutil.copy("/bin/bash", codex)  # "codex queue ..." runs the file of that name in the project
    (agent.project / "queue").write_text(script)
    hook = f"{' '.join(IPC)} hook codex SessionStart; read -t 60 < {service.home}/never"
    os.mkfifo(service.home / "never")
    host = subprocess.Popen(
        [str(codex), "-c", hook], env=agent.env, cwd=agent.project, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    processes.append(host)
    assert host.stdin is not None
    host.stdin.write(agent.given("SessionStart"))
    host.stdin.close()
    wait_for("a process that stands by", lambda: armed(agent, "queue"))
    return agent, host


@pytest.mark.deep
def test_an_idle_codex_gets_a_notice_into_its_queue_by_a_process_that_ends_with_it(
    service: Service, processes: list[Any]
) -> None:
    told = service.home / "told"
    agent, host = queueing_host(service, processes, f'printf "%s\\n" "$@" >> {told}\n')
    with service.connect("bob") as bob:
        (row,) = [row for row in bob.request("list")["instances"] if row["id"] == "web"]
        assert row["reach"] == ["queue", "prompt", "tool", "stop"]
        bob.send("web", "one")
        wait_for("the notice", lambda: told.exists() and told.read_text().endswith(f"{END}\n"))
    *words, text = told.read_text().splitlines()
    assert words == ["--thread", agent.session, "--message"] and ONE.fullmatch(text)
    host.kill()
    host.wait()
    service.kill("broker")  # or it would look for its host in half a minute
    wait_for("its end", lambda: table(agent) == {})


@pytest.mark.deep
def test_a_codex_that_refuses_a_notice_is_shown_as_refusing_and_the_sender_is_told(
    service: Service, processes: list[Any]
) -> None:
    agent, _ = queueing_host(service, processes, "exit 3")
    with service.connect("bob") as bob:
        bob.send("web", "one")
        wait_for("the refusal", lambda: table(agent) == {"queue": "refused"})
        (told,) = wait_for("word of it", lambda: bob.check(limit=5))
    shown = subprocess.run([*IPC, "status"], env=agent.env, capture_output=True, text=True, timeout=30).stdout
    assert "queue (refused) prompt tool stop" in shown and "wakes    60 an hour, 20 of them by one sender" in shown
    assert told.sender == "system" and "queue: its host refused" in told.content


def test_a_burst_is_one_notice_and_one_more_when_it_was_heeded(shared: Service, tag: str, watch: Any) -> None:
    agent = Agent(shared, project=f"web{tag}")
    agent.start()
    monitor = watch(agent, "monitor")
    wait_for("the monitor", lambda: armed(agent, "monitor"))
    with shared.connect("bob") as bob:
        for number in range(50):
            bob.send(f"web{tag}", f"{number}")
        wait_for("a line", lambda: monitor.lines)
        while agent.context("UserPromptSubmit"):  # the turn that it begins reads all
            pass
        agent.hook("Stop")
        bob.send(f"web{tag}", "one more")
        wait_for("a line for it", lambda: ONE.fullmatch(monitor.lines[-1]))
        assert len(monitor.lines) <= 3


@pytest.mark.deep
def test_a_notice_that_began_no_turn_is_left_to_the_next_way(service: Service, watch: Any) -> None:
    (service.home / "config.toml").write_text("[hosts]\nlook_s = 1\n")
    agent = Agent(service)
    agent.start()
    monitor = watch(agent, "monitor")
    waiting = watch(agent, "wait", agent.session)
    wait_for("both ways", lambda: table(agent) == {"monitor": "armed", "rewake": "armed"})
    with service.connect("bob") as bob:
        bob.send("web", "one")
        _, errors = waiting.process.communicate(timeout=20)
    assert ONE.fullmatch(monitor.lines[0]) and ONE.match(errors.decode())


@pytest.mark.deep
def test_a_sender_over_the_budget_is_told_by_its_shell_and_the_mail_comes_with_the_next_turn(
    make_service: Any, watch: Any
) -> None:
    service = make_service(IPC_WAKE_LIMIT="1").start()
    agent = Agent(service)
    agent.start()
    monitor = watch(agent, "monitor")
    wait_for("the monitor", lambda: armed(agent, "monitor"))

    def ipc(*words: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run([*IPC, *words], env={**agent.env, "IPC_NAME": "bob"}, capture_output=True, text=True, timeout=30)

    assert ipc("register", "bob").returncode == 0 and "as many wakes" not in ipc("send", "web", "one").stderr
    wait_for("a line", lambda: monitor.lines)
    agent.context("UserPromptSubmit")
    agent.hook("Stop")
    assert "web had as many wakes this hour as the settings allow" in ipc("send", "web", "two").stderr
    assert "two" in agent.context("UserPromptSubmit") and len(monitor.lines) == 1
