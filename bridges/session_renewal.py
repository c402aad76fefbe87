"""Registers a session again under its name when the broker no longer knows it, if the name is still its own.

A session ends by its timeout (a week by default) while its agent sleeps. Its name becomes free some time later. Hooks, MCP
door, monitor and commands keep one token in files: whoever finds it refused renews it for all of them.
"""

from __future__ import annotations

from bridges import saved_sessions
from broker.client.json_lines import QuickConnection
from broker.home.paths import Place
from broker.protocol.errors import RemoteError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from broker.home.settings import Settings

    Ask = Callable[..., dict[str, Any]]


_ANOTHERS = ("name_taken", "name_held", "name_forwarding")


def renew(place: Place | Settings, name: str, token: str, path: str, *, door: str, body: dict[str, Any] | None = None) -> str:
    """The token to go on with when a session's own was refused. ``path`` is the file that keeps it, ``body`` who acts for it.

    Raises IpcError, such as ``session_replaced`` if another has the name by now.
    """
    home = str(place.home)
    with saved_sessions.one_at_a_time(home), QuickConnection(place, autostart=False, door=door) as connection:
        stored = saved_sessions.read_json(path)
        kept = stored.get("token")
        if isinstance(kept, str) and kept != token and not saved_sessions.is_anothers(stored, body):
            return kept  # another process has renewed it

        def ask(action: str, **fields: Any) -> dict[str, Any]:
            return connection.request({"action": action, **fields}, timeout_s=5.0)

        return resumed(ask, home, name, token, secret_of(place), body)[1]


def resumed(ask: Ask, home: str, name: str, token: str, secret: str, body: dict[str, Any] | None = None) -> tuple[str, str]:
    """(present name, token) of a session that was kept under a name. Raises the refusal if the session is lost."""
    try:
        present, renewed = str(ask("whoami", session_token=token)["instance_id"]), token
    except RemoteError as e:
        if e.code not in ("session_expired", "unauthorized"):
            raise
        reply = _registered_again(ask, name, secret, renews=token, **({"body": body} if body else {}))
        present, renewed = name, str(reply["session_token"])
    if (present, renewed) != (name, token):
        saved_sessions.follow(home, token, present, renewed)
    return present, renewed


def _registered_again(ask: Ask, name: str, secret: str, **fields: Any) -> dict[str, Any]:
    try:
        return ask("register", instance_id=name, auth_token=proof(name, secret), **fields)
    except RemoteError as e:
        if e.code not in _ANOTHERS:
            raise
        hint = f"{e.text}, since the session of {name} had ended. Register another name, or take this one back with force."
        raise RemoteError({"code": "session_replaced", "message": e.text, "hint": hint}) from e


def secret_of(place: Place | Settings) -> str:
    """The shared secret of this machine's broker; empty where the broker is another machine's."""
    if saved_sessions.key() is not None:
        return ""
    if not isinstance(place, Place):
        return place.shared_secret
    from broker.home.settings import Settings

    return Settings.load(home=place.home).shared_secret


def proof(name: str, secret: str) -> str:
    if not secret:
        return ""
    import hashlib

    return hashlib.sha256(f"{name}:{secret}".encode()).hexdigest()
