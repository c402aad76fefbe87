"""Ten thousand presses of the links of one question, and of one prompt: the broker takes one, whatever they say."""

import random
from typing import Any

import pytest

from bridges.answer_tokens import answer_id, mint, read
from tests.engine import OWNER, Core

pytestmark = pytest.mark.deep

KEY, PRESSES = "the key of the data folder", 10_000


def pressed(core: Core, kind: str, of_id: str) -> list[str]:
    """The ids that as many valid tokens name, each read as the listener reads it."""
    return [read(KEY, mint(KEY, kind, of_id, core.wall_s), core.wall_s).id for _ in range(PRESSES)]


def test_a_question_has_one_answer_also_over_a_restart(pair: Core) -> None:
    rng = random.Random(16)  # noqa: S311
    question = pair.ask("fred", "ask", to_id="claude", message={"content": "deploy?"})["number"]
    bodies: list[dict[str, Any]] = [
        {"action": "reply", "to_message": one, "message": {"content": rng.choice(("yes", "no"))}, "message_id": answer_id(one)}
        for one in pressed(pair, "question", question)
    ]
    replies = pair.batch(*bodies[:5000], name="claude")
    pair.restart()
    replies += pair.batch(*bodies[5000:], name="claude")
    taken = [reply for reply in replies if reply["status"] == "ok" and not reply.get("duplicate")]
    assert len(taken) == 1 and taken[0]["answers"] == question
    assert {reply.get("code") for reply in replies} == {None, "id_conflict"}
    assert pair.contents("fred") == [bodies[0]["message"]["content"]]


def test_a_prompt_is_decided_once(pair: Core) -> None:
    asked = {"call": "call-0001", "tool": "Bash", "shown": "rm -rf build", "wait_s": 60.0}
    pair.batch({"action": "permission_ask", **asked}, name="fred")
    (prompt,) = pair.ask(None, "overview", session_token=OWNER)["permissions"]
    decisions = ("deny", "allow")
    replies = pair.batch(
        *(
            {"action": "permission_decide", "session_token": OWNER, "permission_id": one, "decision": decisions[n % 2]}
            for n, one in enumerate(pressed(pair, "permission", prompt["id"]))
        )
    )
    assert [reply.get("code") for reply in replies] == [None] + ["permission_over"] * (PRESSES - 1)
    assert [reply["decision"] for reply in pair.late if "decision" in reply] == ["deny"]
