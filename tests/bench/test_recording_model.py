"""The model for real hosts: what it keeps of requests, how it answers, and what is counted as ours in them."""

import contextlib
import http.client
import json
from collections.abc import Iterator
from typing import Any

import pytest

from bench.hosts.model_dialects import ANSWER
from bench.hosts.recording_model import RecordingModel, ServiceError
from bench.hosts.tokens import added, lines_of, new_lines

TOOLS: dict[str, Any] = {"tools": [{"name": "Read"}]}
FORMS = {
    "/v1/messages": ({"messages": [{"role": "user", "content": "hello"}]}, '"name": "Read"'),
    "/v1/responses": ({"input": [{"role": "user", "content": "hello"}]}, '"name": "Read"'),
    "/v1/chat/completions": ({"messages": [{"role": "user", "content": "hello"}]}, '"name": "Read"'),
    "/streamed/chat/completions": ({"messages": [{"role": "user", "content": "hello"}], "stream": True}, '"name": "Read"'),
    "/v1beta/models/m:streamGenerateContent": ({"contents": [{"parts": [{"text": "hello"}]}]}, '"functionCall"'),
}


@pytest.fixture
def model() -> Iterator[RecordingModel]:
    with RecordingModel() as model:
        yield model


def post(model: RecordingModel, path: str, body: dict[str, Any]) -> tuple[int, str]:
    connection = http.client.HTTPConnection(model.url.removeprefix("http://"), timeout=10)
    with contextlib.closing(connection):
        connection.request("POST", path, json.dumps(body))
        reply = connection.getresponse()
        return reply.status, reply.read().decode()


def ask(model: RecordingModel, path: str, body: dict[str, Any]) -> str:
    status, text = post(model, path, body)
    assert status == 200
    return text


@pytest.mark.parametrize("path", FORMS)
def test_an_order_is_answered_by_tool_calls_and_everything_else_by_text(model: RecordingModel, path: str) -> None:
    body, called = FORMS[path]
    model.order_together(("Read", {"n": 1}), ("Read", {"n": 2}))
    assert ask(model, path, {**body, **TOOLS}).count(called) >= 2
    assert ANSWER in ask(model, path, {**body, **TOOLS})
    assert [request.number for request in model.requests] == [1, 2]
    first = model.first_with("hello")
    assert first is not None and first.number == 1 and model.saw("hello") == 2
    assert ANSWER in ask(model, path, body)
    assert len(model.requests) == 2  # a request for a title offers no tools


def test_a_script_may_have_the_service_fail(model: RecordingModel) -> None:
    def fails(_request: object) -> Any:
        raise ServiceError(529)

    model.script = fails
    assert post(model, "/v1/messages", {**FORMS["/v1/messages"][0], **TOOLS})[0] == 529
    assert model.saw("hello") == 1


def test_what_is_ours_is_what_a_request_has_beyond_that_without_us() -> None:
    bare = {"system": [{"text": "You are an agent."}], "messages": [{"role": "user", "content": "hello"}]}
    ours = {**bare, "messages": [{"role": "user", "content": [{"type": "text", "text": "agent-ipc: mail\nhello"}]}]}
    assert added(lines_of(bare), lines_of(ours)) == "agent-ipc: mail"
    assert added(["a list: one"], ["a list: one, two"]) == ", two"


def test_what_is_new_in_a_request_is_all_but_the_model_s_own_answer(model: RecordingModel) -> None:
    said: list[dict[str, Any]] = [{"role": "user", "content": "hello"}]
    ask(model, "/v1/messages", {"messages": said, **TOOLS})
    result = {"type": "tool_result", "content": [{"type": "text", "text": "read"}]}
    said += [
        {"role": "assistant", "content": ANSWER},
        {"role": "user", "content": [result]},
        {"role": "system", "content": "mail"},
    ]
    ask(model, "/v1/messages", {"messages": said, **TOOLS})
    assert new_lines(*model.requests) == ["read", "mail"]
