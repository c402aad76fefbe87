"""Every action over every local door, each field missing, null, of each wrong type and out of bounds: never ``internal``."""

import json
import socket
import struct
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest
import zmq

from broker.home.endpoints import endpoint
from broker.home.files import owner_key
from broker.home.paths import wire_socket
from broker.protocol.actions import ACTIONS
from broker.protocol.rows import Access, Action, Field
from tests.conftest import Service

Ask = Callable[[dict[str, Any]], dict[str, Any]]
DOORS = ("wire", "zeromq", "tcp", "lines")
JSON_DOORS = ("tcp", "lines")
DOORS_OWN = ("peer_uid", "client", "person")
SAMPLES: dict[type, Any] = {str: "x", int: 5, float: 1.5, list: [], dict: {}, bool: True}


class Doors:
    """One connection to each door of a service, a name registered at each, and the owner's key."""

    def __init__(self, service: Service) -> None:
        home = str(service.home)
        self.owner = owner_key(service.settings.home)
        self.ask: dict[str, Ask] = {
            "wire": framed(unix(wire_socket(home))),
            "zeromq": dealer(endpoint(service.settings)),
            "tcp": lines(service.tcp()),
            "lines": lines(unix(wire_socket(home))),
        }
        self.token = {}
        for door in DOORS:
            reply = self.ask[door]({"action": "register", "instance_id": f"at-{door}"})
            assert reply["status"] == "ok", reply
            self.token[door] = reply["session_token"]

    def try_(self, door: str, action: Action, fields: dict[str, Any]) -> dict[str, Any]:
        token = self.owner if action.access is Access.OWNER else self.token[door]
        if action.name == "unregister":  # not the name that the other requests are made as
            token = self.ask[door]({"action": "register", "instance_id": f"at-{door}-3"})["session_token"]
        body = {**base(action, door), "session_token": token, **fields}
        return self.ask[door]({name: value for name, value in body.items() if value is not MISSING})


MISSING = object()


def unix(path: str) -> socket.socket:
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(20)
    s.connect(path)
    return s


def lines(s: socket.socket) -> Ask:
    stream = s.makefile("rwb")

    def ask(body: dict[str, Any]) -> dict[str, Any]:
        stream.write(json.dumps(body).encode() + b"\n")
        stream.flush()
        while "push" in (reply := json.loads(stream.readline())):
            pass
        return dict(reply)

    return ask


def framed(s: socket.socket) -> Ask:
    stream = s.makefile("rwb")

    def read() -> list[dict[str, Any]]:
        (size,) = struct.unpack(">I", stream.read(4))
        return list(msgpack.unpackb(stream.read(size), strict_map_key=False))

    def ask(body: dict[str, Any]) -> dict[str, Any]:
        raw = msgpack.packb([body])
        stream.write(struct.pack(">I", len(raw)) + raw)
        stream.flush()
        return reply_in(read)

    return ask


def dealer(address: str) -> Ask:
    s = zmq.Context.instance().socket(zmq.DEALER)
    s.setsockopt(zmq.LINGER, 0)
    s.setsockopt(zmq.RCVTIMEO, 20_000)
    s.connect(address)

    def ask(body: dict[str, Any]) -> dict[str, Any]:
        s.send(msgpack.packb([body]))
        return reply_in(lambda: list(msgpack.unpackb(s.recv(), strict_map_key=False)))

    return ask


def reply_in(read: Callable[[], list[dict[str, Any]]]) -> dict[str, Any]:
    while True:
        for body in read():
            if "push" not in body:
                return body


def base(action: Action, door: str) -> dict[str, Any]:
    """A request of the action in which nothing is wrong but what it refers to."""
    if action.name == "register":  # not the name that the other requests are made as
        door = f"{door}-2"
    fields: dict[str, Any] = {"action": action.name, "id": 1}
    for field in action.fields:
        if field.required:
            fields[field.name] = sound(field, door)
    return fields


def sound(field: Field, door: str) -> Any:
    if field.name == "message":
        return {"content": "x"}
    if field.name in ("instance_id", "from_id", "old_id"):
        return f"at-{door}"
    if field.choices:
        return field.choices[0]
    if field.types[0] in (int, float):
        return max(1, int(field.low or 0))
    return [] if field.types[0] is list and not field.low else ["1"] if field.types[0] is list else "x"


def wrong(field: Field) -> Iterator[Any]:
    """Values of each wrong type, and beyond each bound."""
    for kind, value in SAMPLES.items():
        if kind not in field.types and not (kind is int and float in field.types):
            yield value
    if field.choices:
        yield "none of them"
    text = str in field.types and int not in field.types
    if field.high is not None:
        yield "x" * (int(field.high) + 1) if text else ["x"] * (int(field.high) + 1) if list in field.types else field.high + 1
    if field.low is not None and field.low > 0:
        yield "" if text else [] if list in field.types else field.low - 1
    if field.low is not None and not text and list not in field.types:
        yield field.low - 1


