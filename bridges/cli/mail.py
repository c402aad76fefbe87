"""The commands an agent or a person uses all day."""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from bridges.cli import session
from bridges.cli.output import ago, complain, say, say_json, style, table
from broker.client import Mail
from broker.errors import IpcError
from broker.settings import Settings
from broker.text import visible

OK = 0


def register(settings: Settings, options: argparse.Namespace) -> int:
    client = session.register(settings, options.name)
    waiting = f" with {client.queued} queued messages" if client.queued else ""
    say(f"Registered {options.name}{waiting}")
    client.close()
    return OK


def send(settings: Settings, options: argparse.Namespace) -> int:
    content = _content(options)
    client = session.resume(settings, options.as_)
    try:
        reply = client.send(options.to, content, _data(options), message_id=options.id)
    finally:
        client.close()
    _show_sent(reply, options.json)
    return OK


def broadcast(settings: Settings, options: argparse.Namespace) -> int:
    content = _content(options)
    client = session.resume(settings, options.as_)
    try:
        reply = client.broadcast(content, _data(options), message_id=options.id)
    finally:
        client.close()
    _show_sent(reply, options.json)
    return OK


def _show_sent(reply: dict[str, Any], as_json: bool) -> None:
    reply = {k: v for k, v in reply.items() if k not in ("id", "status")}
    if as_json:
        say_json(reply)
        return
    say(f"{reply['message']}{' (sent before)' if reply.get('duplicate') else ''}")
    if reply.get("did_you_mean"):
        complain(f"did you mean {reply['did_you_mean']}? Nothing was sent there", "ipc list")


def _content(options: argparse.Namespace) -> str:
    """The text: from a file, from standard input for ``-``, or the arguments joined by blanks."""
    words: list[str] = options.text
    if options.file is not None:
        if words:
            raise IpcError("bad_request", detail="give the text or --file, not both")
        raw = _read(Path(options.file))
    elif words == ["-"]:
        raw = sys.stdin.buffer.read()
    elif words:
        raw = os.fsencode(" ".join(words))
    else:
        raise IpcError("bad_request", detail="there is no text: give it, or - for standard input, or --file FILE")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        raise IpcError("bad_request", detail="the text is not UTF-8; mail holds text only") from None


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as e:
        raise IpcError("bad_request", detail=f"{path}: {e.strerror}") from None


def _data(options: argparse.Namespace) -> Any:
    if options.data is None:
        return None
    try:
        return json.loads(options.data)
    except ValueError as e:
        raise IpcError("bad_request", detail=f"--data is not JSON: {e}") from None


def check(settings: Settings, options: argparse.Namespace) -> int:
    """Print the mail, then acknowledge it: what could not be printed comes back."""
    client = session.resume(settings, options.as_)
    try:
        mail = client.check(wait=options.wait, limit=options.limit)
        if options.json:
            say_json([_plain(m) for m in mail])
        elif not mail:
            say("No new messages")
        else:
            for m in mail:
                show(m)
        sys.stdout.flush()
        client.ack(mail)
    finally:
        client.close()
    return OK


def _plain(m: Mail) -> dict[str, Any]:
    plain = {"id": m.id, "from": m.sender, "to": m.to, "timestamp": m.timestamp, "content": m.content, "data": m.data}
    return {**plain, "redelivered": m.redelivered, "file": m.file}


def show(m: Mail) -> None:
    """One message for a person: nothing in it can steer the terminal."""
    again = style("  redelivered", "yellow") if m.redelivered else ""
    say(f"{style(visible(m.sender), 'bold')}  {style(ago(m.timestamp), 'dim')}  {style('#' + m.id, 'dim')}{again}")
    for line in visible(m.content).splitlines() or [""]:
        say(f"  {line}")
    if m.data is not None:
        say(f"  {style('data:', 'dim')} {json.dumps(m.data)}")


def list_instances(settings: Settings, options: argparse.Namespace) -> int:
    client = session.resume(settings, options.as_)
    try:
        rows = client.list()
    finally:
        client.close()
    if options.json:
        say_json(rows)
    else:
        say(table(("NAME", "LAST SEEN"), [(r["id"], ago(r["last_seen"])) for r in rows]))
    return OK


def rename(settings: Settings, options: argparse.Namespace) -> int:
    client = session.resume(settings, options.as_)
    old = client.name
    try:
        say(client.rename(options.name))
    finally:
        client.close()
    session.save(settings, options.name, client.token)
    if old != options.name:
        session.forget(settings, old)
    return OK


def whoami(settings: Settings, options: argparse.Namespace) -> int:
    client = session.resume(settings, options.as_)
    try:
        found = client.whoami()
    finally:
        client.close()
    if options.json:
        say_json({k: v for k, v in found.items() if k not in ("id", "status")})
    else:
        say(f"{found['instance_id']}, {found['queued']} unread")
    return OK
