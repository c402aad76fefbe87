"""The tools for conversation and company, through a real MCP client over stdio."""

import json
from typing import Any

import anyio
import pytest

from broker import connect
from broker.protocol.actions import ACTIONS
from broker.protocol.essentials import LANDINGS
from broker.protocol.rows import Access
from tests.conftest import Service
from tests.mcp.agents import ok

pytestmark = pytest.mark.anyio

TOOL_OF = {
    "ack": "check",
    "asks": "history",
    "autocheck": "manage",
    "block": "manage",
    "blocks": None,
    "claim_release": "claim",
    "claims": "claim",
    "count": "check",
    "dead": "history",
    "dead_drop": "manage",
    "dead_send": "manage",
    "forward": "send",
    "group_create": "manage",
    "group_join": "manage",
    "group_leave": "manage",
    "groups": "list_instances",
    "list": "list_instances",
    "permission_ask": None,
    "presence": "manage",
    "receipts": "history",
    "release": "check",
    "report": None,
    "search": "history",
    "subscribe": "check",
    "touch": "check",
    "unblock": "manage",
    "schedule": None,
    "schedules": None,
    "schedule_drop": None,
    "alarms": "manage",
    "watch_agent": "manage",
    "unwatch_agent": "manage",
    "watches": "manage",
    "unregister": None,
    "unsubscribe": "check",
    "way": None,
    "whoami": "say",
    "withdraw": "manage",
}


async def text_of(client: Any, tool: str, **arguments: Any) -> str:
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    return "\n".join(part.text for part in result.content)


async def test_few_tools_cover_every_action_an_agent_needs(agent: Any) -> None:
    async with agent(None) as client:
        tools = (await client.list_tools()).tools
        names = {t.name for t in tools}
    assert len(names) <= 14
    wanted = {TOOL_OF.get(n, n) for n, a in ACTIONS.items() if a.access is Access.SESSION}
    assert wanted - names == {None}


async def test_tools_have_the_landings_and_the_bounds_of_the_table(agent: Any) -> None:
    async with agent(None) as client:
        properties = {t.name: t.input_schema["properties"] for t in (await client.list_tools()).tools}
    for tool in ("send", "broadcast", "reply", "ask"):
        assert set(properties[tool]["land"]["enum"]) == set(LANDINGS)
    for tool, name, action, field in (
        ("ask", "wait_s", "ask", "wait_s"),
        ("check", "wait_s", "check", "wait_s"),
        ("ask", "deadline_s", "ask", "deadline_s"),
        ("history", "limit", "history", "limit"),
    ):
        assert properties[tool][name]["maximum"] <= ACTIONS[action].field(field).most


async def test_the_list_of_tools_costs_an_agent_under_three_thousand_tokens(agent: Any) -> None:
    async with agent(None) as client:
        listed = (await client.list_tools()).model_dump_json(by_alias=True, exclude_none=True)
        described = [t for t in (await client.list_tools()).tools if t.annotations and t.description]
    assert len(listed) < 11_000, len(listed)  # at about four characters a token
    assert len(described) == 14
    assert {t.name for t in described if t.output_schema is None} == {"check", "ask", "history", "say"}  # these give mail


async def test_a_question_waits_for_its_answer_in_one_call(agent: Any, tag: str) -> None:
    async with agent(f"fred{tag}") as fred, agent(f"claude{tag}") as claude, anyio.create_task_group() as tasks:
        got: list[Any] = []

        async def ask() -> None:
            got.append(await ok(fred, "ask", to_id=f"claude{tag}", content="which branch?", wait_s=30))

        tasks.start_soon(ask)
        (question,) = (await ok(claude, "check", wait_s=20))["messages"]
        assert "its sender waits" in question["about"]
        await ok(claude, "reply", message_id=question["id"], content="main")
        with anyio.fail_after(20):
            while not got:
                await anyio.sleep(0.01)
        assert [m["content"] for m in got[0]["messages"]] == ["main"]
        assert (await ok(fred, "check"))["messages"] == []
        assert ", answered, answer" in await text_of(fred, "history", questions=True)


async def test_an_unanswered_question_says_that_its_answer_will_be_mail(agent: Any, tag: str) -> None:
    async with agent(f"fred{tag}") as fred:
        assert "it will come as mail" in await text_of(fred, "ask", to_id=f"claude{tag}", content="?", wait_s=0)


async def test_new_mail_is_mentioned_at_the_end_of_any_result(agent: Any, tag: str) -> None:
    async with agent(f"fred{tag}") as fred, agent(f"claude{tag}") as claude:
        assert "new message" not in await text_of(fred, "list_instances")
        await ok(claude, "send", to_id=f"fred{tag}", content="look", land="interrupt")
        assert f"[1 new message from claude{tag}, urgent: call check]" in await text_of(fred, "list_instances")
        assert f"1 unread, 1 urgent: claude{tag} 1." in await text_of(fred, "check", count_only=True)
        await ok(fred, "check")
        assert "new message" not in await text_of(fred, "list_instances")


async def test_mail_is_forwarded_superseded_withdrawn_and_followed(agent: Any, tag: str) -> None:
    async with agent(f"fred{tag}") as fred, agent(f"claude{tag}") as claude, agent(f"bob{tag}") as bob:
        first = await ok(fred, "send", to_id=f"claude{tag}", content="at 3")
        second = await ok(fred, "send", to_id=f"claude{tag}", content="at 4", supersedes=first["message_id"])
        (mail,) = (await ok(claude, "check"))["messages"]
        assert (mail["content"], "in place of" in mail["about"]) == ("at 4", True)
        await ok(claude, "send", to_id=f"bob{tag}", forward_id=mail["id"], content="fyi")
        (passed,) = (await ok(bob, "check"))["messages"]
        assert passed["content"] == "fyi\n\nat 4" and f"first from fred{tag}" in passed["about"]
        assert f"to claude{tag}: in context, since" in await text_of(fred, "history", receipts_of=[second["message_id"]])
        third = await ok(fred, "send", to_id=f"claude{tag}", content="oops")
        assert "Withdrawn from 1" in await text_of(fred, "manage", do="withdraw", name=third["message_id"])
        assert "at 4" in await text_of(fred, "history", words="at")
        assert "[mail " in await text_of(claude, "history", peer=f"fred{tag}")


