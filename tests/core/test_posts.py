"""Mail of webhooks: from a name that nobody else can write under, each delivery once, within the recipient's limits."""

from typing import Any

import pytest

from tests.core.two_sites import Sites
from tests.core.two_sites import sites as sites
from tests.engine import DAY, OWNER, Core, small, sweep


def posted(core: Core, to: str = "fred", text: str = "the build broke", delivery: str = "d1", **fields: Any) -> dict[str, Any]:
    row = {"source": "ci", "to_id": to, "message": {"content": text}, "message_id": delivery}
    return core.ask("listener", "post", **{"session_token": OWNER, **row, **fields})


def test_a_webhooks_mail_comes_from_its_reserved_name(pair: Core) -> None:
    reply = posted(pair, message={"content": "the build broke", "data": {"event": "push"}}, land="interrupt")
    assert (reply["status"], reply["message_id"]) == ("ok", "d1")
    (mail,) = pair.check("fred")
    assert (mail["from"], mail["message"], mail["land"]) == (
        "webhook-ci",
        {"content": "the build broke", "data": {"event": "push"}},
        "interrupt",
    )


def test_only_the_owner_posts(pair: Core) -> None:
    for token in (pair.tokens["fred"], "guess", "", 5):
        assert posted(pair, session_token=token)["code"] == "unauthorized"


def test_a_delivery_is_taken_once_also_after_a_restart_and_days(pair: Core) -> None:
    number = posted(pair)["number"]
    pair.restart()
    assert posted(pair) | {"note": ""} == posted(pair) | {"note": ""}
    assert (posted(pair)["duplicate"], posted(pair)["number"]) == (True, number)
    assert pair.contents("fred") == ["the build broke"]
    pair.pass_time(2 * DAY)
    sweep(pair)
    assert posted(pair)["duplicate"] is True
    assert posted(pair, text="another text")["code"] == "id_conflict"
    assert posted(pair, to="claude")["code"] == "id_conflict"


def test_two_sources_may_use_the_same_delivery_id(pair: Core) -> None:
    assert "duplicate" not in posted(pair)
    assert "duplicate" not in posted(pair, source="shop")
    assert [m["from"] for m in pair.check("fred")] == ["webhook-ci", "webhook-shop"]


def test_a_full_mailbox_refuses_and_takes_the_delivery_later(pair: Core) -> None:
    small(pair, mailbox_limit=1)
    posted(pair)
    assert posted(pair, delivery="d2")["code"] == "mailbox_full"
    pair.ask("fred", "ack", ids=[m["id"] for m in pair.check("fred")])
    assert posted(pair, delivery="d2")["status"] == "ok"


def test_nobody_answers_blocks_or_becomes_a_webhook(pair: Core) -> None:
    posted(pair)
    (mail,) = pair.check("fred")
    assert pair.ask("fred", "reply", to_message=mail["id"], message={"content": "thanks"})["code"] == "not_answerable"
    assert pair.ask("fred", "block", name="webhook-ci")["code"] == "unknown_name"
    assert pair.send("fred", "webhook-ci")["code"] == "name_reserved"
    assert pair.ask("mallory", "register", instance_id="webhook-ci")["code"] == "name_reserved"


def test_a_webhooks_mail_is_read_found_passed_on_and_expires_like_any(pair: Core) -> None:
    posted(pair)
    (mail,) = pair.check("fred")
    pair.ask("fred", "ack", ids=[mail["id"]])
    assert [m["from"] for m in pair.ask("fred", "search", query="build")["messages"]] == ["webhook-ci"]
    assert pair.ask("fred", "forward", forward_id=mail["id"], to_id="claude")["status"] == "ok"
    (passed,) = pair.check("claude")
    assert (passed["from"], passed["forwarded"]["from"]) == ("fred", "webhook-ci")
    posted(pair, delivery="d2", text="nobody reads this")
    pair.pass_time(8 * DAY)
    sweep(pair)
    pair.keep_house()
    pair.register("fred")
    assert pair.contents("fred") == []


def test_a_group_gets_it_but_for_those_without_room(team: Core) -> None:
    team.ask("fred", "group_create", group="crew")
    team.ask("claude", "group_join", group="crew")
    small(team, mailbox_limit=1)
    team.send("bob", "claude", "first")
    reply = posted(team, to="crew")
    assert (reply["message"], reply["mailbox_full"]) == ("Posted to 1 member of crew", ["claude"])
    assert team.contents("fred") == ["the build broke"]


def test_mail_waits_for_a_name_that_nobody_has_yet(pair: Core) -> None:
    posted(pair, to="nova")
    pair.register("nova")
    assert pair.contents("nova") == ["the build broke"]


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"source": "a b"}, "bad_request"),
        ({"source": ""}, "bad_request"),
        ({"source": "x" * 25}, "bad_request"),
        ({"source": "système"}, "bad_request"),
        ({"to": "all"}, "name_reserved"),
        ({"to": "no name"}, "invalid_recipient"),
        ({"to": "webhook-ci"}, "name_reserved"),
        ({"message": {"content": 5}}, "bad_request"),
        ({"delivery": "x" * 65}, "bad_request"),
    ],
)
def test_what_makes_no_sense_is_refused(pair: Core, fields: dict[str, Any], code: str) -> None:
    assert posted(pair, **fields)["code"] == code


def test_a_source_whose_name_somebody_has_kept_from_an_earlier_version_is_refused(pair: Core) -> None:
    pair.store._sql.execute("UPDATE mailbox SET name = 'webhook-ci' WHERE name = 'claude'")
    pair.restart()
    assert posted(pair)["code"] == "name_taken"


def test_a_webhook_writes_to_this_site_alone(sites: Sites) -> None:
    rome = sites["rome"]
    rome.ask("bob", "group_create", group="devs")
    sites["paris"].ask("ann", "group_join", group="devs@rome")
    sites.exchange()
    assert posted(rome, to="ann@paris")["code"] == "bad_request"
    assert posted(rome, to="devs")["status"] == "ok"
    sites.exchange()
    assert "webhook-ci" in [m["from"] for m in rome.check("bob")]
    assert [m for m in sites["paris"].check("ann") if "build" in m["message"]["content"]] == []
