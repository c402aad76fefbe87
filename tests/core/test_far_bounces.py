"""Mail for another site that does not arrive, or is not read there: its sender is told once, and only what is known."""

import pytest

from tests.core.two_sites import Sites
from tests.core.two_sites import sites as sites
from tests.engine import DAY, HOUR, one

PATIENT = {"IPC_BOUNCE_AFTER": str(30 * DAY), "IPC_SESSION_TIMEOUT": str(60 * DAY)}


def notices(sites: Sites, site: str = "paris", who: str = "ann") -> list[str]:
    """What ``system`` has written to somebody, acknowledged."""
    core = sites[site]
    found = core.check(who)
    core.ask(who, "ack", ids=[m["id"] for m in found])
    return [m["message"]["content"] for m in found if m["from"] == "system"]


def line(sites: Sites) -> str:
    """The one line of the one digest that tells of a message."""
    (digest,) = notices(sites)
    (found,) = [one for one in digest.splitlines() if one.startswith("#")]
    return found


def step_of(sites: Sites, number: str) -> tuple[str, str]:
    (row,) = sites["paris"].ask("ann", "receipts", ids=[number])["receipts"]
    return row["step"], row.get("why", "")


def tell_away(sites: Sites, age_s: float) -> None:
    paris = sites.by_name["paris"]
    paris.ask("link_told", lease=paris.lease, sites={"rome": {"age_s": age_s, "away": True}})


def test_a_sender_is_told_of_a_site_that_is_away_too_long_and_never_twice(sites: Sites) -> None:
    sites.connect()
    sites["paris"].send("ann", "bob@rome", "is the build green?")
    sites.pass_time(DAY - HOUR)
    assert notices(sites) == []
    tell_away(sites, DAY)
    sites.pass_time(2 * HOUR)
    told = line(sites)
    assert "to bob@rome, waits: site rome is away since 2027-01-1" in told and "It begins: is the build green?" in told
    for _ in range(3):
        sites.pass_time(DAY)
        assert notices(sites) == []


def test_what_is_written_to_a_name_later_hides_nothing_that_waits(sites: Sites) -> None:
    sites["paris"].send("ann", "bob@rome", "first")
    for _ in range(6):
        sites.pass_time(5 * HOUR)
        sites["paris"].send("amy", "bob@rome", "more")
    assert "waits: no connection. It begins: first" in line(sites)


def test_mail_that_lands_at_once_is_told_of_sooner(sites: Sites) -> None:
    sites["paris"].send("ann", "bob@rome", "now!", land="interrupt")
    sites.pass_time(HOUR)
    assert "waits: no connection" in line(sites)


def test_what_has_arrived_meanwhile_is_no_news(sites: Sites) -> None:
    sites["paris"].send("ann", "bob@rome")
    sites.exchange()
    sites["rome"].ask("bob", "presence", state="working", note="")
    sites.pass_time(HOUR)
    assert notices(sites) == []


def test_the_reader_s_site_says_that_it_is_away_once(sites: Sites) -> None:
    number = sites["paris"].send("ann", "bob@rome", "hello")["number"]
    sites.exchange()
    for _ in range(4):
        sites.pass_time(DAY)
        sites.exchange()
    sites.pass_time(HOUR)
    assert f"#{number} to bob@rome, waits: bob@rome is away. It begins: hello" in line(sites)
    assert step_of(sites, number) == ("at_site", "at rome, not read yet: bob@rome is away")
    sites["rome"].restart()
    sites.by_name["rome"].open()
    sites.pass_time(DAY)
    sites.exchange()
    sites.pass_time(HOUR)
    assert notices(sites) == []
    one(sites["rome"], "bob")
    sites.exchange()
    assert step_of(sites, number)[0] == "in_context"


def test_a_name_that_nobody_has_there_is_said_to_be_one(sites: Sites) -> None:
    sites["paris"].send("ann", "dora@rome", "welcome")
    sites.exchange()
    sites.pass_time(DAY + HOUR)
    sites.exchange()
    sites.pass_time(HOUR)
    assert "waits: nobody at rome has the name dora yet" in line(sites)


