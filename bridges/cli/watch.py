"""``ipc watch``: mail as it comes, printed or handed to the user's own command."""

from __future__ import annotations

import os
import subprocess
import sys

from bridges.cli import session
from bridges.cli.mail import plain, show
from bridges.cli.output import complain, say_json
from broker.errors import IpcError
from broker.place import Place
from broker.quick import DEFAULT_TIMEOUT_S

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any

_WAIT_S = 300.0
_AT_ONCE = 50


def watch(place: Place, options: argparse.Namespace) -> int:
    """Until interrupted. Each message is acknowledged once it was printed or its command has ended."""
    if options.run_command == []:
        raise IpcError("bad_request", detail="--exec needs a command: --exec notify-send mail")
    with session.resume(place, options.as_) as me:
        while True:
            mail = me.request("check", wait_s=_WAIT_S, limit=_AT_ONCE, timeout_s=_WAIT_S + DEFAULT_TIMEOUT_S)["messages"]
            for m in mail:
                if options.run_command:
                    _run(options.run_command, m)
                elif options.json:
                    say_json(plain(m))
                else:
                    show(m)
                sys.stdout.flush()
                me.request("ack", ids=[m["id"]])


def _run(command: list[str], m: dict[str, Any]) -> None:
    """The user's command with the text on standard input and who, when and which in its environment; never a shell string,
    and nothing of the mail among its arguments."""
    env = {**os.environ, "IPC_MAIL_FROM": m["from"], "IPC_MAIL_ID": m["id"], "IPC_MAIL_TIMESTAMP": m["timestamp"]}
    try:
        done = subprocess.run(command, input=m["message"]["content"].encode(), env=env)  # noqa: S603 (the user's own command)
    except OSError as e:
        raise IpcError("bad_request", detail=f"{command[0]} can't be run: {e.strerror}; the mail is unread again") from None
    if done.returncode:
        complain(f"{command[0]} ended with status {done.returncode} for message #{m['id']}")
