"""The sentences that answer a send. They are stored with the message, for a repeat."""

import re

SENT = "Message sent"
_BROADCAST = re.compile(r"Broadcast to (\d+) instances")


def forwarded(name: str, new: str) -> str:
    return f"Message forwarded from {name} to {new}"


def queued(name: str, now_called: str | None = None) -> str:
    """Nobody has the name; ``now_called`` is what its last holder is called now."""
    told = f"Message queued for {name} (not yet registered)"
    return told if now_called is None else f"{told}. {name} is now called {now_called}"


def on_its_way(site: str) -> str:
    return f"Message on its way to {site}"


def posted(count: int, group: str) -> str:
    return f"Posted to {count} member{'' if count == 1 else 's'} of {group}"


def everywhere(here: int, sites: int) -> str:
    there = f"everyone at {sites} other site{'' if sites == 1 else 's'}"
    return f"Posted to {here} instance{'' if here == 1 else 's'} here and {there}"


def broadcast_to(count: int) -> str:
    return f"Broadcast to {count} instances"


def broadcast_count(outcome: str | None) -> int | None:
    """To how many a stored message was broadcast; None where it was no broadcast."""
    found = _BROADCAST.fullmatch(outcome or "")
    return int(found[1]) if found else None
