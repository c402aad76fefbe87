"""What waits for the person, and in which order."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridges.view.needs import KINDS, needs_of

NUMBER = st.from_regex(r"\d{1,3}", fullmatch=True)
AT = "2026-03-01T12:00:00+00:00"


def at(minute: int) -> str:
    return f"2026-03-01T11:{minute:02d}:00+00:00"


def question(number: str, asker: str, to: str, minute: int = 0, **more: Any) -> dict[str, Any]:
    fields = {"id": number, "from": asker, "to": to, "content": f"what of {number}?", "state": "open", "asked_is": "idle"}
    return {**fields, "asked_at": at(minute), "deadline": AT, **more}


def agent(name: str, presence: str = "working", state: str = "", minute: int = 0, **more: Any) -> dict[str, Any]:
    row: dict[str, Any] = {"id": name, "presence": presence, "last_seen": AT, "queued": 0, "leased": 0}
    if state:
        row["activity"] = {"state": state, "since": at(minute), **more}
    return row


def permission(number: str, name: str, minute: int = 0) -> dict[str, Any]:
    shown = {"id": number, "name": name, "host": "claude", "tool": "Bash", "shown": "rm -r build", "until": AT}
    return {**shown, "asked_at": at(minute)}


def alarm(number: int, name: str, kind: str, minute: int = 0) -> dict[str, Any]:
    return {"id": number, "name": name, "kind": kind, "since": at(minute), "evidence": f"is {kind}"}


def bounce(number: str, minute: int = 0) -> dict[str, Any]:
    return {"id": number, "from": "nova", "to": "otto", "ending": "expired", "why": "nobody read it in time", "at": at(minute)}


@pytest.mark.parametrize(
    ("overview", "keys"),
    [
        pytest.param({}, [], id="nothing"),
        pytest.param({"questions": [question("7", "nova", "ada")]}, ["question:7"], id="a question to the person"),
        pytest.param({"questions": [question("7", "nova", "otto")]}, [], id="a question to another agent"),
        pytest.param({"questions": [question("7", "nova", "eve", person=True)]}, ["question:7"], id="to another person here"),
        pytest.param({"questions": [question("7", "nova", "ada", state="stale")]}, [], id="a question whose time is over"),
        pytest.param({"permissions": [permission("3", "nova")]}, ["permission:3"], id="a permission"),
        pytest.param(
            {"permissions": [permission("3", "nova")], "agents": [agent("nova", "waiting", "permission")]},
            ["permission:3"],
            id="a permission that its host also tells of",
        ),
        pytest.param({"agents": [agent("nova", "waiting", "permission", 5)]}, [f"host:nova:{at(5)}"], id="a prompt elsewhere"),
        pytest.param({"agents": [agent("nova", "waiting", "answer", 5)]}, [f"host:nova:{at(5)}"], id="a host that asks"),
        pytest.param({"agents": [agent("nova", "gone", "answer", 5)]}, [], id="a host that asked and is gone"),
        pytest.param(
            {"agents": [agent("nova", "waiting", "permission", 5)], "alarms": [alarm(1, "nova", "permission")]},
            [f"host:nova:{at(5)}"],
            id="a prompt and the alarm that tells of it",
        ),
        pytest.param({"alarms": [alarm(1, "nova", "silent")]}, ["stall:1"], id="a stall"),
        pytest.param(
            {"alarms": [alarm(1, "ada", "dead")], "agents": [{**agent("ada", "gone"), "person": True}]}, [], id="who left"
        ),
        pytest.param({"agents": [agent("nova", "idle", "failed", 9)]}, [f"failed:nova:{at(9)}"], id="a turn that broke off"),
        pytest.param(
            {"agents": [agent("nova", "idle", "failed", 9)], "alarms": [alarm(1, "nova", "dead")]},
            ["stall:1"],
            id="a turn that broke off, with an alarm",
        ),
        pytest.param({"bounced": [bounce("9")]}, ["bounce:9:otto"], id="a dead letter"),
        pytest.param({"at": AT, "agents": [agent("nova", "idle", "idle", 50)]}, [f"done:nova:{at(50)}"], id="done lately"),
        pytest.param({"at": AT, "agents": [agent("nova", "idle", "idle", 5)]}, [], id="done long ago"),
        pytest.param({"agents": [agent("nova", "working", "working")]}, [], id="an agent at work"),
    ],
)  # fmt: skip
def test_what_waits_for_the_person(overview: dict[str, Any], keys: list[str]) -> None:
    assert [need.key for need in needs_of(overview, "ada", overview.get("bounced", ()))] == keys


def test_questions_come_first_then_permissions_stalls_and_dead_letters_and_the_oldest_of_each() -> None:
    overview = {
        "at": AT,
        "questions": [question("8", "otto", "ada", 30), question("7", "nova", "ada", 10)],
        "permissions": [permission("3", "nova", 2)],
        "alarms": [alarm(1, "otto", "silent", 1)],
        "agents": [agent("rex", "idle", "idle", 59)],
    }
    needs = needs_of(overview, "ada", [bounce("9", 0)])
    assert [need.kind for need in needs] == ["question", "question", *KINDS[1:]]
    assert [need.id for need in needs[:2]] == ["7", "8"]


def test_words_of_others_are_visible() -> None:
    hidden = "go\x1b[2J \u202etxt.exe"
    overview = {
        "questions": [question("7", "nova", "ada", content=hidden)],
        "permissions": [{**permission("3", "nova"), "shown": hidden, "tool": hidden}],
        "alarms": [{**alarm(1, "nova", "silent"), "evidence": hidden}],
        "agents": [agent("otto", "waiting", "permission", tool=hidden)],
    }
    for need in needs_of(overview, "ada", [{**bounce("9"), "why": hidden}]):
        assert not {"\x1b", "\u202e"} & set(f"{need.text}{need.tool}"), need


@given(
    st.fixed_dictionaries(
        {
            "questions": st.lists(st.builds(question, NUMBER, st.just("nova"), st.just("ada"))),
            "permissions": st.lists(st.builds(permission, NUMBER, st.just("otto"))),
            "alarms": st.lists(st.builds(alarm, st.integers(1), st.just("nova"), st.sampled_from(("silent", "answer")))),
            "agents": st.lists(
                st.builds(
                    agent,
                    st.sampled_from(("nova", "otto", "rex")),
                    st.sampled_from(("working", "waiting", "idle", "gone")),
                    st.sampled_from(("", "idle", "working", "permission", "answer", "failed", "ended")),
                    st.integers(0, 59),
                )
            ),
            "at": st.just(AT),
        }
    ),
    st.randoms(use_true_random=False),
)  # fmt: skip
def test_the_order_of_a_reply_changes_nothing(overview: dict[str, Any], draw: Any) -> None:
    shuffled = {name: draw.sample(rows, len(rows)) if isinstance(rows, list) else rows for name, rows in overview.items()}
    assert [need.key for need in needs_of(overview, "ada")] == [need.key for need in needs_of(shuffled, "ada")]
