"""``ipc permissions``, ``ipc permit ID``, ``ipc deny ID``: permission prompts of agents' hosts, decided at a person's terminal.

They run in a terminal that no agent's host has started, and the broker looks at that, too.
"""

import argparse
from typing import Any

from bridges.fence import one_line, visible
from bridges.terminal import ago, say, say_json, style
from broker.client.sync import Connection
from broker.home.files import owner_key
from broker.home.host_processes import at_own_terminal
from broker.home.settings import Settings
from broker.protocol.errors import IpcError

OK = 0


def permissions(settings: Settings, options: argparse.Namespace) -> int:
    """List those that wait, each input whole, as the host gave it."""
    rows = _asked(settings, "overview")["permissions"]
    if options.json:
        say_json(rows)
        return OK
    for row in rows:
        say(f"{style(row['id'], 'bold')}  {one_line(_heading(row))}, {ago(row['asked_at'])}")
        say("\n".join(f"    {line}" for line in visible(row["shown"]).split("\n")))
    say("next: ipc permit ID, or ipc deny ID" if rows else "No permission prompt waits")
    return OK


def _heading(row: dict[str, Any]) -> str:
    host = f" ({row['host']})" if row["host"] else ""
    return f"{row['name']}{host} asks for {row['tool']}"


def permit(settings: Settings, options: argparse.Namespace) -> int:
    return _decide(settings, options, "allow")


def deny(settings: Settings, options: argparse.Namespace) -> int:
    return _decide(settings, options, "deny")


def _decide(settings: Settings, options: argparse.Namespace, decision: str) -> int:
    reply = _asked(settings, "permission_decide", permission_id=options.permission, decision=decision)
    if options.json:
        say_json(reply)
    else:
        say(f"{'Allowed' if decision == 'allow' else 'Denied'} {one_line(reply['tool'])} of {one_line(reply['name'])}")
    return OK


def _asked(settings: Settings, action: str, **fields: Any) -> dict[str, Any]:
    """The answer to the owner's request. Raises IpcError, ``not_a_person`` in any other than a person's terminal."""
    if not at_own_terminal():
        raise IpcError("not_a_person")
    connection = Connection(settings, door="cli")
    try:
        reply = connection.request(action, session_token=owner_key(settings.home), **fields)
    finally:
        connection.close()
    return {name: value for name, value in reply.items() if name not in ("status", "id")}
