"""The commands that an agent or a person uses all day. Each runs as a process of its own, so this imports little."""

from __future__ import annotations

import json
import os
import sys

from bridges.cli import session
from bridges.plurals import number_of
from bridges.terminal import ago, complain, doing, say, say_json, style, table
from broker.home import environment
from broker.home.paths import Place
from broker.protocol.errors import IpcError
from broker.protocol.essentials import DEFAULT_TIMEOUT_S

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any

OK = 0


def register(place: Place, options: argparse.Namespace) -> int:
    from bridges.cli import registration

    reply = registration.register(place, options.name, force=options.force)
    said = reply["message"].partition(" with ")[0]
    waiting = f" with {number_of(reply['queued'], 'queued message')}" if reply["queued"] else ""
    say(f"{said}{waiting}")
    given = environment.own_name()
    if given not in (None, options.name) and "session_token" in reply:
        complain(f"IPC_NAME asks for {given}, so commands here go on as {given}", "unset IPC_NAME")
    return OK


def send(place: Place, options: argparse.Namespace) -> int:
    message = message_of(options)
    with session.resume(place, options.as_) as me:
        fields = {"message": message, "message_id": options.id, "land": options.land, "ttl_s": options.ttl}
        fields |= {"thread": options.thread, "supersedes": options.supersedes, "person": sys.stdin.isatty()}
        reply = me.request("send", to_id=options.to, **fields)
    show_sent(reply, options.json)
    return OK


def broadcast(place: Place, options: argparse.Namespace) -> int:
    message = message_of(options)
    with session.resume(place, options.as_) as me:
        person = sys.stdin.isatty()
        reply = me.request("broadcast", message=message, message_id=options.id, land=options.land, person=person)
    show_sent(reply, options.json)
    return OK


def sent(reply: dict[str, Any], to: str = "") -> str:
    """A sentence about a sent message, with the number that withdraw, receipts and --thread take."""
    text = f"Broadcast to {number_of(reply['count'], 'instance')}" if "count" in reply else reply["message"]
    if "left_out" in reply:
        text += f"; {reply['left_out']} that have ended were left out"
    text = f"{text} to {to}" if to else text
    number = f" (number {reply['number']})" if "number" in reply else ""  # a broker before 0.4.0 has none
    again = ": sent before under this id, stored once" if reply.get("duplicate") else ""
    return f"{text}{number}{again}"


def show_sent(reply: dict[str, Any], as_json: bool) -> None:
    if as_json:
        say_json(reply)
        return
    say(sent(reply))
    if reply.get("did_you_mean"):
        complain(f"did you mean {reply['did_you_mean']}? Nothing was sent there", "ipc list")
    warn_unreached(reply)


def warn_unreached(reply: dict[str, Any]) -> None:
    """Say so if the mail lies until its reader looks by itself, or wakes nobody for now."""
    if reply.get("unreached"):
        complain(reply["reach"])
    if "note" in reply and not reply.get("duplicate"):
        complain(reply["note"])


def message_of(options: argparse.Namespace) -> dict[str, Any]:
    content, data = _content(options), _data(options)
    return {"content": content} if data is None else {"content": content, "data": data}


def _content(options: argparse.Namespace) -> str:
    """The text of a message: from a file, from standard input for ``-``, or the arguments joined by blanks."""
    words: list[str] = options.text
    if options.file is not None:
        if words:
            raise IpcError("bad_request", detail="give the text or --file, not both")
        raw = _read(options.file)
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


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as f:
            return f.read()
    except OSError as e:
        raise IpcError("bad_request", detail=f"{path}: {e.strerror}") from None


def _data(options: argparse.Namespace) -> Any:
    if options.data is None:
        return None
    try:
        return json.loads(options.data)
    except ValueError as e:
        raise IpcError("bad_request", detail=f"--data is not JSON: {e}") from None


def check(place: Place, options: argparse.Namespace) -> int:
    """Print the mail, then acknowledge it. Mail that could not be printed comes back."""
    with session.resume(place, options.as_) as me:
        patience_s = options.wait + DEFAULT_TIMEOUT_S
        mail = me.request("check", wait_s=options.wait, limit=options.limit, timeout_s=patience_s)["messages"]
        if options.json:
            say_json([plain(m) for m in mail])
        elif not mail:
            say("No new messages")
        else:
            for m in mail:
                show(m)
        sys.stdout.flush()
        if mail:
            me.request("ack", ids=[m["id"] for m in mail])
    return OK


def count(place: Place, options: argparse.Namespace) -> int:
    with session.resume(place, options.as_) as me:
        found = me.request("count")
    if options.json:
        say_json(found)
        return OK
    senders = ", ".join(f"{name} {number}" for name, number in found["from"].items())
    urgent = f", {found['interrupt']} urgent" if found["interrupt"] else ""
    say(f"{found['unread']} unread{urgent}{f': {senders}' if senders else ''}")
    return OK


