"""Mail that reaches an agent by itself: told to its client, and to an idle Claude Code."""

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.extension import ClientExtension, NotificationBinding
from mcp.client.stdio import stdio_client
from pydantic import BaseModel

from bridges import host_sessions
from bridges.host_sessions import Binding
from bridges.mcp.voice import INBOX
from broker.client.sync import Connection
from tests.conftest import Service, wait_for
from tests.inbox_socket import InboxSocket
from tests.mcp.agents import COMMAND, RawHost, ok, project_folder

pytestmark = pytest.mark.anyio
Raw = Callable[..., RawHost]


@pytest.fixture
def inbox(home: Path) -> Iterator[InboxSocket]:
    inbox = InboxSocket(home / "claude.sock")
    yield inbox
    inbox.close()


def reach(service: Service, name: str) -> list[str]:
    rows = service.connect("observer").request("list")["instances"]
    return next((r.get("reach", []) for r in rows if r["id"] == name), [])


def claude(inbox: InboxSocket) -> dict[str, str]:
    return {
        "CLAUDE_CODE_MESSAGING_SOCKET": inbox.path,
        "CLAUDE_CODE_MESSAGING_TOKEN": "secret",
        "CLAUDE_CODE_SESSION_ID": "s1",
    }


async def test_an_idle_claude_code_is_woken_by_its_inbox_socket_and_acknowledges_nothing(
    service: Service, raw_host: Raw, inbox: InboxSocket
) -> None:
    host = raw_host(service, "claude", **claude(inbox))
    host.initialize("claude-code")
    host.call(1, "register", instance_id="claude")
    wait_for("word of the ways", lambda: reach(service, "claude")[:1] == ["socket"])
    service.connect("fred").send("claude", "the build is red")
    (text,) = wait_for("the notice", lambda: inbox.texts)
    assert text.startswith("agent-ipc: mail #") and "the build is red" not in text
    assert inbox.tokens == ["secret"]
    assert [m["content"] for m in host.call(2, "check")["messages"]] == ["the build is red"]


@pytest.mark.deep
async def test_a_notice_waits_for_the_end_of_a_turn_unless_it_is_urgent(
    service: Service, raw_host: Raw, inbox: InboxSocket
) -> None:
    host = raw_host(service, "claude", **claude(inbox))
    host.initialize("claude-code")
    host.call(1, "register", instance_id="claude")
    wait_for("word of the ways", lambda: reach(service, "claude")[:1] == ["socket"])
    host.call(2, "manage", do="presence", name="working")
    fred = service.connect("fred")
    fred.send("claude", "later")
    fred.send("claude", "now", land="interrupt")
    wait_for("the urgent notice", lambda: inbox.texts)
    assert inbox.texts[0].startswith("agent-ipc: urgent mail #")
    assert {m["content"] for m in host.call(3, "check")["messages"]} == {"later", "now"}
    fred.send("claude", "later still")
    host.call(4, "manage", do="presence", name="idle")
    wait_for("the notice after the turn", lambda: len(inbox.texts) == 2)


@pytest.mark.deep
async def test_a_burst_is_one_notice_and_the_same_notice_never_comes_twice(
    service: Service, raw_host: Raw, inbox: InboxSocket
) -> None:
    host_sessions.save(str(service.home), Binding(host="claude", session="s1", name="", token="", project="", look_s=1))
    host = raw_host(service, "claude", **claude(inbox))
    host.initialize("claude-code")
    host.call(1, "register", instance_id="claude")
    wait_for("word of the ways", lambda: reach(service, "claude")[:1] == ["socket"])
    fred = service.connect("fred")
    for number in range(50):
        fred.send("claude", f"{number}")
    wait_for("a notice", lambda: inbox.texts)
    host.call(2, "check")
    before = len(inbox.texts)
    fred.send("claude", "one more")
    wait_for("a notice of it", lambda: len(inbox.texts) > before)
    host.call(3, "check")
    fred.send("claude", "and one more")
    wait_for("another notice", lambda: len(set(inbox.texts)) == len(inbox.texts) > 2)
    assert len(inbox.texts) <= 4


