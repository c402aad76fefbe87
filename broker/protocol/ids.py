"""What a client makes itself: the ids of its messages, and the proof that it knows the shared secret."""

import os
import time


def new_message_id() -> str:
    """A unique id of at most 30 characters."""
    return ascending_id(os.urandom(6).hex())


def ascending_id(end: str) -> str:
    """An id with this end, which must be unique. Ids of one sender sort by time: the broker need not look such a one up."""
    return f"{time.time_ns() // 1000:x}-{end}"


def auth_token(name: str, secret: str) -> str:
    """The proof that ``register`` wants where a shared secret is set: hex SHA-256 of ``name:secret``."""
    if not secret:
        return ""
    import hashlib

    return hashlib.sha256(f"{name}:{secret}".encode()).hexdigest()
