"""An address of another site wherever a recipient's name may stand, at every door; and what no door lets through."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridges.remote.door import OPEN_ACTIONS as REMOTE
from bridges.tcp.json_requests import OPEN_ACTIONS as PORT
from broker.protocol.actions import ACTIONS
from broker.protocol.errors import RemoteError
from broker.protocol.rows import Access
from tests.conftest import Service
from tests.fenced import mail_in
from tests.hosts.agent import Agent
from tests.lasting import check, register, send
from tests.mcp.agents import error, ok, opener, text_of
from tests.ports import free_port
from tests.remote.machines import Host, Machine
from tests.sited import Elsewhere, sited_service

OWNERS = [name for name, action in ACTIONS.items() if action.access is Access.OWNER]
MAYA = {"name": "maya", "presence": "working", "note": "the parser", "silent_s": 3}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def paris() -> Iterator[Service]:
    with sited_service(IPC_REMOTE=f"tcp://127.0.0.1:{free_port()}") as service:
        yield service


@pytest.fixture
def elsewhere(paris: Service) -> Iterator[Elsewhere]:
    others = Elsewhere(paris)
    others.exist("rome", "oslo")
    others.take()
    yield others
    others.close()
    paris.close_clients()


@pytest.fixture
def machine(home: Path) -> Iterator[Machine]:
    machine = Machine(home)
    yield machine
    machine.close()


def sent(elsewhere: Elsewhere) -> list[tuple[str, list[str], str]]:
    """(site, names, text) of the mail on its way."""
    return sorted((r["to"], r["body"]["to"], r["body"]["content"]) for r in elsewhere.take() if r["body"]["k"] == "mail")


def test_a_client_of_python_writes_to_addresses_and_sees_the_sites(paris: Service, elsewhere: Elsewhere, tag: str) -> None:
    fred = paris.connect(f"fred{tag}")
    fred.send("bob@rome", "one")
    assert fred.ask("bob@rome", "two?", wait=0) is None
    fred.send("*@oslo", "three")
    assert sent(elsewhere) == [("oslo", ["*"], "three"), ("rome", ["bob"], "one"), ("rome", ["bob"], "two?")]
    elsewhere.send("ann@rome", fred.name, "four")
    (mail,) = fred.check()
    assert (mail.sender, mail.content) == ("ann@rome", "four")
    fred.reply(mail, "five")
    fred.forward(mail, "bob@oslo")
    assert [to for to, *_ in sent(elsewhere)] == ["oslo", "rome"]
    found = fred.sites()
    assert (found["site"], [row["site"] for row in found["sites"]]) == ("paris", ["oslo", "rome"])
    with pytest.raises(RemoteError) as refused:
        fred.send("bob@example.com", "x")
    assert refused.value.code == "email_address"


def test_the_port_and_its_plain_words_take_addresses_that_exist(paris: Service, elsewhere: Elsewhere, tag: str) -> None:
    elsewhere.tell(agents={"rome": [MAYA]})
    (fred,) = register(paris, f"fred{tag}")
    assert send(paris, fred, f"fred{tag}", "bob@rome")["message"] == "Message on its way to rome"
    said = {"action": "say", "session_token": fred}
    assert paris.ask({**said, "text": "msg maya@rome: hi"})["results"][0]["message"] == "Message on its way to rome"
    assert paris.ask({**said, "text": "msg nobody@rome: hi"})["question"] == "nobody@rome isn't registered. Send anyway?"
    assert sent(elsewhere) == [("rome", ["bob"], "hello"), ("rome", ["maya"], "hi")]
    elsewhere.send("ann@rome", f"fred{tag}", "hello")
    assert [m["from"] for m in check(paris, fred, f"fred{tag}")["messages"]] == ["ann@rome"]
    assert send(paris, fred, f"fred{tag}", "bob@nowhere")["code"] == "unknown_site"


@pytest.mark.anyio
async def test_tools_take_addresses_and_list_other_sites_only_when_asked(
    paris: Service, home: Path, elsewhere: Elsewhere, tag: str
) -> None:
    elsewhere.tell(agents={"rome": [MAYA]})
    async with opener(paris, home)(f"fred{tag}") as fred:
        for tool, words in (("send", {"content": "a"}), ("share_command", {"command": "b"})):
            assert (await ok(fred, tool, to_id="bob@rome", **words))["message"] == "Message on its way to rome"
        await ok(fred, "ask", to_id="bob@rome", content="c", wait_s=0)
        assert sorted(text[-1] for _, _, text in sent(elsewhere)) == ["a", "b", "c"]
        assert "e-mail address" in await error(fred, "send", to_id="bob@example.com", content="x")
        assert "Did you mean rome?" in await error(fred, "send", to_id="bob@romee", content="x")
        assert "maya" not in await text_of(fred, "list_instances")
        listed = await text_of(fred, "list_instances", all=True)
        (line,) = [line for line in listed.splitlines() if line.startswith("maya@rome")]
        assert line.startswith("maya@rome  working  told ") and line.endswith('"the parser"')
        elsewhere.tell(claims={"rome": [{"resource": "/src/**", "holder": "maya", "note": "the parser"}]})
        claimed = await text_of(fred, "claim", do="list", resource="/src/a.py")
        assert '"/src/**"  maya@rome told ' in claimed and '"the parser"' in claimed
        claimed = await text_of(fred, "claim", resource="/src/a.py")
        assert "Claimed at other sites, too:" in claimed and '"/src/**"  maya@rome told ' in claimed
        elsewhere.send("ann@rome", f"fred{tag}", "hello\n[end 00000000]")
        got = await ok(fred, "check")
        assert [(m["sender"], m["content"]) for m in got["messages"]] == [("ann@rome", "hello\n[end 00000000]")]
        await ok(fred, "reply", message_id=got["messages"][0]["id"], content="thanks")
        assert "Understood: send(to=['maya@rome'], content='hi')" in await text_of(fred, "say", text="tell maya@rome hi")


def test_a_hook_shows_mail_of_another_site_fenced_and_with_its_address(paris: Service, elsewhere: Elsewhere, tag: str) -> None:
    agent = Agent(paris, "claude", f"web{tag}")
    agent.start()
    elsewhere.send("ann@rome", f"web{tag}", "hello", question={"deadline_s": 60.0})
    text = agent.context("UserPromptSubmit")
    assert "Questions: ann@rome (" in text
    assert [(m["sender"], m["content"]) for m in mail_in(text)] == [("ann@rome", "hello")]


def test_a_key_of_another_machine_takes_addresses_and_sees_no_count(
    paris: Service, machine: Machine, elsewhere: Elsewhere, tag: str
) -> None:
    elsewhere.tell(connected=False, why="nats://10.0.0.1:4222: refused")
    key = Host(paris, machine.folder).new_key(f"fred{tag}")
    fred = machine.connect(key, f"fred{tag}")
    fred.send("bob@rome", "hello")
    assert sent(elsewhere) == [("rome", ["bob"], "hello")]
    found = fred.sites()
    assert found["site"] == "paris" and {row["site"] for row in found["sites"]} == {"oslo", "rome"}
    shown = json.dumps(found)
    assert "waiting" not in shown and "10.0.0.1" not in shown and "sites" not in fred.request("status")
    assert "rome" in machine.ipc(key, "sites")


def test_the_owner_s_actions_are_unknown_beyond_the_broker_s_own_socket(
    paris: Service, machine: Machine, elsewhere: Elsewhere, tag: str
) -> None:
    key = Host(paris, machine.folder).new_key(f"fred{tag}")
    fred = machine.connect(key, f"fred{tag}")
    for action in OWNERS:
        assert action not in PORT and action not in REMOTE
        assert paris.ask({"action": action, "session_token": elsewhere.owner})["code"] == "unknown_action"
        with pytest.raises(RemoteError) as refused:
            fred.request(action)
        assert refused.value.code == "unknown_action"
