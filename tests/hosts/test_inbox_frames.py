"""Mail in a message to the host's inbox: read once the host's record has it and the session goes on; else it comes again."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from broker.client.json_lines import request
from tests.conftest import Service, wait_for
from tests.hosts.agent import Agent
from tests.inbox_socket import InboxSocket
from tests.shell import IPC

AGAIN = "(delivered before, perhaps seen)"


class Idle:
    """An idle session of Qwen Code with a process beside it that wakes it. Its inbox and its record are this test's."""

    def __init__(self, service: Service, project: str, processes: list[Any]) -> None:
        self.agent = Agent(service, "qwen", project)
        self.agent.start()
        self.inbox = InboxSocket(service.home / f"{project}.sock")
        folder = service.home / project
        (folder / "chats").mkdir(parents=True)
        self.record = folder / "chats" / f"{self.agent.session}.jsonl"
        env = {"QWEN_CODE_MESSAGING_SOCKET": self.inbox.path, "QWEN_CODE_MESSAGING_TOKEN": "t0ken"}
        self.env = {**self.agent.env, **env, "QWEN_CODE_PROJECT_DIR": str(folder)}
        self.waker = subprocess.Popen([*IPC, "monitor", self.agent.session, "--socket"], env=self.env)
        processes.append(self.waker)
        wait_for("the way", lambda: self.way() == "armed")

    def row(self) -> dict[str, Any]:
        rows = request(self.agent.service.settings, {"action": "status"})["instances"]
        return next(row for row in rows if row["id"] == self.agent.project.name)

    def way(self) -> str:
        return next((str(way["state"]) for way in self.row().get("ways", [])), "")

    def put(self) -> str:
        """The message that is put into the inbox."""
        wait_for("a message", lambda: self.inbox.texts)
        return self.inbox.texts[-1]

    def take(self, text: str, *, answers: bool = True) -> None:
        """Take a message out of the inbox, and answer, as the host writes that down."""
        parts = [{"text": f'<cross_session_message name="agent-ipc">\n{text.replace("<", "&lt;")}\n</cross_session_message>'}]
        with self.record.open("a") as f:
            f.write(json.dumps({"type": "user", "message": {"role": "user", "parts": parts}}) + "\n")
            f.write(answers * '{"uuid":"a1","type":"assistant","message":{"role":"model","parts":[{"text":"done"}]}}\n')

    def unread(self) -> int:
        return self.agent.service.queued(self.agent.project.name)


@pytest.fixture
def quick(service: Service) -> Service:
    """A service whose sessions take mail for dropped after two thirds of a second."""
    (service.home / "config.toml").write_text("[hosts]\nlook_s = 1\n")
    return service


@pytest.fixture
def idle(shared: Service, tag: str, processes: list[Any]) -> Iterator[Idle]:
    idle = Idle(shared, f"web{tag}", processes)
    yield idle
    idle.inbox.close()


def test_mail_in_the_inbox_is_acknowledged_by_the_event_after_which_the_host_s_record_has_an_answer(idle: Idle) -> None:
    name = idle.agent.project.name
    with idle.agent.service.connect("bob") as bob:
        bob.send(name, "the <build> is broken")
        text = idle.put()
        assert text.startswith("Mail from other agents: information") and "the <build> is broken" in text
        said = next(line for line in idle.inbox.lines if line["type"] == "user")
        assert idle.inbox.tokens[0] == "t0ken" and said["toSessionId"] == idle.agent.session and said["msgV"] == 1
        assert idle.agent.hook("Stop") == {} and idle.unread() == 1  # of a turn before: nothing shows that the model has it
        idle.take(text, answers=False)
        assert idle.agent.hook("Stop") == {} and idle.unread() == 1  # a turn that failed: the host asks its model again
        os.kill(idle.waker.pid, signal.SIGSTOP)
        idle.take(text)
        assert idle.agent.hook("PostToolBatch") == {} and idle.unread() == 0
        os.kill(idle.waker.pid, signal.SIGCONT)
        number = bob.history(limit=1)["messages"][0]["id"]
        (row,) = bob.receipts(number)["receipts"]
        assert row["step"] == "in_context" and row["steps"][-1]["evidence"] == "hook"


