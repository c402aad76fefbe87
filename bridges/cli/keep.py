"""``ipc keep``: for how long read mail of a group or thread is kept, where that is not the usual time."""

import argparse
from typing import Any

from bridges.terminal import say_rows
from broker.client.sync import Connection
from broker.home.files import owner_key
from broker.home.settings import Settings
from broker.protocol.errors import IpcError
from broker.protocol.spans import span
from broker.service.launcher import ensure_running


def keep(settings: Settings, options: argparse.Namespace) -> int:
    """Set or drop a rule, and show all."""
    fields: dict[str, Any] = {"group": options.group, "thread": options.thread, "keep_s": options.time}
    named = options.group is not None or options.thread is not None
    if options.drop:
        if options.time is not None:
            raise IpcError("bad_request", detail="--drop takes no time")
        fields["keep_s"] = 0
    if named != (fields["keep_s"] is not None):
        raise IpcError("bad_request", detail="a rule needs --group or --thread, and a time or --drop")
    ensure_running(settings)
    connection = Connection(settings, door="cli")
    try:
        rules = connection.request("keep", session_token=owner_key(settings.home), **fields)["rules"]
    finally:
        connection.close()
    cells = [
        ("group" if "group" in rule else "thread", rule.get("group") or f"#{rule['thread']}", span(rule["keep_s"]))
        for rule in rules
    ]
    nothing = f"No rules: read mail is kept for {span(settings.read_ttl_s)}"
    return say_rows(rules, options.json, ("WHAT", "OF", "KEPT ONCE READ"), cells, nothing)
