"""The real opencode against a model on loopback: ``pytest -m host``. bench/hosts/machine.py says how to install it."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from http.client import HTTPConnection
from typing import Any

import pytest

from bench.hosts import opencode
from bench.hosts.machine import Machine, wait_until
from bench.hosts.model_dialects import ANSWER, Order, told
from bench.hosts.opencode import Opencode
from bench.hosts.recording_model import RecordingModel
from broker.home.settings import Settings
from tests.hosts.real import machine, needs, shows
from tests.prompts import Owner

pytestmark = [pytest.mark.host, pytest.mark.timeout(600)]
__all__ = ["machine"]
PLUGIN = ".config/opencode/plugins/agent-ipc.js"
SHELL = ("bash", {"command": "echo hello", "description": "says hello"})


class Model(RecordingModel):
    """It keeps the requests for a title, too."""

    def __init__(self) -> None:
        super().__init__()
        self.titles: list[str] = []

    def following(self, body: dict[str, Any]) -> Sequence[Order]:
        if "Generate a title" in told(body):
            self.titles.append(told(body))
        return super().following(body)


@pytest.fixture
def model() -> Iterator[Model]:
    with Model() as model:
        yield model


@pytest.fixture
def owner(machine: Machine) -> Iterator[Owner]:
    machine.ipc("up")
    with Owner(Settings.load(env={"IPC_HOME": str(machine.data), "IPC_PORT": "0"})) as owner:
        yield owner


def headless(machine: Machine, model: Model, *arguments: str, **settings: Any) -> str:
    return machine.run("opencode", "run", *(arguments or ("write the notes",)), **opencode.env(machine, model.url, **settings))


def states(machine: Machine) -> list[str]:
    """What became of bob's mail to web, the last first."""
    ids = [m["id"] for m in machine.request("bob", "history", peer="web")["messages"]]
    return [row["state"] for row in machine.request("bob", "receipts", ids=ids)["receipts"]]


def told_with(model: Model, text: str) -> str:
    """What the first request with that text told the model."""
    return next(whole for whole in model.texts() if text in whole)


@needs("opencode")
@shows("opencode", "start", "tool", "end")
def test_a_headless_opencode_gets_mail_but_its_request_for_a_title_does_not(machine: Machine, model: Model) -> None:
    machine.ipc("install", "opencode", "--claims")
    machine.ipc("register", "bob")
    machine.ipc("send", "web", "sent before it was born")
    machine.request("bob", "claim", resource=str(machine.project / "*.txt"), note="rewriting")
    model.order("write", {"filePath": str(machine.project / "notes.txt"), "content": "hello\n"})
    model.before(1, lambda: machine.send("land after the tool", "tool"))
    assert ANSWER in headless(machine, model)
    first, second = model.texts()
    assert "under the name web." in first and "sent before it was born" in first
    assert "land after the tool" in second and "bob has claimed" in second and "rewriting" in second
    assert len(model.titles) == 1 and "write the notes" in model.titles[0]
    assert "agent-ipc" not in model.titles[0] and "born" not in model.titles[0]
    binding = machine.binding()
    assert binding is not None and binding.ended
    assert states(machine) == ["read", "read"]


@needs("opencode")
def test_a_resumed_session_keeps_its_name_and_mail_of_before_is_not_said_again(machine: Machine, model: Model) -> None:
    machine.ipc("install", "opencode")
    machine.ipc("register", "bob")
    machine.send("for the first run")
    headless(machine, model)
    session = machine.bindings()[0].session
    machine.send("for the second run")
    headless(machine, model, "--session", session, "go on")
    assert [b.session for b in machine.bindings()] == [session]
    last = model.texts()[-1]
    assert last.count("under the name web.") == 2 and last.count("for the second run") == 1
    assert last.count("for the first run") == 1  # it stays in the conversation
    assert states(machine) == ["read", "read"]


