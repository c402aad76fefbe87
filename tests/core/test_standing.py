"""What a name is, against everything that wants one."""

import pytest

from broker.core.standing import Kind
from broker.protocol.names import RESERVED
from tests.engine import HOUR, OWNER, Core, kind, small


def taken_by_older_version(core: Core, name: str) -> None:
    """As an earlier version would have let it be registered."""
    core.register("elder")
    core.store._sql.execute("UPDATE mailbox SET name = ? WHERE name = 'elder'", (name,))
    core.restart()


WANTS = {
    "register": lambda core, name: core.ask("claude", "register", instance_id=name),
    "rename": lambda core, name: core.ask("claude", "rename", new_id=name),
    "group_create": lambda core, name: core.ask("claude", "group_create", group=name),
    "import": lambda core, name: core.ask(
        None, "import", session_token=OWNER, from_id=name, to_id="bob", message={"content": "x"}, message_id="m", timestamp=1
    ),
    "send": lambda core, name: core.send("claude", name),
}


ANSWERS = {
    Kind.MAILBOX: ("ok", "name_taken", "name_taken", "ok", "ok"),
    Kind.FORWARDED: ("name_forwarding", "name_taken", "name_taken", "ok", "ok"),
    Kind.GROUP: ("name_taken", "name_taken", "name_taken", "name_taken", "ok"),
    Kind.RESERVED: ("name_reserved",) * 5,
    Kind.FREE: ("ok",) * 5,
}


NAMED = {Kind.MAILBOX: "bob", Kind.FORWARDED: "fred", Kind.GROUP: "crew", Kind.RESERVED: "All", Kind.FREE: "nova"}


@pytest.mark.parametrize("of", list(Kind))
@pytest.mark.parametrize("want", list(WANTS))
def test_everything_that_wants_a_name_goes_by_what_it_is(team: Core, of: Kind, want: str) -> None:
    team.ask("fred", "rename", new_id="freddy")
    team.ask("bob", "group_create", group="crew")
    assert kind(team, NAMED[of]) is of
    reply = WANTS[want](team, NAMED[of])
    assert reply.get("code", "ok") == ANSWERS[of][list(WANTS).index(want)], reply


@pytest.mark.parametrize(
    "name", sorted({*RESERVED, *(n.upper() for n in RESERVED), "aLL", "webhook-github", "WebHook-x", "webhook-"})
)
def test_what_stands_for_everyone_or_a_webhook_can_not_be_taken_however_it_is_capitalised(team: Core, name: str) -> None:
    for want in WANTS.values():
        assert want(team, name)["code"] == "name_reserved"


def test_a_name_that_was_registered_before_it_was_reserved_is_read_written_to_and_renamed(core: Core) -> None:
    core.register("bob")
    taken_by_older_version(core, "all")
    assert core.send("bob", "all", "hi")["message"] == "Message sent"
    assert core.send("elder", "all", "note to self")["status"] == "ok"
    assert core.contents("elder") == ["hi", "note to self"]
    core.ask("elder", "block", name="bob")
    assert core.send("bob", "all")["code"] == "blocked"
    assert core.ask("elder", "rename", new_id="anna")["status"] == "ok"
    core.pass_time(3 * HOUR)
    assert kind(core, "all") is Kind.RESERVED


def test_a_full_mailbox_named_like_everyone_refuses_mail_rather_than_lose_it(core: Core) -> None:
    core.register("bob")
    taken_by_older_version(core, "all")
    small(core, mailbox_limit=2)
    assert [core.send("bob", "all").get("code", "ok") for _ in range(3)] == ["ok", "ok", "mailbox_full"]
