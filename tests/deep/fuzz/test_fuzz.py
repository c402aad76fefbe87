"""A short run of every target, and the inputs that once got through."""

import json
import socket
from pathlib import Path

import pytest

from bridges.shared_files import read_file
from broker.protocol.actions import ACTIONS
from broker.protocol.errors import IpcError
from broker.protocol.json_text import parse
from tests.conftest import Service
from tests.deep.fuzz.__main__ import run
from tests.deep.fuzz.inputs import Inputs
from tests.deep.fuzz.targets import TARGETS


@pytest.mark.parametrize("name", TARGETS)
def test_no_input_gets_out_what_it_must_not(name: str) -> None:
    inputs = {"requests": 800, "streams": 500, "relay": 500, "tools": 500, "quick": 150, "hooks": 500}.get(name, 1500)
    found = run("short", inputs, name)
    assert found["problems"] == []
    assert found["inputs"] >= inputs


def test_a_number_that_is_infinite_is_refused() -> None:
    with pytest.raises(IpcError, match="finite"):
        parse(b'{"id":1e999}')


@pytest.mark.parametrize(("action", "field"), [("forward", "note"), ("claim", "note"), ("presence", "note")])
def test_a_field_with_only_an_upper_bound_is_refused_in_words(action: str, field: str) -> None:
    row = next(f for f in ACTIONS[action].fields if f.name == field)
    with pytest.raises(IpcError, match="must be at most"):
        row.check("x" * 100_000)


def test_spoiled_bytes_at_the_tcp_port_get_one_answer_each_and_leave_no_trace(service: Service) -> None:
    inputs = Inputs("port")
    token = service.register("fred")
    good = json.dumps({"action": "send", "to_id": "fred", "message": {"content": "x"}, "session_token": token}).encode()
    for _ in range(300):
        with service.tcp() as s:
            s.sendall(inputs.spoil(good) or b"x")
            s.shutdown(socket.SHUT_WR)
            raw = b""
            while chunk := s.recv(65536):
                raw += chunk
        for line in raw.splitlines():
            assert json.loads(line)["status"] in ("ok", "error"), raw
    assert service.connect("fred").whoami()["instance_id"] == "fred"
    for door in ("broker", "tcp"):
        assert not [line for line in service.log(door) if "traceback" in line]


@pytest.mark.parametrize("name", ["x" * 70_000, "a\0b", "\ud800", "/dev", ""])
def test_a_path_that_can_be_no_file_is_refused_in_few_words(name: str) -> None:
    with pytest.raises(IpcError) as refused:
        read_file(Path("/tmp") / name)  # noqa: S108 (nothing is made there)
    assert refused.value.code == "bad_request"
    assert len(refused.value.text) < 500