def test_mail_that_never_left_expires_as_at_home(sites: Sites) -> None:
    sites.set("rome", **PATIENT)
    number = sites.set("paris", **PATIENT).send("ann", "bob@rome", "old")["number"]
    sites.pass_time(7 * DAY + HOUR)
    assert "expired: it waited for 7 days, and rome did not come for it" in line(sites)
    assert step_of(sites, number)[0] == "expired"
    sites.exchange()
    assert sites["rome"].contents("bob") == []


@pytest.mark.parametrize("ttl_s", [None, 600])
def test_of_mail_that_left_it_is_only_said_that_no_word_came(sites: Sites, ttl_s: int | None) -> None:
    fields = {} if ttl_s is None else {"ttl_s": ttl_s}
    number = sites.set("paris", **PATIENT).send("ann", "bob@rome", "old", **fields)["number"]
    sites.publish(sites.by_name["paris"])
    ends_s = ttl_s or 7 * DAY
    sites.pass_time(ends_s + HOUR)
    assert notices(sites) == [] and step_of(sites, number)[0] == "stored"
    sites.pass_time(DAY)
    assert "no word from rome that it was read, for" in line(sites)
    assert step_of(sites, number)[0] == "expired"


def test_who_read_it_after_all_is_believed(sites: Sites) -> None:
    number = sites.set("paris", **PATIENT).send("ann", "bob@rome")["number"]
    sites.publish(sites.by_name["paris"])
    sites["paris"].pass_time(8 * DAY + HOUR)
    sites.pass_time(0)
    assert step_of(sites, number)[0] == "expired"
    sites.exchange()
    one(sites["rome"], "bob")
    sites.exchange()
    assert step_of(sites, number) == ("in_context", "its program acknowledged it")
    assert sites["paris"].ask("ann", "dead")["dead"] == []


def test_mail_that_expires_there_is_told_here_with_its_reason(sites: Sites) -> None:
    number = sites["paris"].send("ann", "bob@rome", "soon", ttl_s=600)["number"]
    sites.exchange()
    sites.pass_time(HOUR)
    sites.exchange()
    sites.pass_time(HOUR)
    assert "expired: unread when the time that its sender gave it was over" in line(sites)
    assert step_of(sites, number)[0] == "expired"


def test_a_time_that_ran_out_after_it_left_is_counted_by_its_reader_s_site_alone(sites: Sites) -> None:
    number = sites["paris"].send("ann", "bob@rome", "soon", ttl_s=600)["number"]
    sites.publish(sites.by_name["paris"])
    sites.pass_time(HOUR)
    assert step_of(sites, number)[0] == "stored" and notices(sites) == []
    sites.exchange()
    assert one(sites["rome"], "bob")["message"]["content"] == "soon"
    sites.exchange()
    assert step_of(sites, number)[0] == "in_context"


def test_what_was_refused_is_not_delivered_when_it_comes_again(sites: Sites) -> None:
    """Paris is set back to before rome's mark, so that it sends the same letter again, when there is room for it."""
    sites.set("rome", IPC_MAILBOX_LIMIT="1")
    rome = sites.by_name["rome"]
    sites["paris"].send("ann", "bob@rome", "first")
    number = sites["paris"].send("ann", "bob@rome", "second")["number"]
    sites.exchange()
    assert step_of(sites, number)[0] == "refused"
    assert rome.core.contents("bob") == ["first"]
    rome.core.ask("bob", "ack", ids=[m["id"] for m in rome.core.check("bob")])
    (again,) = [entry for entry in rome.stream if entry["body"].get("content") == "second"]
    rome.stream.append({**again, "at": len(rome.stream) + 1, "seq": rome.stream[-1]["seq"] + 1, "prev": rome.stream[-1]["uid"]})
    sites.exchange()
    assert rome.core.contents("bob") == []
