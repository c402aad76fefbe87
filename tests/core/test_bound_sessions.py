"""Requests of a door that knows its client by a key, which stands for one name; and the end of a session by the owner."""

import pytest

from broker.core import sessions
from tests.engine import Core


@pytest.mark.parametrize(
    ("action", "fields"),
    [
        ("send", {"to_id": "claude", "message": {"content": "x"}}),
        ("check", {}),
        ("whoami", {}),
        ("rename", {"new_id": "fred"}),
        ("claim", {"resource": "x"}),
    ],
)
def test_a_session_of_another_name_than_the_keys_is_refused(core: Core, action: str, fields: dict[str, object]) -> None:
    core.register("wilma", "claude")
    reply = core.ask("wilma", action, bound_name="fred", **fields)
    assert reply["code"] == "key_bound"
    assert core.contents("claude") == []


def test_the_name_of_the_key_may_do_everything_but_become_another(core: Core) -> None:
    assert core.ask(None, "register", instance_id="wilma", bound_name="fred")["code"] == "key_bound"
    core.register("fred")
    assert core.send("fred", "fred", bound_name="fred")["status"] == "ok"
    assert core.ask("fred", "rename", new_id="barney", bound_name="fred")["code"] == "key_bound"
    assert core.ask("fred", "rename", new_id="fred", bound_name="fred")["status"] == "ok"
    assert core.ask("fred", "whoami", bound_name="fred")["instance_id"] == "fred"


def test_a_mix_of_bound_sends_in_one_frame_is_judged_one_by_one(core: Core) -> None:
    core.register("fred", "wilma")
    message = {"message": {"content": "x"}, "to_id": "wilma", "action": "send"}
    replies = core.batch(
        {"as_": "fred", **message},
        {"as_": "fred", "bound_name": "wilma", **message},
        {"as_": "wilma", "bound_name": "wilma", **message},
        {"as_": "wilma", "bound_name": "fred", **message},
    )
    assert [r.get("code", "ok") for r in replies] == ["ok", "key_bound", "ok", "key_bound"]


def test_the_owner_ends_a_session_and_its_mail_is_kept(core: Core) -> None:
    core.register("fred")
    core.send("fred", "fred")
    assert len(core.check("fred")) == 1
    core.engine.owner_hash = sessions.token_hash("owner")
    core.tokens["owner"] = "owner"
    assert core.ask("fred", "end_session", name="fred")["code"] == "unauthorized"
    assert core.ask("owner", "end_session", name="fred")["ended"] is True
    assert core.ask("owner", "end_session", name="fred")["ended"] is False
    assert core.ask("owner", "end_session", name="nobody")["ended"] is False
    assert core.ask("fred", "whoami")["code"] == "session_ended"
    core.restart()
    assert core.ask("fred", "whoami")["code"] == "session_ended"
    core.register("fred")
    assert core.contents("fred") == ["hello"]