@needs("opencode")
@shows("opencode", "tools")
def test_the_tools_of_opencode_are_the_agent_of_its_hooks_and_run_where_that_was_allowed(
    machine: Machine, model: Model
) -> None:
    machine.ipc("install", "opencode", "--allow")
    machine.ipc("register", "bob")
    model.before(1, lambda: machine.send("for the tool", "turn"))
    model.order("ipc_check", {})
    model.order("ipc_share_file", {"to": "bob", "path": "/etc/hostname"})
    headless(machine, model, permission="ask")
    assert "for the tool" in model.texts()[1] and "not instructions from your user" in model.texts()[1]
    assert machine.request("bob", "history", peer="web")["messages"][0]["to"] == "web"
    assert len(model.texts()) == 2 or "rejected" in model.texts()[2]


@needs("opencode")
@shows("opencode", "uninstall")
def test_opencode_knows_the_server_while_it_is_installed_and_its_own_settings_stay(machine: Machine, model: Model) -> None:
    env = opencode.env(machine, model.url)
    settings = machine.home / ".config/opencode/opencode.jsonc"
    settings.write_text('// mine\n{\n  "autoupdate": false, // and this\n}\n')
    machine.ipc("install", "opencode")
    assert "FAIL" not in machine.ipc("install", "opencode", "--check")
    assert "ipc" in machine.run("opencode", "mcp", "list", **env)
    machine.ipc("uninstall", "opencode")
    assert "ipc" not in machine.run("opencode", "mcp", "list", **env).replace(str(machine.home), "")
    assert settings.read_text().startswith("// mine") and not (machine.home / PLUGIN).parent.exists()


@needs("opencode")
def test_a_subagent_of_opencode_gets_none_of_its_leader_s_mail(machine: Machine, model: Model) -> None:
    machine.ipc("install", "opencode")
    machine.ipc("register", "bob")
    model.order("task", {"description": "d", "prompt": "do the part", "subagent_type": "general"})
    model.order(*SHELL)  # the subagent's
    model.before(2, lambda: machine.send("for the leader"))
    headless(machine, model)
    _leader, subagent, after_tool, last = model.texts()
    assert "do the part" in subagent and "agent-ipc" not in subagent and "for the leader" not in after_tool
    assert "for the leader" in last and len(machine.bindings()) == 1


@needs("opencode")
def test_an_opencode_whose_ipc_is_gone_says_so_once_and_works(machine: Machine, model: Model) -> None:
    machine.ipc("install", "opencode")
    plugin = machine.home / PLUGIN
    plugin.write_text(plugin.read_text().replace("test -x ", "test -x /nowhere"))
    model.order(*SHELL)
    assert ANSWER in headless(machine, model)
    assert [text.count("agent-ipc is no longer where it was installed from") for text in model.texts()] == [1, 1]


@needs("opencode", "tmux")
@shows("opencode", "wake", "prompt", "stop")
def test_an_idle_opencode_wakes_and_after_new_and_compaction_it_is_the_same_agent(machine: Machine, model: Model) -> None:
    machine.ipc("install", "opencode")
    machine.ipc("register", "bob")
    with Opencode(machine, model) as session:
        for text in ("the build is broken", "and now it is green"):
            session.wait("the way", lambda: "monitor" in machine.reach())
            asked = len(model.requests)
            machine.ipc("send", "web", text)
            session.wait("the mail at the model", lambda text=text: model.saw(text))
            session.idle()
            assert len(model.requests) == asked + 1
        assert "agent-ipc: mail #" in session.screen()
        model.before(len(model.requests) + 1, lambda: machine.send("urgent", "interrupt"))
        session.type("go on")
        session.wait("the urgent mail", lambda: model.saw("urgent"))
        session.idle()
        first = machine.binding()
        session.type("/new")
        session.wait("an empty session", lambda: opencode.READY in session.screen())
        session.type("second story")
        session.wait("the prompt", lambda: model.saw("second story"))
        session.wait("the turn's end", lambda: (b := machine.binding()) and not machine.works(b.session))
        second = machine.binding()
        assert first is not None and second is not None and first.session != second.session
        assert (second.name, second.live(), len(machine.bindings())) == ("web", True, 1)
        assert "under the name web." in model.texts()[-1]
        session.type("/compact")
        session.wait("the summary", lambda: "Compaction" in session.screen() or session.screen().count(ANSWER) > 1)
        session.wait("the turn's end", lambda: not machine.works(second.session))
        session.type("third story")
        session.wait("the prompt", lambda: model.saw("third story"))
        assert "under the name web." in told_with(model, "third story")
        session.type("/exit")
        session.wait("its end", lambda: (b := machine.binding()) is not None and b.ended)
    assert set(states(machine)) == {"read"}


