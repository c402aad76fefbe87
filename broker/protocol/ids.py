"""What a client makes itself: ids for its messages, and the proof that it knows the shared secret."""

import os
import time

STORES = ("send", "broadcast", "reply", "ask", "forward")
"""Requests that store mail, and so take a message id: one made again with the same id is stored once. The table of actions
takes this fact from here, since quick programs need it and nothing else of the table."""


def new_message_id() -> str:
    """Sortable by time, so that the store's index grows at its end, and unique."""
    return f"{time.time_ns() // 1000:x}-{os.urandom(6).hex()}"


def auth_token(name: str, secret: str) -> str:
    """What ``register`` wants where a shared secret is set."""
    if not secret:
        return ""
    import hashlib

    return hashlib.sha256(f"{name}:{secret}".encode()).hexdigest()
