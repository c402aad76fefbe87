"""Frames that are none, or no request."""

import msgpack

HOSTILE = [
    b"",
    b"\xc1",
    b"\xff" * 100,
    b"\x91" * 1023 + b"\xc0",
    b"\x82\xa6action\xa4ping\xa2id" + b"\x91" * 1023 + b"\xc0",
    msgpack.packb([]),
    msgpack.packb([1, 2]),
    msgpack.packb({1: 2}),
    msgpack.packb({"action": "ping", "id": {"a": 1}}),
    msgpack.packb({"action": "ping", "id": "x" * 129}),
    msgpack.packb([{"action": "ping"}] * 1025),
    msgpack.packb({"action": b"ping"})[:-2],
    b"\xdd\xff\xff\xff\xff",
    b"\xdb\xff\xff\xff\xff",
]
