"""The hook of a permission prompt, as a process with a real service: it prints what was decided, or nothing at all."""

import json
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridges import host_sessions
from bridges.hosts.agent_session import AgentSession
from bridges.hosts.hook_event import HookEvent
from bridges.hosts.permission import decided
from bridges.known_hosts.catalogue import HERE, hooks_of
from broker.client.json_lines import QuickConnection
from broker.home.paths import Place
from broker.protocol.errors import IpcError, RemoteError
from broker.protocol.permission_rows import SHOWN_CHARS, TOOL_CHARS
from tests.conftest import Service
from tests.hosts.agent import Agent, recorded
from tests.hosts.host_process import HostedAgent, HostProcess
from tests.prompts import Owner
from tests.shell import IPC

ALLOWED = {"hookSpecificOutput": {"hookEventName": "PermissionRequest", "decision": {"behavior": "allow"}}}
MODULES = {host: hooks_of(host) for host in ("claude", "codex")}


class Hook:
    """A hook that waits for the person, as its host starts it."""

    def __init__(self, agent: Agent, given: bytes) -> None:
        command = [*IPC, "hook", agent.host, "AskPermission"]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, env=agent.env, cwd=agent.project)
        assert self.process.stdin is not None
        self.process.stdin.write(given)
        self.process.stdin.close()
        self.process.stdin = None

    def said(self) -> bytes:
        """What it printed until its end, which is a good one."""
        out, err = self.process.communicate(timeout=40)
        assert (self.process.returncode, err) == (0, b"")
        return out


Agents, Ask = Callable[..., Agent], Callable[..., Hook]


@pytest.fixture
def ask(processes: list[Any]) -> Ask:
    """Start the hook of an agent's prompt, as recorded from its host unless told otherwise."""

    def start(agent: Agent, given: bytes | None = None, **fields: Any) -> Hook:
        hook = Hook(agent, agent.given("PermissionRequest", **fields) if given is None else given)
        processes.append(hook.process)
        return hook

    return start


@pytest.fixture(scope="module")
def shared() -> Iterator[Service]:
    """A service of this module's own: none of its hosts is one of the test's own process, which decides as the owner."""
    with tempfile.TemporaryDirectory(prefix="ipc-") as folder:
        service = Service(Path(folder))
        try:
            yield service.start()
        finally:
            service.stop()


@pytest.fixture
def agent_of(processes: list[Any], tag: str) -> Agents:
    """A session of a host that is a process of its own."""

    def make(service: Service, host: str = "claude") -> Agent:
        return HostedAgent(service, HostProcess(processes), host, f"web{tag}")

    return make


@pytest.fixture
def owner(shared: Service) -> Iterator[Owner]:
    with Owner(shared.settings) as owner:
        yield owner


@pytest.mark.parametrize("host", ["claude", "codex"])
def test_a_decision_is_printed_in_the_host_s_form(shared: Service, owner: Owner, agent_of: Agents, host: str, ask: Ask) -> None:
    agent = agent_of(shared, host)
    name = agent.start()
    hook = ask(agent)
    row = owner.prompt(name)
    given = recorded(f"{host}-PermissionRequest")
    assert (row["host"], row["tool"], json.loads(row["shown"])) == (host, "Bash", given["tool_input"])
    owner.decide(row["id"], "allow")
    assert json.loads(hook.said()) == ALLOWED
    hook = ask(agent)  # the same command again is another prompt
    owner.decide(owner.prompt(name)["id"], "deny")
    answer = json.loads(hook.said())["hookSpecificOutput"]
    assert answer["hookEventName"] == "PermissionRequest"
    assert answer["decision"]["behavior"] == "deny" and "Your user" in answer["decision"]["message"]
    assert answer["decision"].keys() == {"behavior", "message"}


@pytest.mark.parametrize(
    "shown",
    [
        '{"command":"ls","description":"d"}',
        '{ "command" :\t"\\u006cs \\u202e",\n "n" : 1E+2, "command": "rm -rf /" }',
        '{"command": "\u202els", "tool_input": {"command": "x"}}',
        '"text"',
        "[]",
    ],
)
def test_the_tool_s_input_is_shown_byte_for_byte(shared: Service, owner: Owner, agent_of: Agents, shown: str, ask: Ask) -> None:
    agent = agent_of(shared)
    name = agent.start()
    head = json.dumps({"session_id": agent.session, "cwd": str(agent.project), "tool_name": "Bash", "x": {"tool_input": 1}})
    hook = ask(agent, f'{head[:-1]} , "tool_input":{shown} ,"permission_suggestions":[]}}\n'.encode())
    row = owner.prompt(name)
    assert row["shown"] == shown
    owner.decide(row["id"], "allow")
    assert json.loads(hook.said()) == ALLOWED