_ALSO = ("land", "thread", "reply_to", "group", "question", "forwarded", "supersedes", "hops", "resends")


def plain(m: dict[str, Any]) -> dict[str, Any]:
    """A message as --json shows it, without nested objects."""
    message = m["message"]
    flat = {"id": m["id"], "from": m["from"], "to": m["to"], "timestamp": m["timestamp"]}
    text = {"content": message["content"], "data": message.get("data")}
    also = {k: m[k] for k in _ALSO if k in m}
    return {**flat, **text, "redelivered": m.get("redelivered", False), "file": m.get("file"), **also}


def show(m: dict[str, Any], mark: str = "") -> None:
    """Print one message for a person. Nothing in it can steer the terminal."""
    from bridges.fence import one_line, visible

    again = style("  redelivered", "yellow") if m.get("redelivered") else ""
    head = f"{style(one_line(m['from']), 'bold')}  {style(ago(m['timestamp']), 'dim')}  {style('#' + m['id'], 'dim')}"
    say(f"{head}{style(one_line(about(m)), 'cyan')}{mark}{again}")
    for line in visible(m["message"]["content"]).splitlines() or [""]:
        say(f"  {line}")
    if m["message"].get("data") is not None:
        say(f"  {style('data:', 'dim')} {json.dumps(m['message']['data'])}")


def start_of(text: str, limit: int = 60) -> str:
    """The first characters of a text, made visible on one line."""
    from bridges.fence import one_line

    line = one_line(" ".join(text.split()))
    return line if len(line) <= limit else line[: limit - 1] + "…"


def about(m: dict[str, Any]) -> str:
    """What is special about a message, in a few words."""
    notes = []
    if m.get("question"):
        notes.append("asks" + (", and waits" if m["question"]["waiting"] else "") + f": ipc reply {m['id']} ...")
    if m.get("group"):
        notes.append(f"to {m['group']}")
    if m.get("reply_to"):
        notes.append(f"re #{m['reply_to']}")
    if m.get("forwarded"):
        notes.append(f"forwarded, written by {m['forwarded']['from']}")
    if m.get("supersedes"):
        notes.append(f"instead of #{m['supersedes']}")
    if m.get("resends"):
        notes.append(f"sent again, first as #{m['resends']}")
    if m.get("land") == "interrupt":
        notes.append("urgent")
    return "".join(f"  [{note}]" for note in notes)


def list_instances(place: Place, options: argparse.Namespace) -> int:
    with session.resume(place, options.as_) as me:
        rows = me.request("list", **({"all": True} if options.all else {}))["instances"]
    if options.json:
        say_json(rows)
        return OK
    head = ("NAME", "LAST SEEN", "PRESENCE", "ON", "REACHED BY", *(("SILENT FOR", "HELD BY") if options.all else ()))
    far = [r for r in rows if "site" in r]
    rows = [r for r in rows if "site" not in r]
    say(table(head, [_cells(r, options.all) for r in rows if not r.get("ended")]))
    ended = [_cells(r, options.all) for r in rows if r.get("ended")]
    if ended:
        say("\nTheir terminal, session or program has ended; mail to them waits:")
        say(table(head, ended))
    if far:
        from bridges.cli.sites import agents

        say(f"\nAt other sites, as they told last:\n{agents(far)}")
    return OK


def _cells(row: dict[str, Any], whole: bool) -> tuple[str, ...]:
    from broker.protocol.spans import span

    state = "ended" if row.get("ended") else "not registered" if row.get("unclaimed") else doing(row)
    cells = (row["id"], ago(row["last_seen"]), state, row.get("note", ""), " ".join(row.get("reach", [])))
    return (*cells, span(row["silent_s"]), _holder(row)) if whole else cells


def _holder(row: dict[str, Any]) -> str:
    """Who acts for a name."""
    body = row.get("body")
    if not body:
        return ""
    what = body.get("host") or body["kind"]
    unseen = " (out of sight)" if body.get("alive") is None else ""
    return f"{what} at {body['where']}{unseen}" if body.get("where") else f"{what}{unseen}"


def rename(place: Place, options: argparse.Namespace) -> int:
    with session.resume(place, options.as_) as me:
        said = me.request("rename", new_id=options.name)["message"]
        me.renamed(options.name)
    say(said)
    return OK


def unregister(place: Place, options: argparse.Namespace) -> int:
    with session.resume(place, options.as_) as me:
        answer = me.request("unregister")
    me.gave_up()
    if options.json:
        say_json(answer)
    else:
        say(answer["message"])
    return OK


def whoami(place: Place, options: argparse.Namespace) -> int:
    with session.resume(place, options.as_) as me:
        found = me.request("whoami")
        if found["instance_id"] != me.name:
            me.renamed(found["instance_id"])  # through another door
    if options.json:
        say_json(found)
    else:
        say(f"{found['instance_id']}, {found['queued']} unread")
    return OK