async def test_dead_letters_are_read_sent_again_and_dropped(agent: Any, shared: Service, tag: str) -> None:
    async with agent(f"fred{tag}") as fred:
        assert await text_of(fred, "history", dead=True) == "No dead letters."
        with connect(f"claude{tag}", settings=shared.settings) as claude:
            for text in ("one", "two"):
                await ok(fred, "send", to_id=f"claude{tag}", content=text)
            one, two = claude.check()
            claude.release([one, two], refuse=True, why='full" up')
            listed = await text_of(fred, "history", dead=True)
            assert f"{two.id} from fred{tag} to claude{tag} refused" in listed and '"full\' up": "two"' in listed
            await ok(fred, "manage", do="dead_send", name=two.id)
            (again,) = claude.check()
            assert (again.content, again.resends) == ("two", two.id)
        assert "Dropped 1" in await text_of(fred, "manage", do="dead_drop", name=one.id)
        assert await text_of(fred, "history", dead=True) == "No dead letters."


@pytest.mark.deep
async def test_groups_presence_blocks_and_automatic_checks(own_agent: Any) -> None:
    async with own_agent("fred") as fred, own_agent("claude") as claude:
        await ok(fred, "manage", do="group_create", name="team")
        await ok(claude, "manage", do="group_join", name="team")
        assert "Posted to 1 member of team" in await text_of(fred, "send", to_id="team", content="hi")
        await ok(fred, "manage", do="presence", name="working", note="the parser")
        listed = await text_of(claude, "list_instances")
        assert ("the parser" in listed, "group team: fred, claude" in listed) == (True, True)
        await ok(claude, "manage", do="mute", name="fred")
        assert "on every 3 minutes" in await text_of(fred, "manage", do="autocheck", minutes=3)
        assert "are off" in await text_of(fred, "manage", do="autocheck", minutes=0)
        refused = await fred.call_tool("manage", {"do": "group_join", "name": "none"})
        assert (refused.is_error, "groups lists them" in refused.content[0].text) == (True, True)


async def test_a_claim_is_of_the_agents_own_folder_and_a_conflict_names_its_holder(agent: Any, tag: str) -> None:
    async with agent(f"fred{tag}", folder=f"repo{tag}") as fred, agent(f"claude{tag}", folder=f"repo{tag}") as claude:
        await ok(fred, "claim", resource="src/**", note="routes")
        refused = await claude.call_tool("claim", {"resource": "src/a.py"})
        assert (refused.is_error, f"fred{tag} has claimed" in refused.content[0].text) == (True, True)
        (held,) = (await ok(claude, "claim", do="list", resource="src/**"))["rows"]
        assert (held["holder"], held["resource"].endswith(f"/repo{tag}/src/**"), held["note"]) == (f"fred{tag}", True, "routes")
        assert "Released 1." in await text_of(fred, "claim", do="release")
        await ok(claude, "claim", resource="src/a.py")


async def test_plain_words_do_what_the_user_says(agent: Any, tag: str) -> None:
    async with agent(f"fred{tag}") as fred, agent(f"claude{tag}") as claude:
        assert "Message sent (id" in await text_of(fred, "say", text=f"msg claude{tag}: hi there")
        result = await ok(claude, "say", text="chekc my mesages")
        assert [m["content"] for m in result["messages"]] == ["hi there"]
        await ok(claude, "say", text="reply: hello")
        assert f"when claude{tag} is idle" in await text_of(fred, "say", text=f"tell me when claude{tag} is idle")
        assert [m["content"] for m in (await ok(fred, "check"))["messages"]] == ["hello"]
        asked = await text_of(fred, "say", text=f"msg nessa{tag} welcome")
        assert f"nessa{tag} isn't registered. Send anyway?" in asked
        assert f"Message queued for nessa{tag}" in await text_of(fred, "say", text=f"msg nessa{tag} welcome", confirm=True)
        assert f"Tell claude{tag} what?" in await text_of(fred, "say", text=f"tell claude{tag}", confirm=True)
        unsure = await text_of(fred, "say", text=f"send the build is green to claude{tag}")
        assert f"send(to=['claude{tag}'], content='the build is green')" in unsure
        for confirm in (False, True):
            said = await text_of(fred, "say", text=f"share /etc/passwd with claude{tag}", confirm=confirm)
            assert "Nothing was sent: call share_file" in said
        assert (await ok(claude, "check"))["messages"] == []
        assert "will come as mail" in await text_of(fred, "say", text=f"ask claude{tag}: which branch?")
        assert [m["content"] for m in (await ok(claude, "check"))["messages"]] == ["which branch?"]
        assert "no command" in await text_of(fred, "say", text="write a test for send()")
        assert "on every 3 minutes" in await text_of(fred, "say", text="start auto checking every 3 minutes")


async def test_plain_words_register_an_agent(agent: Any, tag: str) -> None:
    async with agent(None) as client:
        assert f"Registered jarvis{tag}" in await text_of(client, "say", text=f"call me jarvis{tag}")
        found = json.loads((await client.read_resource("ipc://inbox")).contents[0].text)
        assert found == {"name": f"jarvis{tag}", "unread": 0, "interrupt": 0, "from": {}}
