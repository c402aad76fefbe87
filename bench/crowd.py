"""Many agents and much mail, fast: for measurements and tests of large pages."""

from itertools import islice

from broker.client.sync import Connection

NOTE = "refactors the parser, step 2 of 4; then the error texts"
TEXT = "The parser is ready for review: src/parser.py.\nPlease look at the error paths first. " * 4


def crowd(connection: Connection, agents: int, messages: int) -> list[str]:
    """Registers so many agents, at work, of which each asks and claims something, and has them write. Returns their names."""
    names = [f"agent-{number:04d}" for number in range(agents)]
    replies = _all(connection, [{"action": "register", "instance_id": name} for name in names])
    tokens = [str(reply["session_token"]) for reply in replies]
    state = {"action": "presence", "state": "working", "note": NOTE, "reach": ["socket", "hook"]}
    claim = {"action": "claim", "note": NOTE}
    ask = {"action": "ask", "to_id": "pat", "message": {"content": TEXT}, "wait_s": 0}
    said = []
    for number, token in enumerate(tokens):
        mine = {"session_token": token}
        said += [state | mine, claim | mine | {"resource": f"src/package/module_{number}.py"}, ask | mine]
    _all(connection, said)
    sends = (
        {
            "action": "send",
            "session_token": tokens[number % agents],
            "to_id": names[(number * 7 + 1 + number // agents) % agents],
            "message": {"content": TEXT, "data": {"number": number}},
        }
        for number in range(messages)
    )
    while part := list(islice(sends, 1000)):
        _all(connection, part)
    return names


def _all(connection: Connection, bodies: list[dict[str, object]]) -> list[dict[str, object]]:
    found = []
    for start in range(0, len(bodies), 250):
        found += connection.request_many(bodies[start : start + 250], timeout_s=60)
    assert all(reply["status"] == "ok" for reply in found), next(r for r in found if r["status"] != "ok")
    return found
