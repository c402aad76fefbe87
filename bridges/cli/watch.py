"""``ipc watch``: mail as it comes, printed or handed to the user's own command."""

from __future__ import annotations

import os
import subprocess
import sys
import time

from bridges.cli import session
from bridges.cli.mail import plain, show
from bridges.terminal import complain, say_json
from broker.home.paths import Place
from broker.protocol.errors import IpcError
from broker.protocol.essentials import DEFAULT_TIMEOUT_S

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any

_WAIT_S = 300.0
_AT_ONCE = 50
_TRIES = 3
"""How many times a command may fail for one message."""


def watch(place: Place, options: argparse.Namespace) -> int:
    """Print mail until interrupted. A message is acknowledged once it was printed or its command succeeded."""
    if options.run_command == []:
        raise IpcError("bad_request", detail="--exec needs a command: --exec notify-send mail")
    with session.resume(place, options.as_) as me:
        if options.run_command:
            _hand_over(me, options.run_command, options.pause)
        while True:
            for m in _mail(me, _AT_ONCE):
                if options.json:
                    say_json(plain(m))
                else:
                    show(m)
                sys.stdout.flush()
                me.request("ack", ids=[m["id"]])


def _mail(me: session.Shell, limit: int) -> list[dict[str, Any]]:
    reply = me.request("check", wait_s=_WAIT_S, limit=limit, timeout_s=_WAIT_S + DEFAULT_TIMEOUT_S)
    messages: list[dict[str, Any]] = reply["messages"]
    return messages


def _hand_over(me: session.Shell, command: list[str], first_pause_s: float) -> None:
    """Run the command for each message. Messages are fetched one at a time: the lease of a second would end meanwhile.

    A message whose command fails is unread again and comes first in the next check. After ``_TRIES`` it is a dead letter, of
    which its sender is told: one bad message does not stop the mail.
    """
    failed: dict[str, int] = {}
    while True:
        for m in _mail(me, 1):
            status = _run(command, m)
            tries = failed.pop(m["id"], 0) + 1
            if status and tries < _TRIES:
                failed[m["id"]] = tries
                me.request("release", ids=[m["id"]], failed=True, why=_why(command, status))
                pause_s = first_pause_s * 4 ** (tries - 1)
                complain(
                    f"{command[0]} ended with status {status} for message #{m['id']}: unread again, next try in {pause_s:g} s"
                )
                time.sleep(pause_s)
                continue
            if status:
                why = f"{_why(command, status)}, {tries} times"
                me.request("release", ids=[m["id"]], failed=True, refuse=True, why=why)
                complain(f"{why}, for message #{m['id']}: it is a dead letter now", f"ipc dead show {m['id']}")
            else:
                me.request("ack", ids=[m["id"]])


def _why(command: list[str], status: int) -> str:
    return f"{os.path.basename(command[0])[:100]} ended with status {status}"


def _run(command: list[str], m: dict[str, Any]) -> int:
    """Run the user's command with the text on standard input. Returns its exit status.

    Sender, id and time are in the environment. It is no shell string, and nothing of the mail is among its arguments.
    """
    env = {**os.environ, "IPC_MAIL_FROM": m["from"], "IPC_MAIL_ID": m["id"], "IPC_MAIL_TIMESTAMP": m["timestamp"]}
    try:
        done = subprocess.run(command, input=m["message"]["content"].encode(), env=env)  # noqa: S603 (the user's own command)
    except OSError as e:
        raise IpcError("bad_request", detail=f"{command[0]} can't be run: {e.strerror}; the mail is unread again") from None
    return done.returncode
