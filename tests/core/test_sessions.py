"""Names and sessions."""

import hashlib

import pytest

from broker.store.schema import SessionRow
from tests.engine import Core

HOUR = 3600.0
DAY = 24 * HOUR


@pytest.mark.parametrize("name", ["", "a" * 33, "fred smith", "fred.smith", "frédéric", "a\n", "../x", "a/b", "\0"])
def test_a_name_outside_the_rule_is_refused_with_the_legacy_sentence(core: Core, name: str) -> None:
    reply = core.ask(None, "register", instance_id=name)
    assert reply["code"] == "invalid_name"
    assert reply["message"] == "Invalid instance ID format. Use 1-32 alphanumeric characters, hyphens, or underscores."


@pytest.mark.parametrize("name", ["system", "System", "SYSTEM"])
def test_nobody_can_register_as_the_sender_of_notices(core: Core, name: str) -> None:
    assert core.ask(None, "register", instance_id=name)["code"] == "name_reserved"


def test_registering_says_how_much_mail_waited(core: Core) -> None:
    core.register("fred")
    core.send("fred", "claude")
    assert core.ask("claude", "register", instance_id="claude")["message"] == "Registered claude with 1 queued messages"
    core.send("fred", "claude")
    assert core.ask("claude", "register", instance_id="claude")["message"] == "Registered claude with 2 queued messages"


def test_every_action_but_register_needs_a_token(core: Core) -> None:
    for action in ("send", "broadcast", "check", "ack", "release", "subscribe", "list", "rename", "whoami"):
        reply = core.ask("nobody", action, to_id="x", message={"content": ""}, ids=[], new_id="y")
        assert (reply["code"], reply["message"]) == ("unauthorized", "Invalid or missing session token")


def test_a_wrong_token_is_refused(core: Core) -> None:
    core.register("fred")
    for token in ("", "x", core.tokens["fred"][:-1], core.tokens["fred"] + "x", "\ud800"):
        assert core.ask(None, "list", session_token=token)["code"] == "unauthorized"


def test_only_the_hash_of_a_token_is_stored(core: Core) -> None:
    core.register("fred")
    row = SessionRow.get()
    assert bytes(row.token_hash) == hashlib.sha256(core.tokens["fred"].encode()).digest()
    assert core.tokens["fred"].encode() not in (core.home / "ipc.db-wal").read_bytes()


def test_a_session_survives_a_restart(core: Core) -> None:
    core.register("fred")
    core.restart()
    assert core.ask("fred", "whoami")["instance_id"] == "fred"


def test_a_session_ends_after_seven_idle_days_and_not_before(core: Core) -> None:
    core.register("fred")
    core.pass_time(6.9 * DAY)
    assert core.ask("fred", "whoami")["status"] == "ok"
    core.pass_time(6.9 * DAY)
    assert core.ask("fred", "whoami")["status"] == "ok"
    core.pass_time(7.1 * DAY)
    assert core.ask("fred", "whoami")["code"] == "session_expired"


def test_the_second_of_two_users_of_a_name_takes_it_and_the_first_is_told(core: Core) -> None:
    core.register("fred")
    first = core.tokens["fred"]
    core.register("fred")
    reply = core.ask(None, "check", session_token=first)
    assert reply["code"] == "session_replaced"
    assert "registered again elsewhere" in reply["hint"]
    assert core.ask("fred", "whoami")["status"] == "ok"
    assert [e.name for e in core.events].count("session_replaced") == 1
    core.restart()
    assert core.ask(None, "check", session_token=first)["code"] == "session_replaced"


def test_a_waiting_check_of_a_replaced_session_is_answered(core: Core) -> None:
    core.register("fred")
    core.batch({"action": "check", "wait_s": 60}, name="fred")
    core.batch({"as_": "new", "action": "register", "instance_id": "fred"})
    assert core.late == [] or core.late[0]["code"] == "session_replaced"


def test_mail_leased_to_a_replaced_session_is_free_at_once(core: Core) -> None:
    core.register("fred", "claude")
    core.send("fred", "claude")
    assert len(core.check("claude")) == 1
    core.register("claude")
    assert [m["redelivered"] for m in core.check("claude")] == [True]


def test_acting_as_someone_else_is_refused_and_logged(core: Core) -> None:
    core.register("fred", "claude")
    reply = core.send("fred", "claude", from_id="claude")
    assert reply["code"] == "spoofed_sender"
    assert core.ask("fred", "check", instance_id="claude")["code"] == "spoofed_sender"
    assert core.ask("fred", "rename", old_id="claude", new_id="x")["code"] == "spoofed_sender"
    event = next(e for e in core.events if e.name == "spoof_refused")
    assert (event.fields["who"], event.fields["claimed"], event.fields["door"]) == ("fred", "claude", "test")
    assert core.check("claude") == []


