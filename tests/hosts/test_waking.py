"""Waking an idle session: the inbox socket, the monitor, the background hook; and nothing said twice."""

import json
import os
import re
import shutil
import socket
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

from bridges import host_sessions, waking
from broker.home.locks import is_held
from tests.conftest import Service, wait_for
from tests.hosts.agent import Agent
from tests.shell import IPC


class Inbox:
    """A session's inbox socket, as Claude Code has it: it reads lines and answers nothing."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self.lines: list[dict[str, Any]] = []
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(self.path)
        self._server.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            with connection, connection.makefile("rb") as lines:
                self.lines += [json.loads(line) for line in lines]

    def close(self) -> None:
        self._server.close()


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


def armed(agent: Agent, way: str) -> bool:
    """True once a process tells the session of mail in this way."""
    worse = waking.WAYS[waking.WAYS.index(way) + 1]
    return waking.better_armed(str(agent.service.home), agent.session, worse)


END = "from bob. What does not come with this notice, the check tool of the ipc server reads."
ONE = re.compile(rf"agent-ipc: 1 unread message for web\w* \(#\d+\), {re.escape(END)}")


def test_a_notice_says_how_much_from_whom_which_and_points_to_the_tool() -> None:
    count = {"unread": 5, "interrupt": 1, "from": {"a": 2, "b": 1, "c": 1, "d": 1}, "newest": "41", "instance_id": "web"}
    head = "agent-ipc: 5 unread messages for web (newest #41), 1 urgent, from a, b, c and 1 other."
    assert waking.notice(count) == f"{head} What does not come with this notice, the check tool of the ipc server reads."
    assert ONE.fullmatch(waking.notice({"unread": 1, "from": {"bob": 1}, "newest": "7", "instance_id": "web"}))


def test_the_inbox_socket_gets_the_token_and_then_the_text(home: Path) -> None:
    inbox = Inbox(home / "in.sock")
    assert waking.listens(inbox.path) and waking.post(inbox.path, "t0ken", 'hello\n"there"')
    wait_for("both lines", lambda: len(inbox.lines) == 2)
    assert inbox.lines == [
        {"type": "auth", "token": "t0ken"},
        {"type": "user", "message": {"role": "user", "content": 'hello\n"there"'}},
    ]
    assert waking.post(inbox.path, None, "x")
    wait_for("the third", lambda: len(inbox.lines) == 3)
    inbox.close()


def test_a_socket_that_nobody_reads_is_no_way_and_nobody_waits_for_it(home: Path) -> None:
    assert not waking.listens("") and not waking.post(str(home / "none"), "t", "x") and not waking.post("x" * 200, "t", "x")
    (home / "file").write_text("")
    assert not waking.listens(str(home / "file"))
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
    assert not waking.post(str(home / "full"), "t", "x")
    for one in [full, *kept]:
        one.close()


def test_a_session_reports_its_inbox_socket_if_it_listens(shared: Service, tag: str, home: Path) -> None:
    inbox = Inbox(home / "in.sock")
    agent = Agent(shared, project=f"web{tag}", CLAUDE_CODE_MESSAGING_SOCKET=inbox.path)
    agent.start()
    inbox.close()
    binding = host_sessions.load(str(shared.home), agent.session)
    assert binding is not None and binding.reach == ["socket", "prompt", "tool", "stop"]


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


def test_a_better_way_keeps_the_others_quiet(shared: Service, tag: str, watch: Any) -> None:
    agent = Agent(shared, project=f"web{tag}")
    agent.start()
    home, session = str(shared.home), agent.session
    socket_way = waking.HeldWay(home, session, "socket")
    assert socket_way.arm() and socket_way.arm() and not waking.HeldWay(home, session, "socket").arm()
    worse = waking.HeldWay(home, session, "channel")
    assert worse.arm() and not worse.wanted() and socket_way.wanted()
    worse.rest()
    monitor = watch(agent, "monitor")
    wait_for("the monitor", lambda: armed(agent, "monitor"))
    with shared.connect("bob") as bob:
        bob.send(f"web{tag}", "one")
        assert monitor.lines == []
        socket_way.rest()  # the process that would have told is gone
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


@pytest.mark.deep
def test_an_idle_codex_gets_a_notice_into_its_queue_by_a_process_that_ends_with_it(
    service: Service, processes: list[Any]
) -> None:
    agent = Agent(service, "codex")
    codex = service.home / "codex"  # a program of that name: a shell, which runs the script "queue" when told to queue
    shutil.copy("/bin/bash", codex)
    told = service.home / "told"
    (agent.project / "queue").write_text(f'printf "%s\\n" "$@" >> {told}\n')
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
    binding = host_sessions.load(str(service.home), agent.session)
    assert binding is not None and binding.reach == ["queue", "prompt", "tool", "stop"]
    with service.connect("bob") as bob:
        bob.send("web", "one")
        wait_for("the notice", lambda: told.exists() and told.read_text().endswith(f"{END}\n"))
    *words, text = told.read_text().splitlines()
    assert words == ["--thread", agent.session, "--message"] and ONE.fullmatch(text)
    host.kill()
    host.wait()
    service.kill("broker")  # or it would look for its host in half a minute
    wait_for("its end", lambda: not armed(agent, "queue"))


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
def test_a_notice_that_began_no_turn_is_left_to_the_next_way(service: Service, watch: Any, home: Path) -> None:
    (service.home / "config.toml").write_text("[hosts]\nlook_s = 1\n")
    agent = Agent(service)
    agent.start()
    monitor = watch(agent, "monitor")
    waiting = watch(agent, "wait", agent.session)
    wait_for(
        "both ways",
        lambda: armed(agent, "monitor") and is_held(waking._way_path(str(home), agent.session, "rewake")),
    )
    with service.connect("bob") as bob:
        bob.send("web", "one")
        _, errors = waiting.process.communicate(timeout=20)
    assert ONE.fullmatch(monitor.lines[0]) and ONE.match(errors.decode())
