"""The fields of each reply are those that the table of actions names."""

import time
from collections.abc import Callable
from typing import Any

from broker.client.json_lines import QuickConnection
from broker.client.sync import Connection
from broker.home.files import owner_key
from broker.protocol.actions import ACTIONS
from tests.conftest import Service, wait_for

TEXT = {"content": "hello"}


class Asking:
    """Makes requests of several agents over one connection and keeps the fields of every reply."""

    def __init__(self, service: Service) -> None:
        self.connection = Connection(service.settings)
        self.told: dict[str, list[set[str]]] = {name: [] for name in ACTIONS}
        self.tokens = {"owner": owner_key(service.settings.home)}
        for name in ("fred", "anna", "carl"):
            self.tokens[name] = self("", "register", instance_id=name)["session_token"]

    def __call__(self, agent: str, action: str, **fields: Any) -> dict[str, Any]:
        reply = self.connection.request(action, session_token=self.tokens.get(agent), **fields)
        self.told[action].append(set(reply) - {"status", "id"})
        return reply


def converse(ask: Asking) -> None:
    sent = ask("fred", "send", to_id="anna", message=TEXT, message_id="one")
    ask("fred", "send", to_id="anna", message=TEXT, message_id="one")
    ask("fred", "send", to_id="ana", message=TEXT, thread=sent["number"], supersedes=sent["number"])
    ask("fred", "broadcast", message=TEXT, message_id="two")
    ask("fred", "broadcast", message=TEXT, message_id="two")
    first = ask("anna", "check")["messages"][0]["id"]
    ask("anna", "touch", ids=[first])
    ask("anna", "reply", to_message=first, message=TEXT, message_id="three")
    ask("anna", "reply", to_message=first, message=TEXT, message_id="three")
    ask("anna", "forward", forward_id=first, to_id="carl", message_id="four")
    ask("anna", "forward", forward_id=first, to_id="carl", message_id="four")
    ask("anna", "ack", ids=[first])
    ask("fred", "receipts", ids=[first])
    ask("fred", "ask", to_id="anna", message=TEXT, message_id="five")
    ask("fred", "ask", to_id="anna", message=TEXT, message_id="five")
    question = ask("anna", "check")["messages"][-1]["id"]
    ask("anna", "reply", to_message=question, message=TEXT)
    ask("fred", "ask", to_id="anna", message=TEXT, message_id="five")
    ask("fred", "asks")
    ask("fred", "count")
    ask("anna", "release")
    refused = ask("fred", "send", to_id="anna", message=TEXT)["number"]
    ask("anna", "release", ids=[m["id"] for m in ask("anna", "check")["messages"] if m["id"] == refused], refuse=True)
    ask("fred", "dead")
    for _ in range(2):
        ask("fred", "dead_send", dead_id=refused, message_id="six")
    ask("anna", "dead_drop", ids=[refused])
    ask("carl", "withdraw", withdraw_id=ask("carl", "send", to_id="fred", message=TEXT)["number"])


def work_together(ask: Asking) -> None:
    ask("fred", "group_create", group="team")
    ask("anna", "group_join", group="team")
    ask("anna", "groups")
    ask("fred", "send", to_id="team", message=TEXT)
    ask("anna", "group_leave", group="team")
    ask("anna", "presence", state="working", note="on it")
    ask("anna", "report", event="tool_began", tool="Bash")
    ask("anna", "watch_agent", name="fred")
    ask("anna", "watches")
    ask("anna", "unwatch_agent")
    ask("anna", "alarms")
    for _ in range(2):
        ask("anna", "schedule", to_id="fre", message=TEXT, message_id="later", in_s=9_000_000)
    ask("anna", "schedules")
    ask("anna", "schedule_drop")
    ask("anna", "list", all=True)
    ask("anna", "claim", resource="src/a.py")
    ask("anna", "claims")
    ask("anna", "claim_release")
    ask("fred", "block", name="carl")
    ask("fred", "blocks")
    ask("fred", "unblock", name="carl")
    for action in [name for name in ACTIONS if name.startswith("autocheck")]:
        ask("fred", action)
    ask("anna", "history")
    ask("anna", "search", query="hello")


def prompt(ask: Asking, service: Service) -> None:
    """A hook that waits over a connection of its own, and the owner's word."""
    ask("fred", "permission_ask", call="call-0001", tool="Bash", shown="{}")
    with QuickConnection(service.settings) as hook:
        body = {"action": "permission_ask", "call": "call-0001", "tool": "Bash", "shown": "{}", "wait_s": 60, "id": 1}
        hook.send([{**body, "session_token": ask.tokens["fred"]}], time.monotonic() + 20)
        (row,) = wait_for("the prompt", lambda: ask("owner", "overview")["permissions"])
        ask("owner", "permission_decide", permission_id=row["id"], decision="allow")


