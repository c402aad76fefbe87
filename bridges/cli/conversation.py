"""What follows a message: answers, questions, forwarding, withdrawal, what became of it."""

from __future__ import annotations

import sys

from bridges.cli import session
from bridges.cli.mail import message_of, plain, sent, show, show_sent
from bridges.terminal import ago, say, say_json, table
from broker.home.paths import Place
from broker.protocol.essentials import DEFAULT_TIMEOUT_S

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

OK, NOTHING = 0, 1


def reply(place: Place, options: argparse.Namespace) -> int:
    message = message_of(options)
    with session.resume(place, options.as_) as me:
        fields = {"to_message": options.message, "message": message, "message_id": options.id, "land": options.land}
        answer = me.request("reply", person=sys.stdin.isatty(), **fields)
    if options.json:
        say_json(answer)
    else:
        closes = " (answers their question)" if answer.get("answers") else ""
        say(f"{sent(answer, to=answer['to'])}{closes}")
    return OK


def ask(place: Place, options: argparse.Namespace) -> int:
    """Exit status 1 if no answer came in time. The question stays open, and the answer will be mail."""
    message = message_of(options)
    with session.resume(place, options.as_) as me:
        fields = {"to_id": options.to, "message": message, "message_id": options.id, "land": options.land}
        fields |= {"wait_s": options.wait, "deadline_s": options.deadline, "timeout_s": options.wait + DEFAULT_TIMEOUT_S}
        answer = me.request("ask", person=sys.stdin.isatty(), **fields)
        mail = answer["messages"]
        if options.json:
            say_json({**answer, "messages": [plain(m) for m in mail]})
        else:
            for m in mail:
                show(m)
        sys.stdout.flush()
        if mail:
            me.request("ack", ids=[m["id"] for m in mail])
    if not mail and not options.json:
        say(f"{sent(answer)}. No answer yet: it will come as mail; ipc asks lists open questions")
    return OK if mail or not options.wait else NOTHING


def asks(place: Place, options: argparse.Namespace) -> int:
    with session.resume(place, options.as_) as me:
        rows = me.request("asks", state=options.state)["asks"]
    if options.json:
        say_json(rows)
    elif rows:
        head = ("ID", "STATE", "FROM", "TO", "ASKED", "QUESTION")
        cells = [(r["id"], r["state"], r["from"], r["to"], ago(r["asked_at"]), _line(r["content"])) for r in rows]
        say(table(head, cells))
    else:
        say("No questions")
    return OK


def forward(place: Place, options: argparse.Namespace) -> int:
    with session.resume(place, options.as_) as me:
        answer = me.request("forward", forward_id=options.message, to_id=options.to, note=options.note)
    show_sent(answer, options.json)
    return OK


def withdraw(place: Place, options: argparse.Namespace) -> int:
    """Exit status 1 if the message had been delivered already."""
    with session.resume(place, options.as_) as me:
        count = me.request("withdraw", withdraw_id=options.message)["withdrawn"]
    if options.json:
        say_json({"withdrawn": count})
    else:
        say(f"Withdrawn ({count} unread)" if count else "Too late: it has been delivered")
    return OK if count else NOTHING


def receipts(place: Place, options: argparse.Namespace) -> int:
    with session.resume(place, options.as_) as me:
        rows = me.request("receipts", ids=options.messages)["receipts"]
    if options.json:
        say_json(rows)
    else:
        head = ("ID", "TO", "STATE", "WHEN")
        say(table(head, [(r["id"], r["to"], r["state"], ago(r["at"]) if "at" in r else "") for r in rows]))
    return OK


def _line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 60 else line[:59] + "…"