SPACE = st.text(" \t\n\r", max_size=2)
TEXT = st.text(max_size=6).map(lambda text: json.dumps(text, ensure_ascii=len(text) % 2 == 0))
VALUE = st.recursive(
    TEXT | st.sampled_from(["1E+2", "-0.0", "true", "null", "1e400", "NaN", '"\\ud800"', '"\\u0041"']),
    lambda inner: (
        st.lists(st.tuples(SPACE, inner), max_size=3).map(lambda parts: f"[{','.join(s + v for s, v in parts)}]")
        | st.lists(st.tuples(SPACE, TEXT, SPACE, inner), max_size=3).map(
            lambda parts: "{" + ",".join(f"{s}{k}{s2}:{v}{s}" for s, k, s2, v in parts) + "}"
        )
    ),
    max_leaves=6,
)


@given(st.lists(st.tuples(SPACE, st.sampled_from(['"tool_input"', '"x"', '"tool\\u005finput"']), SPACE, VALUE), max_size=4))
def test_what_is_shown_is_the_text_that_the_host_s_reader_reads(members: list[tuple[str, str, str, str]]) -> None:
    raw = "{" + ",".join(f"{s}{key}{s}:{s2}{value}{s}" for s, key, s2, value in members) + "}\n"
    encoded = raw.encode("utf-8", "surrogatepass")
    event = HookEvent("/nowhere", MODULES["claude"], "AskPermission", None, json.loads(raw), encoded)
    values = [value for _s, key, _s2, value in members if json.loads(key) == "tool_input"]
    if values:
        assert event.exactly("tool_input") == values[-1]
        assert repr(json.loads(values[-1])) == repr(event.given["tool_input"])
    else:
        with pytest.raises(ValueError):
            event.exactly("tool_input")


LONG_NAME = "x" * (TOOL_CHARS + 1)
LONG = {"command": "x" * SHOWN_CHARS}


@pytest.mark.parametrize(
    "fields",
    [
        {"tool_name": "AskUserQuestion"},
        {"tool_name": "ExitPlanMode"},
        {"tool_name": LONG_NAME},
        {"tool_input": LONG},
        {"session_id": "another"},
    ],
)
def test_what_is_no_prompt_or_can_not_be_shown_whole_is_left_to_the_terminal(
    shared: Service, owner: Owner, agent_of: Agents, fields: dict[str, Any], ask: Ask
) -> None:
    agent = agent_of(shared)
    name = agent.start()
    assert ask(agent, **fields).said() == b""
    assert owner.prompts(name) == []


@pytest.mark.parametrize(
    "given", [b"", b"{", b"[]", b"\xff\xfe", b'{"tool_input": {}}', b'{"session_id": 5, "tool_input": NaN}']
)
def test_rubbish_is_answered_by_nothing(shared: Service, agent_of: Agents, given: bytes, ask: Ask) -> None:
    agent = agent_of(shared)
    agent.start()
    assert ask(agent, given).said() == b""


def test_a_tool_s_name_that_no_door_takes_is_left_to_the_terminal_at_once(shared: Service, agent_of: Agents, ask: Ask) -> None:
    agent = agent_of(shared)
    agent.start()
    raw = agent.given("PermissionRequest").replace(b'"Bash"', b'"\\ud800"')
    assert b"\\ud800" in raw
    assert ask(agent, raw).said() == b""


def test_a_prompt_without_a_tool_s_input_is_left_to_the_terminal(
    shared: Service, owner: Owner, agent_of: Agents, ask: Ask
) -> None:
    agent = agent_of(shared)
    name = agent.start()
    body = {"session_id": agent.session, "cwd": str(agent.project), "tool_name": "Bash"}
    assert ask(agent, json.dumps(body).encode()).said() == b""
    assert owner.prompts(name) == []


def test_a_subagent_s_prompt_is_its_leader_s(shared: Service, owner: Owner, agent_of: Agents, ask: Ask) -> None:
    agent = agent_of(shared)
    name = agent.start()
    call = {"tool_name": "Bash", "tool_input": {"command": "make"}, "agent_id": "sub-1"}
    hook = ask(agent, **call)
    owner.prompt(name)
    agent.hook("Stop")  # its leader's turn
    agent.hook("AfterTool", **call, tool_response={}, tool_use_id="t1")  # answered at the host's terminal
    assert hook.said() == b""
    hook = ask(agent, **call)
    owner.prompt(name)
    agent.hook("Stop")
    owner.decide(owner.prompt(name)["id"], "allow")
    assert json.loads(hook.said()) == ALLOWED


