"""Guessing the shared secret is slow, and a right proof tells nothing while it is closed."""

import hashlib
from pathlib import Path

from tests.broker.conftest import Core


def proof(name: str, secret: str) -> str:
    return hashlib.sha256(f"{name}:{secret}".encode()).hexdigest()


def test_wrong_proofs_are_limited_and_the_limit_lifts_with_time(home: Path) -> None:
    core = Core(home, {"IPC_SHARED_SECRET": "right"})
    codes = [core.ask(None, "register", instance_id="fred", auth_token=proof("fred", str(i))).get("code") for i in range(30)]
    assert codes == ["invalid_auth"] * 20 + ["too_many_guesses"] * 10
    closed = core.ask(None, "register", instance_id="fred", auth_token=proof("fred", "right"))
    assert (closed["code"], closed["retry_after_s"]) == ("too_many_guesses", 2.0)
    core.pass_time(2.0)
    assert core.ask(None, "register", instance_id="fred", auth_token=proof("fred", "right"))["status"] == "ok"
    core.store.close()


def test_right_proofs_use_nothing_up(home: Path) -> None:
    core = Core(home, {"IPC_SHARED_SECRET": "right"})
    for _ in range(50):
        assert core.ask(None, "register", instance_id="fred", auth_token=proof("fred", "right"))["status"] == "ok"
    core.store.close()
