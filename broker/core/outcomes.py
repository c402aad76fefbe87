"""The sentences that answer a send. They are stored with the message, for a repeat."""

import re

SENT = "Message sent"
BROADCAST_TO = re.compile(r"Broadcast to (\d+) instances")
"""The outcome of a broadcast, by which it is known from a message to one."""


def forwarded(name: str, new: str) -> str:
    """The outcome of a send to a name that forwards."""
    return f"Message forwarded from {name} to {new}"


def posted(count: int, group: str) -> str:
    return f"Posted to {count} member{'' if count == 1 else 's'} of {group}"
