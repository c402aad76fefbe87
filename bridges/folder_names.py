"""The name that a folder gives to who works in it."""

from __future__ import annotations

from broker.client.json_lines import QuickConnection
from broker.protocol.errors import IpcError
from broker.protocol.names import NAME_LENGTH, is_name, is_reserved

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from broker.home.paths import Place

_NUMBERS = 100
_STATUS_S = 2.0


def variants(name: str, tails: list[str]) -> Iterator[str]:
    """The name, the name with each of the tails, the name with a number."""
    yield name
    yield from (joined(name, tail) for tail in tails)
    for number in range(2, _NUMBERS):
        yield joined(name, str(number))


def clean(text: str) -> str:
    """The text as a name of at most 32 characters. Characters that no name may have become hyphens."""
    name = "".join(c if is_name(c) else "-" for c in text)
    while "--" in name:
        name = name.replace("--", "-")
    name = name.strip("-")[:NAME_LENGTH].rstrip("-")
    return name if name and not is_reserved(name) else "agent"


def joined(name: str, tail: str) -> str:
    """``name-tail``, cut to the length of a name."""
    tail = tail[: NAME_LENGTH // 2]
    return f"{name[: NAME_LENGTH - len(tail) - 1].rstrip('-')}-{tail}"


def free_name(place: Place, folder: str) -> str:
    """The folder's name for a person's shell, with a tail where an agent has it. Without a broker nobody has any."""
    try:
        with QuickConnection(place, autostart=False) as door:
            status = door.request({"action": "status"}, timeout_s=_STATUS_S)
    except IpcError:
        status = {"instances": []}
    taken = {row["id"] for row in status["instances"]}
    return next((name for name in variants(clean(folder), ["shell"]) if name not in taken), clean(folder))
