"""``ipc say``: plain words. Shows what it understood and does it; asks back where it is unsure."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from bridges.cli import session
from bridges.cli.mail import sent, show
from bridges.cli.team import every
from bridges.plain_words import CONTEXT, SHARE_FILE, Context, Plan, help_text, read_context, understand, vocabulary
from bridges.shared_files import read_file
from bridges.terminal import ago, complain, here, say, say_json, style, table
from broker.home.paths import Place

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any

OK, UNSURE = 0, 2


def say_it(place: Place, options: argparse.Namespace) -> int:
    """Exit status 0 done, 2 not understood or unsure (the question is on standard error)."""
    words = vocabulary(Path(place.home))
    try:
        shell = session.resume(place, options.as_)
    except session.ShellNotRegistered:
        plan = understand(" ".join(options.words), Context(), words)
        if plan.requests and plan.intent != "register":
            raise
        return _unregistered(place, plan, options)
    with shell as me:
        context = read_context([me.request(**request) for request in CONTEXT])
        plan = understand(" ".join(options.words), context, words)
        if not _go_ahead(plan, options):
            return UNSURE
        if options.dry_run or plan.intent == "help":
            return OK
        answers = [_carry_out(place, me, request) for request in plan.requests]
        if options.json:
            say_json({"understood": plan.understood, "results": answers})
        else:
            for request, answer in zip(plan.requests, answers, strict=True):
                _show(request["action"], answer)
        sys.stdout.flush()
        for answer in answers:
            if answer.get("messages"):
                me.request("ack", ids=[m["id"] for m in answer["messages"]])
    return OK


def _unregistered(place: Place, plan: Plan, options: argparse.Namespace) -> int:
    """What can be said before there is a name."""
    if not _go_ahead(plan, options):
        return UNSURE
    if plan.intent == "register" and not options.dry_run:
        reply = session.register(place, plan.understood["name"])
        say_json({"understood": plan.understood, "results": [_public(reply)]}) if options.json else say(reply["message"])
    return OK


def _go_ahead(plan: Plan, options: argparse.Namespace) -> bool:
    """Say what was understood; False where there is nothing to do, or the question was not answered with yes."""
    if plan.problem is not None:
        if options.json:
            say_json({"understood": plan.understood, "problem": plan.problem})
        complain(plan.problem, "ipc say help, or ipc --help")
        return False
    if not options.json:
        shown = {k: v for k, v in plan.understood.items() if k != "intent"}
        slots = json.dumps(shown, ensure_ascii=False) if shown else ""
        say(style(f"→ {plan.understood['intent']} {slots}".rstrip(), "dim"))
    if plan.intent == "help":
        say(help_text())
    if plan.question is None or (options.yes and plan.requests):
        return True
    if plan.requests and sys.stdin.isatty() and not options.json:
        return input(f"{plan.question} [y/N] ").strip().lower() in ("y", "yes")
    if options.json:
        say_json({"understood": plan.understood, "question": plan.question})
    complain(plan.question, "say it again with --yes" if plan.requests else "say it again with the text")
    return False


def _carry_out(place: Place, me: session.Shell, request: dict[str, Any]) -> dict[str, Any]:
    fields = dict(request)
    action = fields.pop("action")
    if action == "register":
        return _public(session.register(place, fields["instance_id"]))
    if action == SHARE_FILE:
        content, data = read_file(Path(here(), os.path.expanduser(fields["path"])))
        return me.request("send", to_id=fields["to_id"], message={"content": content, "data": data}, person=sys.stdin.isatty())
    if action in ("send", "ask", "reply"):
        fields["person"] = sys.stdin.isatty()
    answer = me.request(action, **fields)
    if action == "rename":
        session.renamed(place, me, fields["new_id"])
    return answer


def _public(reply: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in reply.items() if k not in ("session_token", "status")}


def _show(action: str, answer: dict[str, Any]) -> None:
    if action == "check":
        for m in answer["messages"]:
            show(m)
        if not answer["messages"]:
            say("No new messages")
    elif action == "list":
        rows = [(r["id"], ago(r["last_seen"]), r["presence"]) for r in answer["instances"]]
        say(table(("NAME", "LAST SEEN", "PRESENCE"), rows))
    elif action == "whoami":
        say(f"{answer['instance_id']}, {answer['queued']} unread")
    elif action == "ask":
        say(f"{sent(answer)}. The answer will come as mail; ipc asks lists open questions")
    elif "autocheck" in answer:
        say(every(answer))
    else:
        say(sent(answer) if "number" in answer else answer["message"])
