"""Which agent the shell is: ``sessions/cli-NAME.json`` of the data folder, and which of them is the present one."""

import json
import os
from pathlib import Path

from broker.client import Client, Connection, connect
from broker.errors import IpcError
from broker.names import is_name
from broker.runtime import prepare_home, write_private
from broker.settings import Settings


class NotRegistered(Exception):
    """The shell has no session, or not the one that was asked for."""


def _file(settings: Settings, name: str) -> Path:
    return settings.home / "sessions" / f"cli-{name}.json"


def current_name(settings: Settings, wanted: str | None) -> str:
    """``--as``, $IPC_NAME, or the name last registered in a shell. Raises NotRegistered."""
    name = wanted or os.environ.get("IPC_NAME")
    if name is None:
        try:
            name = (settings.home / "sessions" / "cli-current").read_text(encoding="utf-8").strip()
        except OSError:
            raise NotRegistered("Not registered") from None
    if not is_name(name):
        raise IpcError("invalid_name")
    return name


def save(settings: Settings, name: str, token: str, *, present: bool = True) -> None:
    prepare_home(settings)
    write_private(_file(settings, name), json.dumps({"name": name, "token": token}))
    if present:
        write_private(settings.home / "sessions" / "cli-current", name + "\n")


def forget(settings: Settings, name: str) -> None:
    _file(settings, name).unlink(missing_ok=True)


def register(settings: Settings, name: str) -> Client:
    """Take the name anew and make it the shell's."""
    client = connect(name, settings=settings, door="cli")
    save(settings, name, client.token)
    return client


def resume(settings: Settings, wanted: str | None) -> Client:
    """The client of the shell's session, without a request of its own. Raises NotRegistered."""
    name = current_name(settings, wanted)
    try:
        token = json.loads(_file(settings, name).read_text(encoding="utf-8"))["token"]
    except (OSError, ValueError, KeyError, TypeError):
        raise NotRegistered(f"{name} is not registered in this shell's sessions") from None
    return Client(Connection(settings, door="cli"), name, str(token))
