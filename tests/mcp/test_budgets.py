"""What a tool gives a model fits what every host passes on, and says how to get the rest."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from bridges.fence import BUDGET_CHARS
from tests.conftest import Service
from tests.fenced import mail_in
from tests.mcp.agents import ok

pytestmark = pytest.mark.anyio
Agent = Callable[..., Any]


async def whole(client: Any, tool: str, **arguments: Any) -> tuple[str, dict[str, Any]]:
    """(text, structured content) of a result whose halves are both within the budget."""
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    text = "\n".join(part.text for part in result.content)
    structured = result.structured_content or {}
    assert len(text) <= BUDGET_CHARS and len(json.dumps(structured, ensure_ascii=False)) <= BUDGET_CHARS
    return text, structured


@pytest.mark.deep
async def test_a_check_gives_what_fits_and_the_next_one_the_rest_in_order(own_agent: Agent, service: Service) -> None:
    bob = service.connect("bob")
    for number in range(12):
        bob.send("fred", f"message {number} " + "plain words " * 200)
    async with own_agent("fred") as fred:
        text, _ = await whole(fred, "check")
        seen = [m["content"].split(" plain")[0] for m in mail_in(text)]
        assert 2 <= len(seen) < 12 and f"{12 - len(seen)} more wait. Call check again." in text
        assert bob.request("status")["leased"] == len(seen)
        while len(seen) < 12:
            text, _ = await whole(fred, "check")
            seen += [m["content"].split(" plain")[0] for m in mail_in(text)]
    assert seen == [f"message {number}" for number in range(12)]


async def test_of_a_message_over_the_budget_the_rest_is_in_history(agent: Agent, shared: Service, tag: str) -> None:
    words = "".join(f"{n:05d} " for n in range(1000))
    bob = shared.connect(f"bob{tag}")
    bob.send(f"fred{tag}", words, {"numbers": list(range(2000, 4000))})
    bob.send(f"fred{tag}", "next")
    async with agent(f"fred{tag}") as fred:
        text, _ = await whole(fred, "check")
        got = ""
        while True:
            got += text.partition("]")[2].partition("\n")[2].split("\n[end ")[0]
            rest = re.search(r'The rest: history\(id="(\d+)", offset=(\d+)\)', text)
            if rest is None:
                break
            text, _ = await whole(fred, "history", id=rest[1], offset=int(rest[2]))
        assert got == f"{words}\ndata: {json.dumps({'numbers': list(range(2000, 4000))})}"
        assert [m["content"] for m in mail_in((await whole(fred, "check"))[0])] == ["next"]


@pytest.mark.deep
async def test_long_lists_come_in_pages(own_agent: Agent, service: Service) -> None:
    names = [f"worker-{n:03}" for n in range(150)]
    for name in names:
        token = service.register(name)
        for request in (
            {"action": "presence", "state": "working", "note": "reviewing the parser of the second module"},
            {"action": "claim", "resource": f"/src/{name}/main.py", "note": "refactoring"},
            {"action": "send", "to_id": "fred", "message": {"content": "hello"}},
            {"action": "group_create" if name == names[0] else "group_join", "group": "team"},
        ):
            assert service.ask({**request, "session_token": token})["status"] == "ok"
    async with own_agent("fred") as fred:
        seen, after = [], None
        while True:
            _text, found = await whole(fred, "list_instances", **({"after": after} if after else {}))
            seen += [r["id"] for r in found["instances"]]
            if not found["more"]:
                break
            after = found["instances"][-1]["id"]
        assert seen == ["fred", *names] and found["groups"][0]["count"] == 150
        members, found = [], {"more": 1}
        while found["more"]:
            more = {"after": members[-1]} if members else {}
            _text, found = await whole(fred, "list_instances", group="team", **more)
            members += [r["id"] for r in found["instances"]]
        assert members == names
        held, found = [], {"more": 1}
        while found["more"]:
            more = {"after": held[-1]} if held else {}
            _text, found = await whole(fred, "claim", do="list", **more)
            held += [r["resource"] for r in found["rows"]]
        assert held == [f"/src/{name}/main.py" for name in names]
        text, _ = await whole(fred, "check", count_only=True)
        assert text.startswith("150 unread: ") and text.endswith(" and 140 more.")
        assert len((await fred.read_resource("ipc://status")).contents[0].text) <= BUDGET_CHARS


async def test_history_and_questions_come_in_pages(agent: Agent, tag: str) -> None:
    async with agent(f"fred{tag}") as fred, agent(f"bob{tag}") as bob:
        for number in range(40):
            await ok(bob, "ask", to_id=f"fred{tag}", content=f"{number} " + "why " * 100, wait_s=0)
        for arguments in ({"limit": 100}, {"questions": True}):
            ids: list[str] = []
            while True:
                text, _ = await whole(fred, "history", **arguments, **({"before": ids[-1]} if ids else {}))
                ids += re.findall(rf"(?:^|\] )id (\d+) from bob{tag}", text, re.MULTILINE)
                if "Older ones: before=" not in text:
                    break
            assert len(ids) == len(set(ids)) == 40