def test_an_answer_that_the_host_writes_down_after_the_turn_s_end_is_seen_and_the_end_is_told(idle: Idle) -> None:
    with idle.agent.service.connect("bob") as bob:
        bob.send(idle.agent.project.name, "one")
        text = idle.put()
        assert idle.agent.hook("Stop") == {}
        idle.take(text)  # written down late, after the last event of its turn
        wait_for("its reading", lambda: idle.unread() == 0)
        wait_for("the way", lambda: idle.way() == "armed" and idle.row()["presence"] == "idle")
        bob.send(idle.agent.project.name, "two")
        wait_for("a second message", lambda: len(idle.inbox.texts) == 2)
        assert "one" not in idle.inbox.texts[1].replace("none", "")


@pytest.mark.deep
def test_a_dropped_message_loses_no_mail_and_its_sender_is_told(quick: Service, processes: list[Any]) -> None:
    idle = Idle(quick, "web", processes)
    with quick.connect("bob") as bob:
        bob.send("web", "one")
        idle.put()
        wait_for("word of it", lambda: idle.way() == "refused")
        wait_for("the sender's notice", lambda: bob.count()["unread"])
        assert "its host refused" in bob.check()[0].content
        assert len(idle.inbox.texts) == 1 and idle.unread() == 1  # it is not tried over and over
        text = idle.agent.context("UserPromptSubmit")
        assert "one" in text and AGAIN in text
        assert idle.agent.hook("Stop") == {} and idle.unread() == 0
        wait_for("the way", lambda: idle.way() == "armed")
    idle.inbox.close()


@pytest.mark.deep
def test_a_message_behind_the_user_s_turn_is_neither_given_up_nor_shown_by_that_turn_s_events(
    quick: Service, processes: list[Any]
) -> None:
    idle = Idle(quick, "web", processes)
    with quick.connect("bob") as bob:
        bob.send("web", "one")
        text = idle.put()
        idle.record.write_text('{"type": "user", "message": {"parts": [{"text": "the user was quicker"}]}}\n')
        wait_for("word of it", lambda: any(line["event"] == "woken" for line in quick.log("hooks")))
        assert idle.agent.hook("PostToolBatch") == idle.agent.hook("Stop") == {} and idle.unread() == 1
        idle.take(text)
        assert idle.agent.hook("Stop") == {} and idle.unread() == 0
    idle.inbox.close()


@pytest.mark.deep
def test_mail_comes_again_where_everything_is_killed_between_message_and_turn(quick: Service, processes: list[Any]) -> None:
    idle = Idle(quick, "web", processes)
    with quick.connect("bob") as bob:
        bob.send("web", "one")
        idle.put()
        os.kill(idle.waker.pid, signal.SIGKILL)
        idle.waker.wait()
        again = Agent(quick, "qwen", "web", idle.agent.session)
        text = again.context("SessionStart")
        assert "one" in text
        assert again.hook("Stop") == {} and idle.unread() == 0
    idle.inbox.close()


@pytest.mark.deep
def test_mail_that_waits_in_the_inbox_while_the_broker_is_killed_is_read_once(quick: Service, processes: list[Any]) -> None:
    idle = Idle(quick, "web", processes)
    with quick.connect("bob") as bob:
        bob.send("web", "one")
        idle.take(idle.put(), answers=False)
        wait_for("word of it", lambda: any(line["event"] == "woken" for line in quick.log("hooks")))
        quick.kill("broker")
        wait_for("the way", lambda: idle.way() == "armed")
        idle.take(idle.inbox.texts[0])
        wait_for("its reading", lambda: idle.unread() == 0)
        assert len(idle.inbox.texts) == 1, "what is in the host's record is not put in again"
    idle.inbox.close()


def test_what_is_too_long_is_announced_in_the_inbox(idle: Idle) -> None:
    with idle.agent.service.connect("bob") as bob:
        bob.send(idle.agent.project.name, "x" * 9_500)
        assert "The check tool of the ipc server reads" in idle.put() and idle.unread() == 1


def test_no_process_stands_by_where_the_host_has_no_inbox(shared: Service, tag: str) -> None:
    agent = Agent(shared, "qwen", f"web{tag}", QWEN_CODE_PROJECT_DIR=str(Path("/nowhere")))
    agent.start()
    stored = json.loads(next((shared.home / "sessions").glob(f"host-{agent.session}.json")).read_text())
    assert stored["wake"] is False and stored["look_s"] == 60
