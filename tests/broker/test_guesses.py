"""Guessing the shared secret is slow, and a right proof tells nothing while it is closed.

Guessing tokens is limited likewise, and there a right one works.
"""

import hashlib
import json
from pathlib import Path

import pytest

from broker.core.accounts import token_hash
from broker.core.state import Moment
from broker.core.turn import Frame, Outgoing
from broker.errors import RemoteError
from tests.broker.conftest import Core
from tests.conftest import Service

GUESS = "guess"


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


def test_a_connection_that_guesses_tokens_is_limited_and_one_beside_it_is_not(core: Core) -> None:
    core.register("fred", "claude")
    codes = [core.ask("mallory", "count", session_token=f"guess {i}").get("code") for i in range(30)]
    assert codes == ["unauthorized"] * 20 + ["too_many_tokens"] * 10
    assert core.ask("fred", "count")["status"] == "ok"
    assert core.ask("claude", "count", session_token=GUESS)["code"] == "unauthorized"
    assert core.ask("mallory", "count", session_token=core.tokens["claude"])["status"] == "ok", "a right one is no guess"
    logged = [e for e in core.events if e.name == "token_refused"]
    assert len(logged) == 21, "what is not looked at is not logged"
    core.pass_time(4.0)
    codes = [core.ask("mallory", "count", session_token=GUESS).get("code") for _ in range(3)]
    assert codes == ["unauthorized", "unauthorized", "too_many_tokens"]


def test_a_request_without_a_token_is_no_guess_and_the_owner_key_is_one(core: Core) -> None:
    assert {core.ask(None, "count").get("code") for _ in range(50)} == {"unauthorized"}
    row = {"from_id": "a", "to_id": "b", "message": {"content": "x"}, "message_id": "m", "timestamp": 1}
    codes = [core.ask("mallory", "import", session_token=f"key {i}", **row)["code"] for i in range(25)]
    assert codes == ["unauthorized"] * 20 + ["too_many_tokens"] * 5


def test_guesses_in_a_frame_of_sends_are_counted_once_each(core: Core) -> None:
    core.register("fred", "claude")
    send = {"action": "send", "to_id": "claude", "message": {"content": "x"}, "message_id": "twice"}
    bodies = [{**send, "id": n, "session_token": f"guess {n}"} for n in range(19)]
    bodies += [{**send, "id": n, "session_token": core.tokens["fred"]} for n in (98, 99)]  # decided again: an id said twice
    out, _events = core.engine.run([Frame(b"mallory", bodies)], Moment(core.wall_s, core.mono_s))
    codes = [o.body.get("code") for o in out if isinstance(o, Outgoing)]
    assert codes == ["unauthorized"] * 19 + [None, None]
    assert core.engine.state.guessers[b"mallory", ""].left == 1


def test_another_door_name_gives_no_more_guesses(core: Core) -> None:
    bodies = [{"action": "count", "id": n, "session_token": f"guess {n}", "door": f"door {n}"} for n in range(40)]
    out, _events = core.engine.run([Frame(b"mallory", bodies)], Moment(core.wall_s, core.mono_s))
    codes = [o.body.get("code") for o in out if isinstance(o, Outgoing)]
    assert codes == ["unauthorized"] * 20 + ["too_many_tokens"] * 20


def test_connections_kept_in_mind_are_bounded(core: Core) -> None:
    for n in range(1500):
        core.ask(f"route {n}", "count", session_token=GUESS)
    assert len(core.engine.state.guessers) == 1024


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


def test_a_guesser_at_the_port_is_limited_and_logged_and_an_honest_client_is_not(service: Service) -> None:
    token = service.register("fred")
    with service.tcp() as s, s.makefile("rb") as lines:
        for n in range(25):
            s.sendall(json.dumps({"action": "count", "session_token": f"guess {n}"}).encode() + b"\n")
        codes = [json.loads(lines.readline())["code"] for _ in range(25)]
    assert codes == ["unauthorized"] * 20 + ["too_many_tokens"] * 5
    with service.tcp() as s, s.makefile("rb") as lines:
        s.sendall(json.dumps({"action": "count", "session_token": token}).encode() + b"\n")
        assert json.loads(lines.readline())["status"] == "ok"
    assert len([line for line in service.log("broker") if line.get("event") == "token_refused"]) == 20
    with pytest.raises(RemoteError, match="token"):
        service.connect("fred", token=GUESS)  # over ZeroMQ: another connection
