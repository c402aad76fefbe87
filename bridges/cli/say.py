"""``ipc say``: plain words. Shows what it understood and does it. Asks back if unsure."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from bridges.agents_shell import ShellNotRegistered
from bridges.cli import session
from bridges.cli.mail import sent, show, warn_unreached
from bridges.cli.team import every
from bridges.plain_words import SHARE_FILE, Plan, carry_out, help_text, saying, vocabulary
from bridges.shared_files import read_file
from bridges.terminal import ago, complain, doing, here, say, say_json, style, table
from bridges.watch_words import sentence
from broker.home.paths import Place

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any

OK, UNSURE = 0, 2


def say_it(place: Place, options: argparse.Namespace) -> int:
    """Exit status 0 done, 2 not understood or unsure (the question is on standard error)."""
    try:
        shell = session.resume(place, options.as_)
    except ShellNotRegistered as e:
        return _said(place, None, options, e)
    with shell:
        return _said(place, shell, options)


def _said(
    place: Place,
    me: session.Shell | None,
    options: argparse.Namespace,
    unregistered: ShellNotRegistered | None = None,
) -> int:
    """Without a session ``me``, only help and taking a name work. All else raises ``unregistered``."""
    unsure = False

    def agree(plan: Plan) -> bool:
        nonlocal unsure
        if unregistered is not None and plan.requests and plan.intent != "register":
            raise unregistered
        unsure = not _go_ahead(plan, options)
        return not unsure and not options.dry_run and plan.intent != "help"

    def ask(request: dict[str, Any]) -> dict[str, Any]:
        return _request(place, me, **request)

    text, words = " ".join(options.words), vocabulary(Path(place.home))
    said = carry_out(saying(text, words, agree, registered=me is not None, person=sys.stdin.isatty()), ask)
    if said.replies is None:
        return UNSURE if unsure else OK
    if options.json:
        say_json({"understood": said.plan.understood, "results": list(said.replies)})
    else:
        for request, answer in zip(said.plan.requests, said.replies, strict=True):
            _show(request["action"], answer)
    sys.stdout.flush()
    for answer in said.replies:
        if me is not None and answer.get("messages"):
            me.request("ack", ids=[m["id"] for m in answer["messages"]])
    return OK


def _go_ahead(plan: Plan, options: argparse.Namespace) -> bool:
    """Print what was understood. False if there is nothing to do, or if the question was not answered with yes."""
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


def _request(place: Place, me: session.Shell | None, action: str, **fields: Any) -> dict[str, Any]:
    """The reply to a request of a sentence. Only ``register`` can be asked without a session."""
    if action == "register" or me is None:
        from bridges.cli import registration

        return _public(registration.register(place, fields["instance_id"]))
    if action == SHARE_FILE:
        content, data = read_file(Path(here(), os.path.expanduser(fields["path"])))
        return me.request("send", to_id=fields["to_id"], message={"content": content, "data": data}, person=sys.stdin.isatty())
    answer = me.request(action, **fields)
    if action == "rename":
        me.renamed(fields["new_id"])
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
        rows = [(r["id"], ago(r["last_seen"]), doing(r)) for r in answer["instances"]]
        say(table(("NAME", "LAST SEEN", "PRESENCE"), rows))
    elif action == "whoami":
        say(f"{answer['instance_id']}, {answer['queued']} unread")
    elif action == "ask":
        say(f"{sent(answer)}. The answer will come as mail; ipc asks lists open questions")
        warn_unreached(answer)
    elif action == "watch_agent":
        say(sentence(answer["watch"]))
    elif "autocheck" in answer:
        say(every(answer))
    else:
        say(sent(answer) if "number" in answer else answer["message"])
        warn_unreached(answer)
