"""Signatures of webhooks, in and out: the generic form (standardwebhooks.com, symmetric) and GitHub's. Pure.

generic   webhook-signature: "v1,BASE64 ..." over "ID.TIMESTAMP.BODY", several with spaces while a secret is changed;
          the secret is ``whsec_`` and base64, and webhook-timestamp must be within ``WINDOW_S``
github    x-hub-signature-256: "sha256=HEX" over the body alone; nothing in it says when it was made
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping

WINDOW_S = 300.0
"""Seconds that a generic webhook's time may be off."""
PREFIX = "whsec_"
_SHORTEST_BYTES = 16
_MOST_SIGNATURES = 8


class WrongSignature(Exception):
    """A webhook that its secret's holder did not send, or not now. The text says which part is missing or wrong."""


def secret_bytes(secret: str) -> bytes:
    """The key of a generic secret: base64 after ``whsec_``, or the text itself. Raises ValueError where it is too short."""
    raw = secret.encode()
    if secret.startswith(PREFIX):
        try:
            raw = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
        except binascii.Error:
            raise ValueError("it begins with whsec_ and goes on with what is no base64") from None
    if len(raw) < _SHORTEST_BYTES:
        raise ValueError(f"it has fewer than {_SHORTEST_BYTES} bytes")
    return raw


def sign(secret: bytes, webhook_id: str, timestamp_s: int, body: bytes) -> str:
    """One generic signature."""
    signed = b".".join((webhook_id.encode(), str(timestamp_s).encode(), body))
    return "v1," + base64.b64encode(hmac.digest(secret, signed, hashlib.sha256)).decode()


def check_generic(secret: bytes, headers: Mapping[str, str], body: bytes, now_s: float) -> str:
    """The webhook's id. Raises WrongSignature."""
    webhook_id, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not webhook_id or not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
        raise WrongSignature("webhook-id or webhook-timestamp is missing")
    if "." in webhook_id:  # the signature would be right for other ids, times and bodies, too
        raise WrongSignature("webhook-id has a full stop")
    wanted = sign(secret, webhook_id, int(timestamp), body).encode()
    given = headers.get("webhook-signature", "").split(" ")[:_MOST_SIGNATURES]
    if not any([hmac.compare_digest(wanted, one.encode("utf-8", "replace")) for one in given]):  # all of them: no early end
        raise WrongSignature("webhook-signature is wrong")
    if abs(now_s - int(timestamp)) > WINDOW_S:
        raise WrongSignature(f"webhook-timestamp is off by more than {WINDOW_S:.0f} s")
    return webhook_id


def check_github(secret: bytes, headers: Mapping[str, str], body: bytes) -> str:
    """The delivery's id. Raises WrongSignature."""
    wanted = "sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(wanted.encode(), headers.get("x-hub-signature-256", "").encode("utf-8", "replace")):
        raise WrongSignature("x-hub-signature-256 is wrong")
    delivery = headers.get("x-github-delivery", "")
    if not delivery:
        raise WrongSignature("x-github-delivery is missing")
    return delivery
