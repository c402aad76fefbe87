"""A service in which something of everything has happened, for tests that look at every page."""

from typing import Any

from tests.conftest import wait_for
from tests.web.live_page import LivePage

REVIEW = """# Review of the parser

All **good**, with three notes:

- `parse()` is long; I would split it at the lexer
- the error for an open quote names the wrong line
- see [the grammar](https://example.org/grammar) for tabs

| file | lines |
|---|---|
| parser.py | 380 |

"""


def fill(live: LivePage) -> dict[str, str]:
    """Makes it all happen. Returns the paths of pages that need an id or a name."""
    people = {name: live.connect(name) for name in ("nova", "otto", "rex", "kim", "mira", "lea")}
    nova, otto, rex, kim, mira, lea = people.values()

    def ask(who: Any, to: str, content: str) -> None:
        who.request("ask", to_id=to, message={"content": content}, wait_s=0)

    nova.request("report", event="turn_began")
    nova.request("presence", state="working", note="parser rewrite, step 2 of 4", reach=["hook", "socket"])
    otto.request("report", event="turn_began")
    otto.request("report", event="tool_began", tool="Bash", call="1")
    rex.request("report", event="turn_began")
    rex.request("report", event="permission", tool="Edit", call="2")
    for event in ("turn_began", "turn_ended"):
        kim.request("report", event=event)
    lea.request("presence", state="gone")
    nova.request("group_create", group="crew")
    otto.request("group_join", group="crew")
    nova.send("otto", "The parser is ready for review: src/parser.py.\nPlease look at the error paths first.")
    (first,) = otto.check()
    otto.ack([first])
    otto.reply(first, "Looking now. Two questions:\n1. Why is depth counted from 1?\n2. Does a tab count as one column?")
    (second,) = nova.check()
    nova.ack([second])
    nova.reply(second, "1: the grammar says so. 2: yes.")
    mira.send("nova", REVIEW + "The rest of the text is long. " * 400)
    mira.send("crew", "I take the docs today. Shout if you need me.")
    for number in range(6):
        otto.send("rex", f"progress: {number * 20} %", data={"done": number * 20})
    nova.send("lea", "Are you there?", ttl_s=1)
    ask(nova, "otto", "Is the review done? I would like to merge before lunch.")
    ask(kim, "pat", "Shall I delete the old migration files? Nothing names them any more, but I can't see the deploy scripts.")
    nova.request("claim", resource="src/parser.py", note="rewrite")
    otto.request("claim", resource="docs/**", note="review")
    wait_for("a dead letter", lambda: 'id="dead-' in live.get("/dead").text)
    large = next(m for m in nova.check() if m.file)
    return {
        "thread": f"/thread/{first.thread or first.id}",
        "message": f"/message/{large.id}",
        "agent": "/agent/nova",
        "pair": "/with/nova/otto",
        "search": "/search?q=parser",
    }
