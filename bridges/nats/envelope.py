"""What goes over the wire: signed by the site that wrote it, and mail sealed to the site that it is for.

    payload of an entry = sealed msgpack of [1, epoch, seq, uid, prev, low, redo, body]
    signature           = Ed25519 over "ipc-link-1" 0 kind 0 subject 0 payload

The subject is signed, too: what was written for one pair of sites, or as one kind of thing, passes as no other. Servers see who
writes to whom, when and how much. They can't read mail, nor write any that passes ``verified``.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import msgpack
from nacl.exceptions import CryptoError
from nacl.public import PublicKey, SealedBox
from nacl.signing import SigningKey, VerifyKey

from broker.protocol.addresses import is_site

ENTRY, MARK, SITE, NAME, KEY = "entry", "mark", "site", "name", "key"
"""Kinds of what is signed."""
SIGNATURE_BYTES = 64
_VERSION = 1
_UNREADABLE = (ValueError, TypeError, msgpack.UnpackException, RecursionError)
"""What unpacking nonsense raises."""


class Forged(Exception):
    """Not what it should be: the text says in a word what is wrong. Whoever may write to the servers can cause this."""


class Identity:
    """A site's own key: signs what it writes, opens what is sealed to it."""

    def __init__(self, sign_seed: str) -> None:
        self._key = SigningKey(bytes.fromhex(sign_seed))
        self._box = SealedBox(self._key.to_curve25519_private_key())
        self.public = bytes(self._key.verify_key).hex()

    def signature(self, kind: str, subject: str, payload: bytes) -> bytes:
        return self._key.sign(_signed(kind, subject, payload)).signature

    def signed(self, kind: str, subject: str, payload: bytes) -> bytes:
        """The signature, then the payload: how marks and values of buckets are written."""
        return self.signature(kind, subject, payload) + payload

    def unsealed(self, sealed: bytes) -> bytes:
        """Raises Forged."""
        try:
            return self._box.decrypt(sealed)
        except (CryptoError, ValueError, TypeError):
            raise Forged("not sealed to this site") from None


def sealed(key: str, plain: bytes) -> bytes:
    """Only the site with this key can open it."""
    return _box(key).encrypt(plain)


def verify(key: str, kind: str, subject: str, payload: bytes, signature: bytes) -> None:
    """Raises Forged unless the owner of ``key`` signed this."""
    try:
        _verifier(key).verify(_signed(kind, subject, payload), signature)
    except (CryptoError, ValueError, TypeError):
        raise Forged("not signed by its site") from None


def verified(key: str, kind: str, subject: str, value: bytes) -> bytes:
    """The payload of a signed value. Raises Forged."""
    payload = value[SIGNATURE_BYTES:]
    verify(key, kind, subject, payload, value[:SIGNATURE_BYTES])
    return payload


_NUMBERED = ("epoch", "seq", "uid", "prev", "low", "redo")


def packed(row: dict[str, Any], body: dict[str, Any]) -> bytes:
    """A row of the outbox, with a body that may stand for the row's own (bridges.nats.bodies)."""
    found: bytes = msgpack.packb([_VERSION, *(row[name] for name in _NUMBERED), body])
    return found


def unpacked(plain: bytes) -> dict[str, Any]:
    """``epoch``, ``seq``, ``uid``, ``prev``, ``low``, ``redo``, ``body`` of an entry. Raises Forged."""
    found = _unpack(plain)
    if not isinstance(found, list) or len(found) != len(_NUMBERED) + 2:
        raise Forged("no entry")
    version, epoch, seq, uid, prev, low, redo, body = found
    if version != _VERSION:
        raise Forged(f"of version {str(version)[:10]}, which needs a newer agent-ipc here")
    if not all(isinstance(text, str) and len(text) <= 64 for text in (epoch, uid, prev)) or not (epoch and uid):
        raise Forged("no entry")
    if not isinstance(body, dict):
        raise Forged("without a body")
    if not all(type(n) is int and 0 <= n < 2**62 for n in (seq, low, redo)) or not 1 <= low <= seq:
        raise Forged("numbered wrongly")
    return {"epoch": epoch, "seq": seq, "uid": uid, "prev": prev, "low": low, "redo": redo, "body": body}


def pack_body(body: dict[str, Any]) -> bytes:
    found: bytes = msgpack.packb(body)
    return found


def unpack_body(plain: bytes) -> dict[str, Any]:
    """Raises Forged."""
    body = _unpack(plain)
    if not isinstance(body, dict):
        raise Forged("no body")
    return body


def is_key(text: object) -> bool:
    """True for the hexadecimal form of an Ed25519 public key."""
    if not isinstance(text, str) or len(text) != 64:
        return False
    try:
        _box(text)
    except (ValueError, CryptoError, RuntimeError):
        return False
    return True


def between(subject: str, prefix: str) -> tuple[str, str]:
    """The last two words of a subject, both sites. Raises Forged where it is no such subject."""
    words = subject.split(".")
    if not subject.startswith(prefix) or len(words) < 4 or not is_site(words[-1]) or not is_site(words[-2]):
        raise Forged("on a subject of no site")
    return words[-2], words[-1]


def _unpack(plain: bytes) -> Any:
    try:
        return msgpack.unpackb(plain, strict_map_key=True)
    except _UNREADABLE:
        raise Forged("unreadable") from None


def _signed(kind: str, subject: str, payload: bytes) -> bytes:
    return b"\0".join((b"ipc-link-1", kind.encode(), subject.encode(), payload))


@lru_cache(maxsize=4096)
def _verifier(key: str) -> VerifyKey:
    return VerifyKey(bytes.fromhex(key))


@lru_cache(maxsize=4096)
def _box(key: str) -> SealedBox[PublicKey]:
    return SealedBox(_verifier(key).to_curve25519_public_key())
