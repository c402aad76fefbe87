"""Frames: what is one, and that nothing else reaches or stops a broker."""

from typing import Any

import msgpack
import pytest
import zmq
from hypothesis import given
from hypothesis import strategies as st

from broker.home.endpoints import endpoint
from broker.protocol import frames
from tests.conftest import Service
from tests.examples import examples
from tests.protocol.hostile import HOSTILE


@examples(500)
@given(st.binary(max_size=200))
def test_bytes_are_a_frame_or_a_frame_error(raw: bytes) -> None:
    try:
        maps = frames.decode(raw)
    except frames.FrameError:
        return
    assert all(isinstance(m, dict) for m in maps)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(st.lists(st.dictionaries(st.text().filter(lambda k: k != "id"), json_values, max_size=4), min_size=1, max_size=4))
def test_what_is_encoded_is_decoded(maps: list[dict[str, Any]]) -> None:
    assert frames.decode(frames.encode(maps)) == maps


@pytest.fixture
def dealer(service: Service) -> Any:
    context = zmq.Context()
    s = context.socket(zmq.DEALER)
    s.linger = 0
    s.connect(endpoint(service.settings))
    yield s
    s.close()
    context.term()


def test_a_hostile_frame_gets_an_error_and_the_same_broker_goes_on(service: Service, dealer: Any) -> None:
    pid = service.pid("broker")
    for raw in HOSTILE:
        dealer.send(raw)
        assert dealer.poll(5000)
        assert msgpack.unpackb(dealer.recv())[0]["code"] == "bad_request", raw[:20]
    dealer.send_multipart([b"a", b"b"])
    assert dealer.poll(5000)
    dealer.recv()
    dealer.send(msgpack.packb([{"action": "ping", "id": "x"}]))
    assert dealer.poll(5000)
    assert msgpack.unpackb(dealer.recv())[0]["pid"] == pid