def test_a_shared_secret_must_be_proved(home: object) -> None:
    core = Core(home, env={"IPC_SHARED_SECRET": "pssst"})  # type: ignore[arg-type]
    assert core.ask(None, "register", instance_id="fred")["message"] == "Invalid auth token"
    assert core.ask(None, "register", instance_id="fred", auth_token="é" * 64)["code"] == "invalid_auth"
    right = hashlib.sha256(b"fred:pssst").hexdigest()
    assert core.ask(None, "register", instance_id="fred", auth_token=right)["status"] == "ok"
    assert core.ask(None, "register", instance_id="bob", auth_token=right)["code"] == "invalid_auth"
    core.store.close()


def test_another_os_user_is_kept_out_in_open_mode(core: Core) -> None:
    assert core.ask(None, "register", instance_id="fred", peer_uid=12345)["code"] == "forbidden_user"


def test_rename_forwards_keeps_the_mail_and_tells_everyone(core: Core) -> None:
    core.register("fred", "claude", "bob")
    core.send("fred", "claude", "before")
    assert core.ask("claude", "rename", old_id="claude", new_id="claude2")["message"] == "Renamed claude to claude2"
    core.tokens["claude2"] = core.tokens["claude"]
    assert core.send("fred", "claude", "after")["message"] == "Message forwarded from claude to claude2"
    assert core.contents("claude2") == ["before", "after"]
    notice = core.check("bob")[0]
    assert (notice["from"], notice["message"]["content"]) == ("system", "📝 claude renamed to claude2")


def test_the_old_name_can_not_be_claimed_while_it_forwards(core: Core) -> None:
    core.register("fred")
    core.ask("fred", "rename", new_id="freddy")
    core.restart()
    reply = core.ask(None, "register", instance_id="fred")
    assert (reply["code"], "freddy for 120 more minutes" in reply["message"]) == ("name_forwarding", True)
    core.pass_time(2 * HOUR + 1)
    assert core.ask(None, "register", instance_id="fred")["status"] == "ok"


def test_a_mailbox_is_renamed_once_an_hour_also_over_a_restart(core: Core) -> None:
    core.register("fred")
    core.ask("fred", "rename", new_id="a")
    core.restart()
    core.pass_time(600)
    assert core.ask("fred", "rename", new_id="b")["message"] == "Rate limit: can rename again in 50 minutes"
    core.pass_time(3001)
    assert core.ask("fred", "rename", new_id="b")["status"] == "ok"


def test_a_retried_rename_is_answered_as_the_first(core: Core) -> None:
    core.register("fred")
    first = core.ask("fred", "rename", old_id="fred", new_id="freddy")
    again = core.ask("fred", "rename", old_id="fred", new_id="freddy")
    assert again["message"] == first["message"]


def test_chains_forward_to_the_end_and_a_way_back_makes_no_loop(core: Core) -> None:
    core.register("a", "sender")
    for new in ("b", "c", "a"):
        assert core.ask("a", "rename", new_id=new)["status"] == "ok"
        core.pass_time(HOUR)
    for name in ("b", "c"):
        assert core.send("sender", name, name)["status"] == "ok"
    assert core.send("sender", "a", "direct")["message"] == "Message sent"
    assert "c" in core.contents("a")


def test_a_clock_set_back_does_not_lock_a_name_for_longer_than_an_hour(core: Core) -> None:
    core.register("fred")
    core.ask("fred", "rename", new_id="a")
    core.wall_s -= 30 * DAY
    assert core.ask("fred", "rename", new_id="b")["message"] == "Rate limit: can rename again in 60 minutes"


def test_a_taken_name_can_not_be_taken_by_rename(core: Core) -> None:
    core.register("fred", "claude")
    assert core.ask("fred", "rename", new_id="claude")["message"] == "Instance claude already exists"


def test_mail_for_an_unborn_name_goes_to_who_renames_to_it(core: Core) -> None:
    core.register("fred", "claude")
    core.send("fred", "nova", "for nova")
    core.send("fred", "claude", "for claude")
    assert core.contents("claude") == ["for claude"]
    assert core.ask("claude", "rename", new_id="nova")["status"] == "ok"
    assert core.contents("claude") == ["for nova"]
    core.restart()
    assert sorted(core.contents("claude")) == ["for claude", "for nova"]


def test_the_seed_scripts_old_from_id_still_works_after_a_rename(core: Core) -> None:
    core.register("fred", "claude")
    core.ask("fred", "rename", old_id="fred", new_id="freddy")
    assert core.send("fred", "claude", from_id="fred")["status"] == "ok"
