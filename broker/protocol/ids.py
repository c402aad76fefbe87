"""What a client makes itself: ids for its messages, and the proof that it knows the shared secret."""

import os
import time


def new_message_id() -> str:
    """Sortable by time, so that the store's index grows at its end, and unique."""
    return f"{time.time_ns() // 1000:x}-{os.urandom(6).hex()}"


def auth_token(name: str, secret: str) -> str:
    """What ``register`` wants where a shared secret is set."""
    if not secret:
        return ""
    import hashlib

    return hashlib.sha256(f"{name}:{secret}".encode()).hexdigest()