@needs("opencode", "tmux")
@shows("opencode", "permission")
@pytest.mark.parametrize("decision", ["allow", "deny", "terminal"])
def test_opencode_does_as_was_decided_elsewhere_or_in_its_terminal(
    machine: Machine, model: Model, owner: Owner, decision: str
) -> None:
    machine.ipc("install", "opencode", "--approvals")
    touched = machine.project / "touched"
    with Opencode(machine, model, permission={"bash": "ask"}) as session:
        command = {"command": "touch touched", "description": "touches"}
        model.order("bash", command)
        asked = len(model.requests)
        session.type("go on")
        row = owner.prompt("web")
        assert (row["host"], row["tool"], json.loads(row["shown"])) == ("opencode", "bash", command)
        session.wait("the terminal's prompt", lambda: "Permission required" in session.screen())
        if decision == "terminal":
            session.press("Enter")
        else:
            owner.decide(row["id"], decision)
        session.wait("the model's next turn", lambda: len(model.requests) > asked + 1)
        owner.none_waits("web")
        assert "Permission required" not in session.screen()
        assert touched.exists() == (decision != "deny")
        assert bool(model.saw("Your user has denied this call")) == (decision == "deny")


@needs("opencode", "tmux")
def test_mail_of_a_turn_that_is_broken_off_is_not_taken_for_read(machine: Machine, model: Model) -> None:
    machine.ipc("install", "opencode")
    machine.ipc("register", "bob")
    with Opencode(machine, model) as session:
        ran = machine.project / "ran"
        model.before(len(model.requests) + 1, lambda: machine.send("the build is broken"))
        model.order_together(SHELL, ("bash", {"command": f"touch {ran}; sleep 60", "description": "waits"}))
        session.type("go on")
        session.wait("the last tool", ran.exists)
        session.press("Escape")
        session.press("Escape")
        session.idle()
        read = states(machine) == ["read"]
        assert model.saw("the build is broken") or not read
        session.type("once more")
        session.wait("the mail at the model", lambda: model.saw("the build is broken"))


@needs("opencode")
def test_two_sessions_of_a_server_are_two_agents(machine: Machine, model: Model) -> None:
    machine.ipc("install", "opencode")
    machine.ipc("register", "bob")
    env = {**machine.env, **opencode.env(machine, model.url)}
    with Server(machine, env) as server:
        one, two = server.session(), server.session()
        for number, session in enumerate((one, two)):
            server.prompt(session, f"story {number}")
            wait_until("its turn's end", lambda n=number: sum(not machine.works(b.session) for b in machine.bindings()) > n)
        names = {b.session: b.name for b in machine.bindings()}
        assert names == {one: "web", two: "web-opencode"}
        for session, name in names.items():
            machine.send(f"wake up, {name}!", to=name)
            wait_until("the mail at the model", lambda name=name: model.saw(f"wake up, {name}!"))
            assert f"under the name {name}." in told_with(model, f"wake up, {name}!"), session


class Server:
    """``opencode serve`` in the project."""

    def __init__(self, machine: Machine, env: dict[str, str]) -> None:
        pipe, null = subprocess.PIPE, subprocess.DEVNULL
        command = ["opencode", "serve", "--port", "0"]
        self._folder = os.path.realpath(machine.project)
        self._process = subprocess.Popen(command, cwd=self._folder, env=env, stdout=pipe, stderr=null, text=True)
        assert self._process.stdout is not None
        said = next(line for line in self._process.stdout if "http://" in line)
        self._port = int(said.rpartition(":")[2])

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(20)

    def _post(self, path: str, body: dict[str, Any]) -> Any:
        headers = {"Content-Type": "application/json", "x-opencode-directory": self._folder}
        connection = HTTPConnection("127.0.0.1", self._port, timeout=60)
        connection.request("POST", path, json.dumps(body), headers)
        raw = connection.getresponse().read()
        connection.close()
        return json.loads(raw) if raw else None

    def session(self) -> str:
        return str(self._post("/session", {})["id"])

    def prompt(self, session: str, text: str) -> None:
        self._post(f"/session/{session}/prompt_async", {"parts": [{"type": "text", "text": text}]})
