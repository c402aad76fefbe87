"""What follows a message: answers, questions, forwarding, withdrawal, what became of it."""

from __future__ import annotations

import sys

from bridges.cli import session
from bridges.cli.mail import message_of, plain, sent, show, show_sent, start_of, warn_unreached
from bridges.terminal import ago, say, say_json, say_rows, style, table
from bridges.way_of_mail import stage, step_words
from broker.home.paths import Place
from broker.protocol.errors import RemoteError
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
        warn_unreached(answer)
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
        now = f" ({options.to} is {answer['asked_is']})" if "asked_is" in answer else ""
        say(f"{sent(answer)}. No answer yet{now}: it will come as mail; ipc asks lists open questions")
        warn_unreached(answer)
    return OK if mail or not options.wait else NOTHING


def asks(place: Place, options: argparse.Namespace) -> int:
    rows = session.ask_as(place, options, "asks", state=options.state)["asks"]
    head = ("ID", "STATE", "FROM", "TO", "WHO IS", "ASKED", "QUESTION")
    cells = [
        (r["id"], r["state"], r["from"], r["to"], r.get("asked_is", ""), ago(r["asked_at"]), start_of(r["content"]))
        for r in rows
    ]
    return say_rows(rows, options.json, head, cells, "No questions")


def forward(place: Place, options: argparse.Namespace) -> int:
    fields = {"forward_id": options.message, "to_id": options.to, "note": options.note, "person": sys.stdin.isatty()}
    answer = session.ask_as(place, options, "forward", **fields)
    show_sent(answer, options.json)
    return OK


def withdraw(place: Place, options: argparse.Namespace) -> int:
    """Exit status 1 if the message had been delivered already."""
    count = session.ask_as(place, options, "withdraw", withdraw_id=options.message)["withdrawn"]
    if options.json:
        say_json({"withdrawn": count})
    else:
        say(f"Withdrawn ({count} unread)" if count else "Too late: it has been delivered")
    return OK if count else NOTHING


def receipts(place: Place, options: argparse.Namespace) -> int:
    rows = session.ask_as(place, options, "receipts", ids=options.messages)["receipts"]
    if options.json:
        say_json(rows)
    else:
        head = ("ID", "TO", "STEP", "SINCE", "WHY")
        say(table(head, [(r["id"], r["to"], stage(r), ago(r["at"]) if "at" in r else "", r.get("why", "")) for r in rows]))
    return OK


def show_one(place: Place, options: argparse.Namespace) -> int:
    """A message that one sent or got; of one that one sent, its way to each reader step by step."""
    from bridges.fence import one_line

    with session.resume(place, options.as_) as me:
        try:
            rows = me.request("receipts", ids=[options.message])["receipts"]
        except RemoteError as e:
            if e.code != "unknown_message":
                raise
            rows = []  # somebody else wrote it
        page = me.request("history", history_id=options.message)["messages"]
    if options.json:
        say_json({"message": page[0] if page else None, "receipts": rows})
        return OK
    for m in page:
        show(m)
    for row in rows:
        why = f": {one_line(row['why'])}" if "why" in row else ""
        say(f"to {style(one_line(row['to']), 'bold')}: {stage(row)}{why}")
        for step in row.get("steps", ()):
            say(f"  {ago(step['at']) if 'at' in step else '':<12}  {one_line(step_words(step))}")
    return OK
