"""How a revoked key ends what an open connection may do: from the next frame on it gets refusals only.

libzmq ends no connection because of its key, so the door looks the key up again whenever something passes:

    new handshake          refused by the Gate (``curve_socket.py``)
    frame of the client    each request in it is answered ``key_refused``; nothing of it is run
    reply or push to it    the mail goes back, the client's subscriptions end, and it is told ``key_refused`` instead

``ipc keys revoke`` also ends the session of the key's name at the broker, which ends its waits and subscriptions at once.
"""

from collections.abc import Iterable
from typing import Any

from broker.home.keys import AllowList
from broker.protocol.errors import IpcError


def is_revoked(allowed: AllowList, key: str, name: str) -> bool:
    """The key of a client that came in as ``name`` does not stand for this name any more."""
    return allowed.name_of(key) != name


def refusal(key: str) -> IpcError:
    """The answer to every request that comes with a key which is not allowed."""
    return IpcError("key_refused", name="NAME", key=key)


def refusals(key: str, replies: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """What a client is told in place of replies and pushes that its key may not have any more."""
    wire = refusal(key).to_wire()
    return [{"id": reply["id"], **({"push": "key_refused"} if "push" in reply else {}), **wire} for reply in replies]
