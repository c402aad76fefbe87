"""Who gets mail for a name."""

from pathlib import Path
from typing import Any

import pytest

from tests.engine import Core


def test_broadcast_reaches_all_registered_but_the_sender(pair: Core) -> None:
    pair.register("bob")
    pair.send("fred", "unborn")
    reply = pair.ask("fred", "broadcast", message={"content": "hi"}, message_id="b1")
    assert (reply["message"], reply["count"]) == ("Broadcast to 2 instances", 2)
    again = pair.ask("fred", "broadcast", message={"content": "hi"}, message_id="b1")
    assert (again["duplicate"], again["count"]) == (True, 2)
    assert (pair.contents("bob"), pair.contents("claude"), pair.contents("fred")) == (["hi"], ["hi"], [])


def test_mail_for_a_name_nobody_has_waits_and_a_near_miss_is_only_suggested(pair: Core) -> None:
    reply = pair.send("fred", "claud")
    assert (reply["message"], reply["did_you_mean"]) == ("Message queued for claud (not yet registered)", "claude")
    assert pair.check("claude") == []
    pair.register("claud")
    assert len(pair.check("claud")) == 1


@pytest.mark.parametrize("to", ["", "a b", "x" * 33, 5, None, ["claude"]])
def test_a_bad_recipient_is_refused(pair: Core, to: Any) -> None:
    reply = pair.ask("fred", "send", to_id=to, message={"content": "x"})
    assert reply["code"] in ("invalid_recipient", "bad_request")


def test_a_full_mailbox_refuses_with_the_limit(home: Path) -> None:
    core = Core(home, env={"IPC_MAILBOX_LIMIT": "2"})
    core.register("fred", "claude")
    core.send("fred", "claude")
    core.send("fred", "claude")
    assert core.send("fred", "claude")["message"] == "Message queue full for claude (2 message limit)"
    assert core.ask("fred", "broadcast", message={"content": "x"})["mailbox_full"] == ["claude"]
    core.ask("claude", "ack", ids=[m["id"] for m in core.check("claude")])
    assert core.send("fred", "claude")["status"] == "ok"
    core.store.close()