@pytest.fixture(scope="module")
def doors() -> Iterator[Doors]:
    with tempfile.TemporaryDirectory(prefix="ipc-") as folder:
        service = Service(Path(folder), IPC_RATE_LIMIT="0")
        try:
            yield Doors(service.start())
        finally:
            service.stop()


TABLE = [
    pytest.param(door, action, id=f"{action.name}-{door}")
    for action in ACTIONS.values()
    for door in DOORS
    if action.access is not Access.OWNER or door not in JSON_DOORS  # to which those are unknown
    if not action.here or door != "tcp"
]


@pytest.mark.parametrize(("door", "action"), TABLE)
def test_a_wrong_field_is_a_bad_request(doors: Doors, door: str, action: Action) -> None:
    for field in action.fields:
        if field.name in DOORS_OWN and door == "tcp":
            continue  # the door sets it in place of what a client says
        for value in wrong(field):
            reply = doors.try_(door, action, {field.name: value})
            assert reply.get("code") == "bad_request", (field.name, value if len(str(value)) < 99 else "long", reply)
            assert field.name in reply["message"], reply


@pytest.mark.parametrize(("door", "action"), TABLE)
def test_null_is_a_field_left_out(doors: Doors, door: str, action: Action) -> None:
    for field in action.fields:
        null = doors.try_(door, action, {field.name: None})
        out = doors.try_(door, action, {field.name: MISSING})
        assert null.get("code") == out.get("code"), (field.name, null, out)
        if field.required:
            assert null["code"] == "bad_request" and field.name in null["message"]
        assert null.get("code") != "internal"


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.deep
def test_the_fields_of_every_request_may_hold_anything(doors: Doors, door: str) -> None:
    for name in ("session_token", "door", "bound_name", "peer_uid", "action"):
        for value in (None, "x", 5, 1.5, [], {}, True, ["x"], {"x": 1}):
            for action in ("whoami", "send", "check", "subscribe", "unsubscribe", "say", "ack", "ping"):
                body = {
                    "action": action,
                    "id": 1,
                    "session_token": doors.token[door],
                    "to_id": "x",
                    "ids": [],
                    "text": "who am I?",
                }
                reply = doors.ask[door]({**body, "message": {"content": "x"}, name: value})
                assert reply.get("code") != "internal", (name, value, action, reply)
    for value in ("x", 5):
        assert doors.ask[door]({"action": "ping", "id": value})["id"] == value


MESSAGES = [
    ({}, "content"),
    ({"content": None}, "content"),
    ({"content": 5}, "content"),
    ({"content": []}, "content"),
    ({"data": {"a": 1}}, "content"),
]


@pytest.mark.parametrize(("door", "action"), [p for p in TABLE if any(f.name == "message" for f in p.values[1].fields)])
def test_a_message_without_content_is_refused(doors: Doors, door: str, action: Action) -> None:
    for message, named in MESSAGES:
        reply = doors.try_(door, action, {"message": message})
        assert reply.get("code") == "bad_request", (message, reply)
        assert named in reply["message"]


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("ids", [[None], [1.5], [True], [[]], [{}], ["x"], [-1], ["-1"], [2**63], ["²"]], ids=str)
def test_ids_that_are_none_are_a_bad_request(doors: Doors, door: str, ids: list[Any]) -> None:
    for action in ("ack", "release", "receipts"):
        reply = doors.try_(door, ACTIONS[action], {"ids": ids})
        assert reply.get("code") in ("bad_request", "unknown_message"), (action, reply)


@pytest.mark.parametrize("door", DOORS)
def test_what_a_door_ignores_it_names(doors: Doors, door: str) -> None:
    token, text = doors.token[door], {"content": "x", "text": "y"}
    for body, ignored in (
        ({"action": "send", "to_id": "x", "message": text, "urgent": True}, ["message.text", "urgent"]),
        ({"action": "check", "timeout": 5}, ["timeout"]),
        ({"action": "list", "x" * 99: 1}, ["x" * 32]),
        ({"action": "list", **{f"f{i}": i for i in range(20)}}, sorted(f"f{i}" for i in range(20))[:8]),
        ({"action": "whoami"}, None),
        ({"action": "check", "wait_s": 0, "instance_id": f"at-{door}"}, None),
        ({"action": "send", "to_id": "x", "message": {"content": "x"}, "from_id": f"at-{door}"}, None),
    ):
        reply = doors.ask[door]({**body, "id": 1, "session_token": token})
        assert (reply["status"], reply.get("ignored")) == ("ok", ignored), reply
    for message, named in (({"text": "lost"}, "text"), ({"body": "lost", "to": "x"}, "body, to")):
        reply = doors.ask[door]({"action": "send", "to_id": "x", "message": message, "session_token": token})
        assert reply["code"] == "bad_request" and reply["message"].endswith(f"it has {named}, which says nothing"), reply