@pytest.mark.deep
async def test_a_notice_that_nobody_heeds_is_left_to_the_next_way(service: Service, raw_host: Raw, inbox: InboxSocket) -> None:
    token = service.register("claude")
    hooks = ["socket", "prompt", "tool"]  # as the hooks of 0.3.0 said it
    bound = Binding(host="claude", session="s1", name="claude", token=token, project="", look_s=1, reach=hooks)
    host_sessions.save(str(service.home), bound)
    host = raw_host(service, "claude", **claude(inbox))
    host.initialize("claude-code")
    host.call(1, "list_instances")
    wait_for("word of all ways", lambda: reach(service, "claude") == ["socket", "prompt", "tool", "footer"])
    with contextlib.closing(Connection(service.settings)) as other:
        other.request("subscribe", session_token=token, notify=True, ways=["monitor"])
        service.connect("fred").send("claude", "x")
        wait_for("the notice", lambda: inbox.texts)
        found = wait_for("its turn", lambda: [p for p in other.poll_pushes(0.1) if p["push"] == "wake"])
        assert found[0]["way"] == "monitor"


@pytest.mark.deep
async def test_a_configured_name_is_reached_before_its_agent_has_called_any_tool(
    service: Service, raw_host: Raw, inbox: InboxSocket
) -> None:
    host = raw_host(service, "claude", IPC_NAME="claude", **claude(inbox))
    host.initialize("claude-code")
    wait_for("its session", lambda: "socket" in reach(service, "claude"))
    service.connect("fred").send("claude", "x")
    wait_for("the notice", lambda: inbox.texts)


@pytest.mark.deep
async def test_a_notice_comes_though_broker_and_shared_process_were_killed(
    service: Service, raw_host: Raw, inbox: InboxSocket
) -> None:
    host = raw_host(service, "claude", **claude(inbox))
    host.initialize("claude-code")
    host.call(1, "register", instance_id="claude")
    wait_for("word of the ways", lambda: "socket" in reach(service, "claude"))
    service.kill("broker")
    service.kill("mcp")
    host.call(2, "list_instances")
    service.connect("fred").send("claude", "x")
    wait_for("the notice", lambda: inbox.texts)


class Event(BaseModel):
    content: str
    meta: dict[str, str] = {}


class Channel(ClientExtension):
    """A client that takes channel messages."""

    identifier = "test/channel"

    def __init__(self) -> None:
        self.got: list[Event] = []

    async def _take(self, event: Event) -> None:
        self.got.append(event)

    def notifications(self) -> list[Any]:
        binding = NotificationBinding(method="notifications/claude/channel", params_type=Event, handler=self._take)
        return [binding]


@pytest.mark.deep
async def test_a_host_that_was_started_with_channels_gets_a_channel_message(service: Service, home: Path) -> None:
    token = service.register("claude")
    project = project_folder(home, "claude")
    bound = Binding(host="claude", session="s2", name="claude", token=token, project=str(project), channel=True)
    host_sessions.save(str(service.home), bound)
    env = {**service.env, "CLAUDE_CODE_SESSION_ID": "s2", "CLAUDE_PROJECT_DIR": str(project)}
    target = StdioServerParameters(command=COMMAND[0], args=COMMAND[1:], env=env, cwd=str(project))
    channel = Channel()
    with anyio.fail_after(40):
        async with Client(stdio_client(target), mode="legacy", extensions=[channel]) as client:
            await ok(client, "list_instances")
            await anyio.to_thread.run_sync(lambda: wait_for("its ways", lambda: "channel" in reach(service, "claude")))
            service.connect("fred").send("claude", "hello")
            while not channel.got:
                await anyio.sleep(0.01)
            assert channel.got[0].meta == {"unread": "1", "name": "claude"}
            assert [m["content"] for m in (await ok(client, "check"))["messages"]] == ["hello"]


@pytest.mark.deep
async def test_a_client_of_the_later_protocol_listens_for_the_inbox(agent: Any, shared: Service, tag: str) -> None:
    async with agent(f"claude{tag}", mode="auto") as client, client.listen(resource_subscriptions=[INBOX]) as listening:
        shared.connect(f"fred{tag}").send(f"claude{tag}", "hello")
        with anyio.fail_after(20):
            event = await listening.__anext__()
        assert event.uri == INBOX
        assert json.loads((await client.read_resource(INBOX)).contents[0].text)["unread"] == 1


async def test_a_client_of_the_handshake_subscribes_to_the_inbox(shared: Service, tag: str, raw_host: Raw) -> None:
    host = raw_host(shared, f"claude{tag}")
    assert host.initialize()["result"]["capabilities"]["resources"]["subscribe"] is True
    host.call(1, "register", instance_id=f"claude{tag}")
    assert host.ask(2, "resources/subscribe", uri=INBOX)["result"] == {}
    shared.connect(f"fred{tag}").send(f"claude{tag}", "hello")
    assert host.read() == {"jsonrpc": "2.0", "method": "notifications/resources/updated", "params": {"uri": INBOX}}