def use_the_service(ask: Asking) -> None:
    ask("carl", "ack", ids=[m["id"] for m in ask("carl", "check")["messages"]])
    ask("carl", "count")
    ask("carl", "subscribe", notify=True)
    ask("carl", "subscribe", notify=True, ways=["socket"])
    ask("carl", "way", way="socket", result="given")
    ask("carl", "subscribe")
    ask("carl", "unsubscribe")
    ask("carl", "whoami")
    ask("carl", "rename", new_id="carla")
    ask("anna", "unregister")
    ask("", "ping")
    ask("", "status")
    for _ in range(2):
        ask("owner", "import", from_id="olga", to_id="fred", message=TEXT, message_id="old", timestamp=1.0)
    ask("owner", "import", from_id="olga", readers=[], message=TEXT, message_id="older", timestamp=1.0)
    for _ in range(2):
        ask("owner", "post", source="ci", to_id="fred", message=TEXT, message_id="run 1")
    ask("owner", "keep")
    ask("owner", "export", limit=1)
    ask("owner", "end_session", name="carla")


def look_at_all(ask: Asking) -> None:
    """What page and terminal view ask."""
    body = {"kind": "process", "key": "page"}
    mine = ask("", "register", instance_id="me", body=body)["session_token"]
    ask("owner", "person", by=mine)
    ask("owner", "resume", by=mine, senders=["person"])
    ask("owner", "resume", by=mine, senders=[])
    dead = [ask("fred", "send", to_id="anna", message=TEXT)["number"] for _ in range(2)]
    ask("anna", "check")
    ask("anna", "release", ids=dead, refuse=True)
    ask("owner", "overview")
    ask("owner", "watch_all")
    ask("owner", "letters", limit=1, short=True, steps=True)
    ask("owner", "traffic", since_s=0)
    ask("owner", "dead_letters", limit=1)
    for _ in range(2):
        ask("owner", "dead_forward", by=mine, dead_id=dead[0], message_id="again")
    ask("owner", "dead_forget", ids=dead)
    ask("owner", "pause", name="fred", other="anna", on=True)
    ask("owner", "pause", name="fred", other="anna", on=False)


def carry_mail(ask: Asking) -> None:
    """What the door between sites asks; the service's own site is ``here``."""
    ask("fred", "send", to_id="bob@there", message=TEXT)
    opened = ask("owner", "link_open", carrier="test")
    lease, born = opened["lease"], "today"
    (row,) = ask("owner", "link_take", lease=lease)["rows"]
    told = {"lease": lease, "to": "there", "epoch": row["epoch"], "born": born}
    ask("owner", "link_sent", **told, acked=[[1, 1]])
    ask("owner", "link_streams", lease=lease, born={"there": born})
    entry = {"from": "there", "epoch": "e", "seq": 1, "uid": "1-1", "prev": "", "low": 1, "redo": 0, "at": 1}
    entry["body"] = {"k": "gone"}
    ask("owner", "link_arrived", lease=lease, stream="IPC_IN_0", born=born, cursor=1, entries=[entry])
    mark = {"epoch": row["epoch"], "high": 1, "uid": row["uid"], "held": None, "cursor": 1, "born": born}
    ask("owner", "link_marks", lease=lease, marks={"there": mark})
    ask("owner", "link_told", lease=lease, connected=True, keys={"there": {"n": 1, "key": "ab"}})
    ask("owner", "link_hints", lease=lease)
    ask("", "sites")


def test_each_reply_has_the_fields_that_the_table_names(make_service: Callable[..., Service]) -> None:
    service = make_service(IPC_SITE="here").start()
    ask = Asking(service)
    converse(ask)
    work_together(ask)
    look_at_all(ask)
    prompt(ask, service)
    use_the_service(ask)
    carry_mail(ask)
    ask.connection.close()
    wrong = {}
    for name, replies in ask.told.items():
        always, sometimes = ACTIONS[name].reply_fields()
        unknown, missing = set[str]().union(*replies) - always - sometimes, always - always.intersection(*replies)
        if not replies or unknown or missing:
            wrong[name] = {"unknown": unknown, "missing": missing, "asked": len(replies)}
    assert not wrong
