"""``ipc keys``: who may come in from other machines, at the remote door."""

import argparse
import shlex
import socket
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bridges.cli.service_state import door_state
from bridges.terminal import ago, complain, say, say_json, table
from broker.client.keyfile import KeyFile
from broker.client.sync import Connection
from broker.home import keys
from broker.home.files import owner_key
from broker.home.settings import Settings
from broker.protocol.errors import IpcError

OK, FAILED = 0, 1
_ANYWHERE = ("0.0.0.0", "*", "[::]")  # noqa: S104 (compared with, not bound)
_CLOSED = "no door is open to other machines"
_RESTART = "ipc down, ipc up"


def run(settings: Settings, options: argparse.Namespace) -> int:
    work = {"new": _new, "allow": _allow, "revoke": _revoke}.get(options.what, _list)
    try:
        return work(settings, options)
    except OSError as e:
        complain(str(e), "ipc doctor")
        return FAILED


def _list(settings: Settings, options: argparse.Namespace) -> int:
    pair, rows, (address, why) = keys.server_pair(settings), keys.allowed(settings), _door(settings)
    if options.json:
        found = {"endpoint": address or None, "door_error": why or None, "server_key": pair.public}
        say_json({**found, "keys": [asdict(row) for row in rows]})
        return OK
    say(f"door    {address or 'closed'}{', not open yet' if address and why else ''}")
    say(f"server  {pair.public}")
    if rows:
        say(table(("NAME", "KEY", "ADDED"), [(row.name, row.key, ago(row.added)) for row in rows]))
    else:
        say("No keys are allowed; ipc keys new NAME makes one")
    _complain_of_door(settings)
    return OK


def _door(settings: Settings) -> tuple[str, str]:
    """(address of the door, why it is not open). The address is empty if none is set, the reason if the door is open.

    What the process with the door says goes before the setting.
    """
    state = door_state(settings, "remote.json")
    if state and not state["error"]:
        return str(state["endpoint"]), ""
    why = str(state["error"]) if state else f"nothing serves {settings.remote}" if settings.remote else _CLOSED
    return settings.remote, why


def _complain_of_door(settings: Settings) -> None:
    """If the door is not open, say why and what to do."""
    address, why = _door(settings)
    if not address:
        config = settings.home / "config.toml"
        complain(_CLOSED, f'remote = "tcp://0.0.0.0:9879" in {config}, or IPC_REMOTE; then: {_RESTART}')
    elif why:
        complain(f"the door is not open yet: {why}", _RESTART)


def _seen_from_outside(address: str, host: str | None) -> tuple[str, str]:
    """(the address as another machine may use it, the host name in it if that is a guess)."""
    scheme, _, rest = address.partition("://")
    bound, _, port = rest.rpartition(":")
    if host and ":" in host and not host.startswith("["):
        host = f"[{host}]"
    guess = socket.gethostname() if not host and bound in _ANYWHERE else ""
    return f"{scheme}://{host or guess or bound}:{port}", guess


def _say_guess(guess: str) -> None:
    if guess:
        say(f"{guess} is this machine's host name; if the other machine knows this one by another name: --host")


def _new(settings: Settings, options: argparse.Namespace) -> int:
    address, _ = _door(settings)
    if not address:
        _complain_of_door(settings)
        return FAILED
    keys.check_name(options.name)
    pair = keys.new_pair()
    endpoint, guess = _seen_from_outside(address, options.host)
    file = KeyFile(options.name, endpoint, keys.server_pair(settings).public, pair)
    path = Path(options.out or f"{options.name}.key").expanduser()
    file.save(path)
    try:
        row = keys.allow(settings, options.name, pair.public)
    except BaseException:
        path.unlink()
        raise
    if options.json:
        say_json({**asdict(row), "file": str(path.absolute()), "endpoint": endpoint, "door_error": _door(settings)[1] or None})
        return OK
    say(f"{path} lets its holder in as {row.name}, at {endpoint}")
    _say_guess(guess)
    say("It is a secret: move it to the other machine's home, for instance with scp, and keep no copy. There:")
    say(f"  IPC_KEY_FILE=~/{shlex.quote(path.name)} ipc register {row.name}")
    _complain_of_door(settings)
    return OK


def _allow(settings: Settings, options: argparse.Namespace) -> int:
    row = keys.allow(settings, options.name, options.key)
    (address, why), server = _door(settings), keys.server_pair(settings).public
    endpoint, guess = _seen_from_outside(address, options.host) if address else ("", "")
    if options.json:
        say_json({**asdict(row), "endpoint": endpoint or None, "door_error": why or None, "server_key": server})
        return OK
    say(f"{row.key} may come in as {row.name}. What its key file needs:")
    say(f"  endpoint    {endpoint or 'none yet'}")
    say(f"  server_key  {server}")
    _say_guess(guess)
    _complain_of_door(settings)
    return OK


def _revoke(settings: Settings, options: argparse.Namespace) -> int:
    """Exit status 1 if no such key was allowed, or if a session could not be ended."""
    gone = keys.revoke(settings, options.which)
    if not gone:
        complain(f"no key of {options.which} is allowed", "ipc keys")
        return FAILED
    try:
        ended = _end_sessions(settings, sorted({row.name for row in gone}))
    except IpcError as e:
        complain(f"revoked; but sessions made with it could not be ended: {e.text}", "ipc up, then register the name anew")
        return FAILED
    if options.json:
        say_json({"revoked": [asdict(row) for row in gone], "sessions_ended": ended})
        return OK
    for row in gone:
        say(f"Revoked {row.name}'s key {row.key}")
    for name in ended:
        say(f"The session of {name} has ended; its mail is kept for who registers {name} next")
    return OK


def _end_sessions(settings: Settings, names: list[str]) -> list[str]:
    """End the sessions of the names, whose tokens would work at the TCP door, too. Returns the names that had one.

    The broker answers the waiting requests of such a session, so nothing that came in by the key goes on.
    """
    connection = Connection(settings, door="cli")
    try:
        replies: list[dict[str, Any]] = [
            connection.request("end_session", name=name, session_token=owner_key(settings.home)) for name in names
        ]
    finally:
        connection.close()
    return [name for name, reply in zip(names, replies, strict=True) if reply["ended"]]
