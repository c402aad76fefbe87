"""Wrong proofs and tokens are refused, logged within bounds and slowed at the port; right ones never are."""

import hashlib
import json
import select
from collections.abc import Callable
from pathlib import Path

import pytest

from broker.core.sessions import token_hash
from broker.home import logs
from tests.conftest import Service
from tests.engine import Core

SECRET, GUESS = "right", "guess"


def proof(name: str, secret: str) -> str:
    return hashlib.sha256(f"{name}:{secret}".encode()).hexdigest()


def test_a_right_proof_is_taken_however_many_wrong_ones_came(home: Path) -> None:
    core = Core(home, {"IPC_SHARED_SECRET": SECRET})
    for n in range(100):
        assert core.ask(None, "register", instance_id="fred", auth_token=proof("fred", str(n)))["code"] == "invalid_auth"
        assert core.ask(None, "register", instance_id="fred", auth_token=proof("fred", SECRET))["status"] == "ok"
    core.store.close()


def test_wrong_tokens_and_keys_are_refused_and_told_apart_from_none(core: Core) -> None:
    core.register("fred")
    assert {core.ask("mallory", "count", session_token=f"guess {n}")["code"] for n in range(50)} == {"unauthorized"}
    row = {"from_id": "a", "to_id": "b", "message": {"content": "x"}, "message_id": "m", "timestamp": 1}
    assert core.ask("mallory", "import", session_token=GUESS, **row)["code"] == "unauthorized"
    assert core.ask(None, "count")["code"] == "unauthorized"
    assert len([e for e in core.events if e.name == "token_refused"]) == 51, "a request without a token is no guess"
    assert core.ask("mallory", "count", session_token=core.tokens["fred"])["status"] == "ok"


def test_a_token_of_an_earlier_session_is_refused_for_good(core: Core) -> None:
    core.register("fred", "claude")
    old = core.tokens["fred"]
    core.register("fred")
    assert core.ask("fred", "rename", new_id="freddy")["status"] == "ok"
    assert core.ask("x", "check", session_token=old)["code"] == "session_replaced", "after registering again and renaming"
    core.restart()
    assert core.ask("x", "check", session_token=old)["code"] == "session_replaced", "and a restart"
    late = core.tokens["fred"]
    assert core.ask("x", "whoami", session_token=late)["instance_id"] == "freddy"
    core.pass_time(8 * 86_400)
    assert core.ask("x", "check", session_token=late)["code"] == "session_expired"
    core.tokens["freddy"] = ""
    core.register("freddy")
    assert core.ask("x", "check", session_token=late)["code"] == "session_replaced"
    assert core.ask("x", "check", session_token=token_hash(late).hex())["code"] == "unauthorized", "a hash is no token"


def test_of_each_refusal_twenty_lines_are_logged_at_once_and_then_how_many_were_left_out(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = logs.Log("guesses", home, "info")
    for n in range(100):
        log.refusal("token_refused", number=n)
        log.refusal("spoof_refused", number=n)
    monkeypatch.setattr(logs, "_A_SECOND", 1e9)
    log.refusal("token_refused", number=100)
    lines = [json.loads(line) for line in (home / "guesses.log").read_text().splitlines()]
    told = [(line["number"], line.get("left_out")) for line in lines if line["event"] == "token_refused"]
    assert told == [*((n, None) for n in range(20)), (100, 80)]
    assert len(lines) == 41, "each event has its own bound"


def test_at_the_port_who_guesses_is_slowed_and_who_knows_the_secret_is_not(make_service: Callable[..., Service]) -> None:
    service = make_service(IPC_SHARED_SECRET=SECRET).start()
    register = {"action": "register", "instance_id": "fred"}
    with service.tcp() as guesser, guesser.makefile("rb") as replies:
        wrong = [json.dumps({**register, "auth_token": proof("fred", str(n)), "id": n}).encode() + b"\n" for n in range(40)]
        guesser.sendall(b"".join(wrong))
        assert [json.loads(replies.readline())["code"] for _ in range(5)] == ["invalid_auth"] * 5
        for _ in range(3):
            assert service.ask({**register, "auth_token": proof("fred", SECRET)})["status"] == "ok"
        assert service.connect("fred").whoami()["instance_id"] == "fred"
        assert not select.select([guesser], [], [], 0)[0] or len(guesser.recv(1 << 20).splitlines()) < 30, (
            "it waits for the rest"
        )
    refused = [line for line in service.log("broker") if line["event"] == "auth_refused"]
    assert 1 <= len(refused) <= 25


def test_wrong_tokens_of_one_client_of_the_port_do_no_harm_to_another(service: Service) -> None:
    token = service.register("fred")
    with service.tcp() as guesser, service.tcp() as honest, honest.makefile("rb") as replies:
        guesser.sendall(b'{"action":"count","session_token":"guess"}\n' * 100)
        for n in range(20):
            honest.sendall(json.dumps({"action": "whoami", "session_token": token, "id": n}).encode() + b"\n")
            assert json.loads(replies.readline())["id"] == n
        assert len(guesser.recv(1 << 20).splitlines()) < 100
