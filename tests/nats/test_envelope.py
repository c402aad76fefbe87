"""What is signed and sealed can't be changed, moved, or read by another; nonsense is refused in words."""

from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridges.nats import envelope
from bridges.nats.envelope import ENTRY, MARK, Forged, Identity, packed, sealed, unpacked, verified, verify
from tests.nats.sites import row

PARIS, ROME, OSLO = (Identity(letter * 64) for letter in "123")
SUBJECT = "ipc.in.0.rome.paris"
ROW = row("rome", 3)


def test_an_entry_comes_out_as_it_went_in() -> None:
    payload = sealed(ROME.public, packed(ROW, ROW["body"]))
    verify(PARIS.public, ENTRY, SUBJECT, payload, PARIS.signature(ENTRY, SUBJECT, payload))
    found = unpacked(ROME.unsealed(payload))
    assert found == {name: ROW[name] for name in ("epoch", "seq", "uid", "prev", "low", "redo", "body")}


@pytest.mark.parametrize(
    ("key", "kind", "subject", "payload"),
    [
        (ROME.public, ENTRY, SUBJECT, b"x"),
        (PARIS.public, MARK, SUBJECT, b"x"),
        (PARIS.public, ENTRY, "ipc.in.0.oslo.paris", b"x"),
        (PARIS.public, ENTRY, SUBJECT, b"y"),
        ("00" * 32, ENTRY, SUBJECT, b"x"),
        ("no key", ENTRY, SUBJECT, b"x"),
    ],
)
def test_a_signature_holds_for_its_key_kind_subject_and_bytes_alone(key: str, kind: str, subject: str, payload: bytes) -> None:
    signature = PARIS.signature(ENTRY, SUBJECT, b"x")
    verify(PARIS.public, ENTRY, SUBJECT, b"x", signature)
    with pytest.raises(Forged):
        verify(key, kind, subject, payload, signature)


@pytest.mark.parametrize("value", [b"", b"short", bytes(64), bytes(200)])
def test_a_value_without_a_signature_is_none(value: bytes) -> None:
    with pytest.raises(Forged):
        verified(PARIS.public, MARK, SUBJECT, value)


def test_what_is_sealed_to_one_site_opens_at_no_other() -> None:
    with pytest.raises(Forged, match="not sealed to this site"):
        OSLO.unsealed(sealed(ROME.public, b"x"))


GOOD: list[Any] = [1, "e", 3, "u", "p", 1, 0, {}]


@pytest.mark.parametrize(
    ("place", "value"),
    [(0, 2), (1, ""), (1, 5), (1, "e" * 65), (2, 0), (2, "3"), (2, True), (2, 2**62), (3, ""), (3, None), (4, None), (4, []),
     (5, 0), (5, 4), (5, None), (6, -1), (6, 0.5), (7, []), (7, None)],
)  # fmt: skip
def test_an_entry_of_another_form_is_refused(place: int, value: Any) -> None:
    unpacked(msgpack.packb(GOOD))
    with pytest.raises(Forged):
        unpacked(msgpack.packb([*GOOD[:place], value, *GOOD[place + 1 :]]))


VALUES = st.none() | st.integers(-(2**63), 2**64 - 1) | st.text() | st.binary()
TREES = st.recursive(VALUES, lambda more: st.lists(more) | st.dictionaries(st.text() | st.integers(0, 9), more))


@given(st.binary() | TREES.map(msgpack.packb))
def test_nonsense_is_refused_and_raises_nothing_else(plain: bytes) -> None:
    for read in (unpacked, envelope.unpack_body):
        try:
            read(plain)
        except Forged:
            continue


@pytest.mark.parametrize(
    "subject",
    ["ipc.in.rome", "ipc.at.paris.rome.x.", "ipc.in.0.ROME.paris", "ipc.in.0.rome.pa ris", "", "other.0.rome.paris"],
)
def test_a_subject_of_no_two_sites_is_refused(subject: str) -> None:
    with pytest.raises(Forged):
        envelope.between(subject, "ipc.in.")


def test_a_key_is_a_point_of_the_curve() -> None:
    assert envelope.is_key(PARIS.public)
    assert not any(map(envelope.is_key, ["", "ff" * 32, "zz" * 32, PARIS.public[:-2], None, 7]))
