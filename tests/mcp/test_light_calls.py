"""Whatever is answered without the SDK is answered as the SDK answers it."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS

from bridges.mcp.known_answers import FILE, KnownAnswers
from bridges.mcp.light_calls import LightCalls
from bridges.mcp.sdk_answers import said_by_the_sdk
from tests.conftest import Service
from tests.mcp.agents import RawHost

Raw = Callable[..., RawHost]
CLIENT = {"name": "test", "version": "1"}
HELLO: dict[str, Any] = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": CLIENT}
LATER = {"io.modelcontextprotocol/protocolVersion": "2026-07-28"}


def test_the_file_of_known_answers_is_what_the_sdk_says() -> None:
    with open(FILE, encoding="utf-8") as f:
        assert f.read() == said_by_the_sdk(), "run python -m bridges.mcp.sdk_answers"


HANDSHAKES: list[dict[str, Any]] = [
    *({**HELLO, "protocolVersion": version} for version in (*HANDSHAKE_PROTOCOL_VERSIONS, "2026-07-28", "1999-01-01", "")),
    *({**HELLO, "capabilities": can} for can in (
        {"roots": {}}, {"roots": {"listChanged": True}}, {"roots": {"listChanged": "no"}}, {"roots": {"x": True}}, {"x": 1},
        {"sampling": {}, "elicitation": {"form": {}}}, {"sampling": 1}, {"sampling": None}, {"experimental": {"a": {}}},
        {"experimental": {"a": 1}}, {"tasks": {"list": {}}}, {"tasks": {"requests": []}}, None, [],
        {"extensions": {"io.x/ui": {"mimeTypes": ["a/b"]}}}, {"extensions": {"a": []}}, {"extensions": []},
        {"experimental": None},
    )),
    *({**HELLO, "clientInfo": info} for info in (
        {**CLIENT, "title": "Test"}, {**CLIENT, "title": 5}, {"name": "test"}, {"name": 1, "version": "1"}, {}, None,
        {**CLIENT, "icons": [{"src": "x:y", "sizes": ["1x1"]}]},
        {**CLIENT, "icons": [{"src": 5}]}, {**CLIENT, "icons": {}}, {**CLIENT, "icons": [{"src": "x:y", "theme": "no"}]},
        {**CLIENT, "icons": [{"src": "x:y", "sizes": [1]}]}, {**CLIENT, "websiteUrl": "no url"}, {**CLIENT, "x": "y"},
    )),
    *({**HELLO, "_meta": meta} for meta in ({}, {"progressToken": 1}, {"progressToken": []}, 5, LATER)),
    {**HELLO, "more": 1},
    {**HELLO, "protocolVersion": 5},
    {},
]  # fmt: skip
REQUESTS: list[tuple[str, Any]] = [
    *((method, params) for method in ("ping", "tools/list", "resources/list", "resources/templates/list") for params in (
        None, {}, {"cursor": "x"}, {"cursor": 5}, {"cursor": None}, {"_meta": {"progressToken": "t"}}, {"_meta": LATER},
        {"x": 1}, [],
    )),
    ("prompts/list", {}),
    ("no/such", {}),
]  # fmt: skip


def line_of(number: int, method: str, params: Any) -> bytes:
    given = {} if params is None else {"params": params}
    return json.dumps({"jsonrpc": "2.0", "id": number, "method": method, **given}).encode()


def through_the_sdk(host: RawHost) -> RawHost:
    """From its first request that is not known on, a session is the SDK's."""
    host.initialize()
    assert host.ask("x", "prompts/list")["error"]["code"] == -32601
    return host


def known_or_none(handshake: dict[str, Any], *requests: tuple[str, Any]) -> list[dict[str, Any] | None]:
    known = KnownAnswers({})
    rows = [("initialize", handshake), *requests]
    return [known.answer(json.loads(line_of(number, *row))) for number, row in enumerate(rows)]


async def all_of_the_sdk(rows: list[tuple[str, Any]]) -> list[dict[str, Any]]:
    import asyncio

    from bridges.mcp.sdk import SdkSession
    from bridges.mcp.server import build

    answers: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def said(line: bytes, _key: str | None) -> None:
        answers.put_nowait(json.loads(line))

    session = SdkSession(build(), said)
    running = asyncio.get_running_loop().create_task(session.run())
    found = []
    for number, row in enumerate(rows):
        if await session.take(line_of(number, *row)):
            found.append(await answers.get())
        else:
            found.append({})
    session.end()
    await running
    return found


@pytest.mark.anyio
@pytest.mark.parametrize("handshake", HANDSHAKES, ids=json.dumps)
async def test_what_is_known_of_a_handshake_is_what_the_sdk_answers(handshake: dict[str, Any]) -> None:
    (judged,) = await all_of_the_sdk([("initialize", handshake)])
    (known,) = known_or_none(handshake)
    assert known is None or known == judged