def test_what_the_terminal_has_answered_is_over_here_once_the_call_has_ended(
    shared: Service, owner: Owner, agent_of: Agents, ask: Ask
) -> None:
    agent = agent_of(shared)
    name = agent.start()
    call = {"tool_name": "Bash", "tool_input": {"command": "make", "description": "build"}}
    hook = ask(agent, **call)
    permission_id = owner.prompt(name)["id"]
    agent.hook("AfterTool", **{**call, "tool_input": {"command": "ls"}}, tool_response={}, tool_use_id="t1")
    assert [row["id"] for row in owner.prompts(name)] == [permission_id]  # another call, of the same step
    agent.hook("AfterTool", **call, tool_response={}, tool_use_id="t2")
    assert hook.said() == b""
    with pytest.raises(RemoteError) as over:
        owner.decide(permission_id, "allow")
    assert over.value.code == "permission_over"


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGKILL])
def test_a_prompt_ends_with_its_hook(shared: Service, owner: Owner, agent_of: Agents, signum: int, ask: Ask) -> None:
    agent = agent_of(shared)
    name = agent.start()
    hook = ask(agent)
    owner.prompt(name)
    hook.process.send_signal(signum)
    assert hook.process.communicate(timeout=20)[0] == b""
    owner.none_waits(name)


_LEAVES = (
    "import subprocess, sys; print(subprocess.Popen(sys.argv[1:], start_new_session=True).pid, flush=True); sys.stdin.read()"
)
"""A host that starts a hook, which outlives it."""


def test_a_prompt_ends_with_its_host_though_the_hook_lives_on(
    shared: Service, owner: Owner, agent_of: Agents, processes: list[Any]
) -> None:
    agent = agent_of(shared)
    name = agent.start()
    given = agent.project / "given.json"
    given.write_bytes(agent.given("PermissionRequest"))
    hook = ["sh", "-c", 'exec < "$0"; exec "$@"', str(given), *IPC, "hook", "claude", "AskPermission"]
    host = subprocess.Popen(
        [sys.executable, "-c", _LEAVES, *hook],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=agent.env,
        cwd=agent.project,
    )
    processes.append(host)
    owner.prompt(name)
    host.kill()
    owner.none_waits(name)


def test_when_the_time_is_over_nothing_is_said(shared: Service, owner: Owner, agent_of: Agents) -> None:
    agent = agent_of(shared, "codex")
    name = agent.start()
    raw = agent.given("PermissionRequest")
    event = HookEvent(str(shared.home), MODULES["codex"], "AskPermission", None, json.loads(raw), raw)
    binding = host_sessions.load(str(shared.home), agent.session)
    assert binding is not None
    with QuickConnection(Place(str(shared.home)), autostart=False, door="hook") as door:
        session = AgentSession(str(shared.home), door, binding)
        assert decided(event, session, door, time.monotonic() - MODULES["codex"].PERMISSION_S + 6.0) == ""
    owner.none_waits(name)


def test_a_hook_without_a_service_says_nothing_and_starts_none(
    make_service: Callable[..., Service], agent_of: Agents, ask: Ask
) -> None:
    service = make_service().start()
    agent = agent_of(service)
    agent.start()
    service.stop()
    assert ask(agent).said() == b""
    assert not service.pid("broker")


def test_a_broker_killed_while_the_hook_waits_is_answered_by_nothing(
    make_service: Callable[..., Service], agent_of: Agents, ask: Ask
) -> None:
    service = make_service().start()
    agent = agent_of(service)
    name = agent.start()
    hook = ask(agent)
    with Owner(service.settings) as owner:
        owner.prompt(name)
        service.kill("broker")
        assert hook.said() == b""
        assert owner.prompts(name) == []


@pytest.mark.deep
@pytest.mark.parametrize("decision", ["allow", "deny"])
def test_a_broker_killed_at_any_moment_answers_nothing_that_was_not_decided(
    make_service: Callable[..., Service], agent_of: Agents, decision: str, ask: Ask
) -> None:
    service = make_service().start()
    agent = agent_of(service)
    name = agent.start()
    rng = random.Random(decision)  # noqa: S311 (a moment)
    for _ in range(3):
        hook = ask(agent)
        with Owner(service.settings) as owner:
            row = owner.prompt(name)
            sent = threading.Event()

            def decide(owner: Owner = owner, row: dict[str, Any] = row, sent: threading.Event = sent) -> None:
                sent.set()
                try:
                    owner.decide(row["id"], decision)
                except IpcError as e:
                    assert e.code in ("permission_over", "timeout", "unavailable")  # the next broker knows nothing of it

            word = threading.Thread(target=decide)
            word.start()
            sent.wait()
            time.sleep(rng.random() * 0.004)  # the kill falls before, in or after the decision
            service.kill("broker")
            said = hook.said()
            word.join()
            assert owner.prompts(name) == []
        answer = json.loads(said)["hookSpecificOutput"]["decision"]["behavior"] if said else ""
        assert answer in ("", decision)


def test_hosts_give_the_hook_the_time_that_it_takes() -> None:
    for host, path in (("claude", "hooks/approvals.json"), ("codex", "approvals.json")):
        (group,) = json.loads((Path(HERE) / host / "files" / path).read_text())["PermissionRequest"]
        assert [hook["timeout"] for hook in group["hooks"]] == [MODULES[host].PERMISSION_S]
        assert "async" not in group["hooks"][0]
