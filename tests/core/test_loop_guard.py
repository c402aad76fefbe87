"""Two agents that answer each other without end."""

import hashlib
from pathlib import Path
from typing import Any

from tests.engine import Core, one


def test_two_machines_that_answer_each_other_without_end_are_slowed_and_told(home: object) -> None:
    core = Core(home, env={"IPC_PAIR_LIMIT": "5"})  # type: ignore[arg-type]
    core.register("a", "b")
    sent, error = 0, {}
    while not error and sent < 50:
        answer = core.send("a" if sent % 2 else "b", "b" if sent % 2 else "a")
        error = answer if answer["status"] == "error" else {}
        sent += not error
    assert (error["code"], sent) == ("slow_down", 7)
    assert 0 < error["retry_after_s"] <= 60
    for who in ("a", "b"):
        assert sum("without a person" in text for text in core.contents(who)) == 1
    assert core.send("a", "b", person=True)["code"] == "slow_down"  # said, and seen by nobody
    core.engine.is_person = lambda route: route == b"a"
    assert core.send("b", "a", person=True)["code"] == "slow_down"
    assert core.send("a", "b")["code"] == "slow_down"
    assert core.send("a", "b", person=True)["status"] == "ok"
    core.store.close()


def test_many_messages_one_way_are_no_exchange(home: object) -> None:
    core = Core(home, env={"IPC_PAIR_LIMIT": "5"})  # type: ignore[arg-type]
    core.register("a", "b")
    assert all(core.send("a", "b")["status"] == "ok" for _ in range(50))
    core.store.close()


def test_the_brake_lets_go_after_a_minute(home: object) -> None:
    core = Core(home, env={"IPC_PAIR_LIMIT": "1"})  # type: ignore[arg-type]
    core.register("a", "b")
    answers = [core.send(*(("a", "b") if n % 2 else ("b", "a"))) for n in range(6)]
    assert answers[-1]["code"] == "slow_down"
    core.pass_time(61)
    assert core.send("a", "b")["status"] == "ok"
    core.store.close()


def test_a_forwarded_large_message_keeps_its_text_when_the_original_is_gone(pair: Core) -> None:
    text = "Large report. " + "0123456789" * 3000
    number = pair.send("fred", "claude", text)["message_id"]
    pair.register("nova")
    assert pair.ask("fred", "forward", forward_id=number, to_id="nova", note="fyi")["status"] == "ok"
    original: Any = one(pair, "claude")["file"]
    Path(original["path"]).unlink()
    file: Any = one(pair, "nova")["file"]
    assert Path(file["path"]).read_text().endswith(f"\n---\n\nfyi\n\n{text}")
    assert file["sha256"] == hashlib.sha256(f"fyi\n\n{text}".encode()).hexdigest()
    refused = pair.ask("fred", "forward", forward_id=number, to_id="nova")
    assert (refused["code"], "is gone" in refused["message"]) == ("bad_request", True)
