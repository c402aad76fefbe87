"""MCP by the letter: every request is answered by its id, and nothing that a model gave is lost in silence."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.conftest import Service
from tests.mcp.agents import RawHost, error

Raw = Callable[..., RawHost]


@pytest.mark.parametrize(
    ("line", "number"),
    [
        (b'{"jsonrpc":"2.0","id":3,"method":5}', 3),
        (b'{"id":"x","method":"ping"}', "x"),
        (b'{"jsonrpc":"2.0","id":4,"method":"tools/list","params":"\\ud83d"}', 4),
        (b'{"jsonrpc":"2.0","id":1.5,"method":5}', None),
        (b'{"jsonrpc":"2.0","id":true,"method":5}', None),
        (b"[]", None),
    ],
)
def test_json_that_is_no_request_is_answered_by_its_id(shared: Service, raw_host: Raw, line: bytes, number: Any) -> None:
    host = raw_host(shared)
    host.initialize()
    host.write(line)
    reply = host.read()
    assert (reply["id"], reply["error"]["code"]) == (number, -32600)
    assert host.ask(9, "ping")["result"] == {}


def test_half_a_surrogate_pair_is_a_tool_s_error(shared: Service, tag: str, raw_host: Raw) -> None:
    host = raw_host(shared)
    capabilities = host.initialize()["result"]["capabilities"]
    assert "prompts" not in capabilities and "tools" in capabilities
    host.call(1, "register", instance_id=f"me{tag}")
    arguments = {"to_id": f"me{tag}", "content": "half \ud83d pair"}
    call = {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "send", "arguments": arguments}}
    host.write(json.dumps(call).encode())
    reply = host.read()
    assert reply["id"] == 2 and reply["result"]["isError"] and "surrogate" in reply["result"]["content"][0]["text"]
    assert host.call(3, "check")["messages"] == []


@pytest.mark.anyio
async def test_every_argument_of_every_tool_has_a_type(agent: Any) -> None:
    async with agent(None) as client:
        for tool in (await client.list_tools()).tools:
            for name, schema in tool.input_schema.get("properties", {}).items():
                assert isinstance(schema.get("type"), str) or schema.get("enum") or schema.get("anyOf"), (tool.name, name)


@pytest.mark.anyio
async def test_unknown_arguments_and_empty_messages_are_refused(agent: Any, tag: str) -> None:
    async with agent(f"fred{tag}") as fred:
        assert "no argument 'text'. Did you mean content? It takes: to_id, content" in await error(
            fred, "send", to_id=f"fred{tag}", text="lost"
        )
        assert "no argument 'wait'" in await error(fred, "check", wait=5)
        for tool, arguments in (
            ("send", {"to_id": f"fred{tag}"}),
            ("send", {"to_id": f"fred{tag}", "content": ""}),
            ("broadcast", {"content": ""}),
            ("ask", {"to_id": f"fred{tag}", "content": ""}),
        ):
            assert "nothing to send" in await error(fred, tool, **arguments)
        result = await fred.call_tool("send", {"to_id": f"fred{tag}", "data": [1, 2], "wait_for_previous": True})
        assert not result.is_error
