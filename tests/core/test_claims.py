"""Claims."""

from tests.engine import Core


def test_a_claim_refuses_what_overlaps_it_and_says_whose_it_is(team: Core) -> None:
    team.ask("fred", "claim", resource="/r/src/api/**", note="new routes")
    error = team.ask("bob", "claim", resource="/r/src/api/users.py")
    assert (error["code"], "fred has claimed /r/src/api/**" in error["message"]) == ("claim_conflict", True)
    assert error["retry_after_s"] > 0
    assert team.ask("bob", "claim", resource="/r/src/web/**")["status"] == "ok"
    rows = team.ask("bob", "claims", resource="/r/src/api/x.py")["claims"]
    assert [(r["holder"], r["note"], r["mine"]) for r in rows] == [("fred", "new routes", False)]


def test_a_claim_is_renewed_by_its_holder_and_lapses_in_time(team: Core) -> None:
    first = team.ask("fred", "claim", resource="db", ttl_s=60)["claimed"]
    team.pass_time(30)
    again = team.ask("fred", "claim", resource="db", ttl_s=60)["claimed"]
    assert (again["since"], again["until"] > first["until"]) == (first["since"], True)
    team.restart()
    team.pass_time(50)
    assert team.ask("bob", "claim", resource="db")["code"] == "claim_conflict"
    team.pass_time(11)
    assert team.ask("bob", "claim", resource="db")["status"] == "ok"


def test_claims_end_with_the_session_of_their_holder(team: Core) -> None:
    team.ask("fred", "claim", resource="db")
    team.register("fred")
    assert team.ask("bob", "claims")["claims"] == []
    team.ask("fred", "claim", resource="db")
    assert team.ask("fred", "claim_release")["released"] == 1
    assert team.ask("bob", "claim", resource="db")["status"] == "ok"


def test_all_agents_together_hold_ten_times_the_claims_of_one(core: Core) -> None:
    core.env["IPC_CLAIM_LIMIT"] = "1"
    core.restart()
    names = [f"a{i}" for i in range(11)]
    core.register(*names)
    codes = [core.ask(name, "claim", resource=name).get("code") for name in names]
    assert codes == [None] * 10 + ["claims_full"]
    assert core.ask("a0", "claim", resource="x")["code"] == "too_many_claims"
    core.ask("a3", "claim_release")
    assert core.ask("a10", "claim", resource="a10")["status"] == "ok"
