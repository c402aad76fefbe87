"""Who is at other sites and what they have claimed: hints with their age, which hold nobody off and prove nothing."""

from typing import Any

import pytest

from tests.core.two_sites import Sites
from tests.core.two_sites import sites as sites

AGENTS = [{"name": "bob", "presence": "working", "note": "the parser", "silent_s": 4}]
CLAIMS = [{"resource": "src/**", "holder": "bob", "note": "the parser"}]


def tell(sites: Sites, **told: Any) -> None:
    paris = sites.by_name["paris"]
    paris.ask("link_told", lease=paris.lease, **told)


def test_what_a_site_shows_of_itself_is_what_another_lists_with_its_age(sites: Sites) -> None:
    rome = sites.by_name["rome"]
    rome.core.ask("bob", "presence", state="working", note="the parser")
    rome.core.ask("bob", "claim", resource="src/**", note="rewrites it")
    shown = rome.ask("link_hints", lease=rome.lease)
    tell(sites, agents={"rome": shown["agents"]}, claims={"rome": shown["claims"]})
    sites["paris"].pass_time(30)
    rows = [row for row in sites["paris"].ask("ann", "list", all=True)["instances"] if "site" in row]
    assert rows[1] == {
        "id": "bob@rome", "site": "rome", "age_s": 30.0, "presence": "working", "note": "the parser", "silent_s": 0,
    }  # fmt: skip
    assert sites["paris"].ask("ann", "list")["instances"][0]["id"] == "amy"
    (claim,) = sites["paris"].ask("ann", "claims", all=True, resource="src/a.py")["claims"]
    assert (claim["holder"], claim["note"], claim["age_s"], claim["mine"]) == ("bob@rome", "rewrites it", 30.0, False)
    assert sites["paris"].ask("ann", "claims", resource="src/a.py")["claims"] == []


@pytest.mark.parametrize(("resource", "named"), [("src/a.py", ["bob@rome"]), ("src", ["bob@rome"]), ("docs/a.md", [])])
def test_a_claim_that_overlaps_one_at_another_site_succeeds_and_says_so(sites: Sites, resource: str, named: list[str]) -> None:
    tell(sites, claims={"rome": CLAIMS})
    claimed = sites["paris"].ask("ann", "claim", resource=resource)
    assert claimed["claimed"]["resource"] == resource
    assert [one["holder"] for one in claimed.get("elsewhere", [])] == named


def test_of_many_claims_elsewhere_a_reply_names_a_few(sites: Sites) -> None:
    tell(sites, claims={"rome": [{"resource": f"src/{n}*", "holder": "bob", "note": ""} for n in range(500)]})
    assert len(sites["paris"].ask("ann", "claim", resource="src/**")["elsewhere"]) == 3


def test_hints_hold_nobody_off_and_make_nobody(sites: Sites) -> None:
    tell(sites, agents={"rome": AGENTS}, claims={"rome": CLAIMS})
    assert "bob@rome" not in sites["paris"].engine.state.mailboxes
    assert sites["paris"].ask("ann", "claim_release", resource="src/**")["released"] == 0


def test_who_is_asked_is_said_to_be_what_its_site_told(sites: Sites) -> None:
    asked = sites["paris"].ask("ann", "ask", to_id="bob@rome", message={"content": "?"}, message_id="q1")
    assert "asked_is" not in asked
    for presence, said in (("working", "working"), ("waiting", "working"), ("idle", "idle"), ("gone", "away")):
        tell(sites, agents={"rome": [{**AGENTS[0], "presence": presence}]})
        assert sites["paris"].ask("ann", "asks")["asks"][0]["asked_is"] == said


@pytest.mark.parametrize(
    "wrong", [None, 5, "x y", [], {}, {"name": "a b"}, {"name": "eve"}, {"name": "eve", "presence": ["idle"]}]
)
def test_what_is_no_row_is_left_out(sites: Sites, wrong: Any) -> None:
    if not isinstance(wrong, dict):
        wrong = {"name": wrong, "presence": wrong, "resource": wrong, "holder": wrong, "note": wrong, "silent_s": wrong}
    tell(sites, agents={"rome": [wrong, *AGENTS]}, claims={"rome": [wrong, *CLAIMS]})
    rows = [row["id"] for row in sites["paris"].ask("ann", "list", all=True)["instances"] if "site" in row]
    assert rows == ["bob@rome"]
    assert [c["holder"] for c in sites["paris"].ask("ann", "claims", all=True)["claims"]] == ["bob@rome"]
    assert sites["paris"].ask("ann", "claim", resource="src/a")["status"] == "ok"


def test_many_agents_of_many_sites_are_listed_up_to_a_bound(sites: Sites, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("broker.core.site_table._AGENTS", 50)
    many = [{"name": f"a{n}", "presence": "idle", "silent_s": 1} for n in range(40)]
    tell(sites, agents={"rome": many, "berlin": many})
    assert len([row for row in sites["paris"].ask("ann", "list", all=True)["instances"] if "site" in row]) == 50