@pytest.mark.anyio
async def test_what_is_known_of_any_request_is_what_the_sdk_answers() -> None:
    rows = [("initialize", HELLO), *REQUESTS]
    for judged, known in zip(await all_of_the_sdk(rows), known_or_none(HELLO, *REQUESTS), strict=True):
        assert known is None or known == judged
    for before in ([("ping", {})], [("tools/list", {})], [("ping", {"_meta": LATER})]):
        known_answers = KnownAnswers({})
        for number, (row, judged) in enumerate(zip([*before, *rows], await all_of_the_sdk([*before, *rows]), strict=True)):
            known = known_answers.answer(json.loads(line_of(number, *row)))
            assert known is None or known == judged, (before, row)


def test_ordinary_handshakes_and_lists_need_no_sdk() -> None:
    can = {"roots": {"listChanged": True}, "elicitation": {}, "extensions": {"io.x/ui": {"mimeTypes": ["a/b"]}}}
    info = {**CLIENT, "title": "Test", "websiteUrl": "https://example.org", "icons": [{"src": "x:y", "sizes": ["1x1"]}]}
    ordinary = {**HELLO, "capabilities": can, "clientInfo": info}
    requests = [("tools/list", None), ("tools/list", {"_meta": {"progressToken": 1}}), ("ping", None), ("resources/list", {})]
    assert None not in known_or_none(ordinary, *requests)


@pytest.mark.parametrize(("client", "offered"), [("test", True), ("codex-mcp-client", False), ("claude-code", False)])
def test_a_host_that_our_hooks_bring_mail_to_is_offered_no_resources_for_whose_tools_its_model_would_pay(
    client: str, offered: bool
) -> None:
    (answer,) = known_or_none({**HELLO, "clientInfo": {**CLIENT, "name": client}})
    assert ("resources" in answer["result"]["capabilities"]) == offered


CALLS: list[tuple[str, Any]] = [
    ("register", {"instance_id": "me"}),
    ("register", {"instance_id": "me", "force": False, "wait_for_previous": True}),
    ("register", {"instance_id": "not a name!"}),
    ("send", {"to_id": "me", "content": "hi", "data": {"a": [1, None]}, "thread": None, "land": "turn", "expires_s": 60}),
    ("send", {"to_id": "me", "content": '{"a": 1}', "thread": "null"}),
    ("send", {"to_id": "me", "content": "\N{GRINNING FACE} \u2028"}),
    ("send", {"to_id": "me", "content": 5}),
    ("send", {"to_id": "me"}),
    ("send", {"content": "x"}),
    ("send", {"to_id": "me", "text": "x"}),
    ("send", {"to_id": "me", "content": "x", "land": "never"}),
    ("check", {"count_only": True}),
    ("check", {"wait_s": "0"}),
    ("check", {"wait_s": 301}),
    ("check", {"wait_s": True}),
    ("check", {}),
    ("list_instances", {"group": "none"}),
    ("claim", {"resource": "src/**", "note": "mine", "minutes": 5}),
    ("claim", {"do": "list"}),
    ("claim", {"resource": "src/**", "do": "release"}),
    ("manage", {"do": "presence", "name": "working", "note": "tests"}),
    ("manage", {"do": "autocheck", "minutes": 2.0}),
    ("manage", {"do": "no such"}),
    ("history", {"limit": 1, "receipts_of": ["999999999"]}),
    ("history", {"words": "hi", "limit": 3}),
    ("say", {"text": "who am i?"}),
    ("ask", {"to_id": "me", "content": "why?", "wait_s": 0, "deadline_s": 60}),
    ("share_command", {"to_id": "me", "command": "ls"}),
    ("no_such_tool", {}),
]  # fmt: skip


def test_a_call_is_answered_as_the_sdk_answers_it(shared: Service, tag: str, raw_host: Raw) -> None:
    """Two agents do the same, one without the SDK; ids, times and their names differ."""
    told = []
    for name, start in (("light", RawHost.initialize), ("heavy", through_the_sdk)):
        host = raw_host(shared, f"{name}{tag}")
        start(host)
        mine = json.dumps(CALLS).replace('"me"', f'"{name}{tag}"')
        answers = [host.ask(n, "tools/call", name=tool, arguments=given) for n, (tool, given) in enumerate(json.loads(mine))]
        said = (json.dumps(answer, sort_keys=True).replace(f"{name}{tag}", "me") for answer in answers)
        told.append([re.sub(r"[0-9a-f]{8,}|\d+", "N", text) for text in said])
    assert told[0] == told[1]


def test_ordinary_calls_need_no_sdk_and_calls_with_wrong_arguments_do() -> None:
    calls = LightCalls()
    fit = {
        json.dumps(row): calls.call(json.loads(line_of(1, "tools/call", {"name": row[0], "arguments": row[1]})))
        for row in CALLS
    }
    needed = [json.loads(row) for row, call in fit.items() if call is None]
    assert needed == [
        ["send", {"to_id": "me", "content": '{"a": 1}', "thread": "null"}],
        ["send", {"to_id": "me", "content": 5}],
        ["send", {"content": "x"}],
        ["send", {"to_id": "me", "text": "x"}],
        ["send", {"to_id": "me", "content": "x", "land": "never"}],
        ["check", {"wait_s": "0"}],
        ["check", {"wait_s": 301}],
        ["check", {"wait_s": True}],
        ["manage", {"do": "autocheck", "minutes": 2.0}],
        ["manage", {"do": "no such"}],
        ["no_such_tool", {}],
    ]
