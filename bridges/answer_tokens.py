"""Tokens by which one thing may be answered once, until a moment, from anywhere: they stand in links that go to a phone.

    TOKEN = PAYLOAD "." MAC      each in base64 for URLs, without padding
    PAYLOAD                      kind, id, until (Unix s), nonce, with a line feed between
    MAC                          HMAC-SHA256 of PAYLOAD's base64, by the key of the data folder (broker.home.files.answer_key)

What a token names is decided at most once, by the broker: a question takes the one answer with ``answer_id`` as its message
id, a permission is decided once. So nothing is kept of tokens, and a token that is shown again finds the thing decided.
"""

import base64
import binascii
import hashlib
import hmac
import secrets
from typing import NamedTuple

KINDS = ("question", "permission")
LIFE_S = 4 * 3600
"""A token's longest life. The broker remembers message ids for longer (``dedupe_s``, a day unless set)."""
LONGEST = 400
"""Characters; nothing longer is looked at."""
_DOMAIN = b"agent-ipc answer 1\n"
_NONCE_BYTES = 9


class TokenForged(Exception):
    """No token of ours: of any other form, by another key, changed."""


class TokenLate(Exception):
    """A token of ours whose time is over."""


class AnswerToken(NamedTuple):
    """What a token says."""

    kind: str
    id: str
    """Of the question's message, or the permission."""
    until_s: int
    """Unix time."""
    nonce: str


def mint(key: str, kind: str, of_id: str, now_s: float, life_s: float = LIFE_S) -> str:
    """A token for one thing, for at most ``LIFE_S`` seconds from now on."""
    if kind not in KINDS or not of_id or "\n" in of_id:
        raise ValueError(f"no token can name {kind} {of_id!r}")
    until_s = int(now_s + min(life_s, LIFE_S))
    payload = _text("\n".join((kind, of_id, str(until_s), secrets.token_hex(_NONCE_BYTES))).encode())
    return f"{payload}.{_mac(key, payload)}"


def read(key: str, token: str, now_s: float) -> AnswerToken:
    """What a token says. Raises TokenForged, TokenLate. The MAC is compared in constant time, before anything is read."""
    payload, _, mac = token.partition(".")
    given = mac.encode("utf-8", "replace")
    if len(token) > LONGEST or not hmac.compare_digest(_mac(key, payload).encode(), given):
        raise TokenForged
    kind, of_id, until, nonce = _bytes(payload).decode().split("\n")
    found = AnswerToken(kind, of_id, int(until), nonce)
    if now_s >= found.until_s:
        raise TokenLate
    return found


def answer_id(question_id: str) -> str:
    """The message id of the one answer to a question, whichever token, page or retry gives it: the broker takes it once."""
    return f"answer-{question_id}"


def _mac(key: str, payload: str) -> str:
    return _text(hmac.digest(key.encode(), _DOMAIN + payload.encode("utf-8", "replace"), hashlib.sha256))


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        raise TokenForged from None
