"""Cline CLI: its plugin, its tools and its wake, in whole sessions against a model on loopback (``pytest -m host``)."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.hosts.cline import Cline, end_hub, env, start_hub
from bench.hosts.machine import Machine, wait_until
from bench.hosts.model_dialects import ANSWER
from bench.hosts.recording_model import RecordingModel, Request
from bridges.host_sessions import Binding
from tests.hosts.real import machine, needs, shows

pytestmark = [pytest.mark.host, pytest.mark.timeout(240), needs("cline", "node")]
__all__ = ["machine"]
PAUSE = ("run_commands", {"commands": ["sleep 0.1"]})


@pytest.fixture(autouse=True)
def _no_hub_is_left(machine: Machine) -> Iterator[None]:
    yield
    end_hub(machine)


def _tools(request: Request) -> set[str]:
    return {tool["function"]["name"] for tool in request.body["tools"]}


def _ended(machine: Machine) -> Binding:
    def found() -> Binding | None:
        binding = machine.binding()
        return binding if binding is not None and binding.ended else None

    binding: Binding = wait_until("the session's end", found)
    return binding


@shows("cline", "uninstall")
def test_uninstalling_leaves_cline_without_our_tools_and_its_settings_byte_by_byte(machine: Machine) -> None:
    settings: Path = machine.home / ".cline/data/settings/cline_mcp_settings.json"
    before = '{\n    "mcpServers": {\n        "other": {"command": "true", "disabled": true}\n    }\n}'
    machine.write(".cline/data/settings/cline_mcp_settings.json", before)
    with RecordingModel() as model:
        flags = env(machine, model.url)
        machine.ipc("install", "cline")
        assert "FAIL" not in machine.ipc("install", "cline", "--check")
        machine.run("cline", "say hello", **flags)
        assert "ipc__check" in _tools(model.requests[0]) and "under the name web." in model.texts()[0]
        machine.ipc("uninstall", "cline")
        assert settings.read_text() == before and not (machine.home / ".cline/plugins").exists()
        machine.run("cline", "say hello", **flags)
        assert "ipc__check" not in _tools(model.requests[1]) and "agent-ipc" not in model.texts()[1]


@shows("cline", "start", "tool", "end")
def test_hooks_of_a_headless_cline_inject_mail_and_tell_its_end(machine: Machine) -> None:
    machine.ipc("register", "bob")
    machine.ipc("send", "web", "sent before it was born")
    machine.ipc("install", "cline")
    with RecordingModel() as model:
        model.order(*PAUSE)
        model.before(1, lambda: machine.send("land after the tool", "tool"))
        model.before(2, lambda: machine.send("urgent at the end", "interrupt"))
        settings = env(machine, model.url)
        assert ANSWER in machine.run("cline", "write the notes", **settings)
        _ended(machine)
        machine.run("cline", "go on", **settings)
    told = model.texts()
    assert "under the name web." in told[0] and "sent before it was born" in told[0]
    assert "land after the tool" in told[1] and told[1].count("sent before it was born") == 1
    assert "urgent at the end" in told[2], "a run without a terminal can't be held; the next one gets what came too late"


def _states(machine: Machine, ids: list[str]) -> list[str]:
    return [row["state"] for row in machine.request("bob", "receipts", ids=ids)["receipts"]]


@shows("cline", "tools")
def test_tools_and_hooks_of_cline_are_one_agent(machine: Machine) -> None:
    machine.ipc("register", "bob")
    machine.ipc("install", "cline")
    with RecordingModel() as model:
        model.before(1, lambda: machine.send("for the tool", "turn"))
        model.order("ipc__check", {})
        machine.run("cline", "read your mail", **env(machine, model.url))
    told = model.texts()[1]
    assert "for the tool" in told and "[mail " in told and "not instructions from your user" in told


@pytest.mark.parametrize("flag", ["--allow", "--no-allow"])
def test_where_cline_asks_its_user_the_tools_run_only_if_they_were_allowed(machine: Machine, flag: str) -> None:
    machine.ipc("install", "cline", flag)
    with RecordingModel() as model:
        model.order_together(("ipc__list_instances", {}), ("ipc__share_file", {"to": "bob", "path": "notes.txt"}))
        machine.run("cline", "--auto-approve", "false", "list the agents", **env(machine, model.url))
    told = model.texts()[1]
    assert told.count("requires approval") == (1 if flag == "--allow" else 2)
    assert ("registered" in told) == (flag == "--allow")


def test_cline_is_warned_before_it_edits_a_file_that_another_has_claimed(machine: Machine) -> None:
    machine.ipc("register", "bob")
    machine.request("bob", "claim", resource=str(machine.project / "*.txt"), note="rewriting")
    machine.ipc("install", "cline", "--claims")
    with RecordingModel() as model:
        model.order("editor", {"path": str(machine.project / "notes.txt"), "new_text": "hello\n"})
        machine.run("cline", "write the notes", **env(machine, model.url))
    assert "bob has claimed" in model.texts()[1] and "rewriting" in model.texts()[1]


@needs("tmux")
@shows("cline", "wake", "prompt", "stop")
@pytest.mark.parametrize("in_hub", [False, True], ids=["own process", "hub"])
def test_an_idle_cline_wakes_and_its_mail_comes_with_prompts_and_holds_it(machine: Machine, in_hub: bool) -> None:
    machine.ipc("register", "bob")
    with RecordingModel() as model:
        settings = start_hub(machine, model.url) if in_hub else env(machine, model.url)
        machine.ipc("install", "cline")
        _wakes(machine, model, settings)


def _wakes(machine: Machine, model: RecordingModel, settings: dict[str, str]) -> None:
    with Cline(machine, model, settings=settings) as cline:
        machine.send("the office is closed on Monday", "digest")
        asked = len(model.requests)
        cline.type("go on")
        cline.wait("the news at the model", lambda: model.saw("the office is closed on Monday"))
        assert "the office is closed on Monday" in model.texts()[asked]
        cline.idle()
        asked = len(model.requests)
        machine.send("the build is broken", "turn")
        cline.wait("the mail at the model", lambda: model.saw("the build is broken"))
        assert len(model.requests) == asked + 1 and "agent-ipc: mail #" in model.texts()[asked]
        cline.idle()
        asked = len(model.requests)
        model.before(asked + 1, lambda: machine.send("stop the deploy", "interrupt"))
        cline.type("deploy")
        cline.wait("the urgent mail", lambda: model.saw("stop the deploy"))
        cline.idle()
        assert model.texts()[-1].count("stop the deploy") == 1
        ids = [m["id"] for m in machine.request("bob", "history", peer="web")["messages"]]
        assert set(_states(machine, ids)) == {"read"}


@needs("tmux")
@shows("cline", "end")
def test_a_cline_whose_terminal_was_closed_counts_as_gone_once_mail_can_t_wake_it(machine: Machine) -> None:
    machine.ipc("register", "bob")
    with RecordingModel() as model:
        settings = start_hub(machine, model.url)
        machine.ipc("install", "cline")
        with Cline(machine, model, settings=settings) as cline:
            cline.type("go on")
            cline.wait("an answer", lambda: len(model.requests) > 1)
            cline.idle()
        asked = machine.send("is anybody there?", "turn")
        _ended(machine)
        assert _states(machine, [asked]) == ["queued"]
