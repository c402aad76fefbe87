"""Many clients of the door share its one connection to the broker; none gains by another's requests."""

import json
import os
import signal

from tests.conftest import Service
from tests.processes import freeze


def test_a_request_without_a_token_never_acts_by_that_of_a_request_beside_it(service: Service) -> None:
    """Requests of several clients share a frame to the broker, in which a token holds for what comes after it."""
    line = json.dumps({"action": "whoami", "session_token": service.register("fred")}).encode() + b"\n"
    forged = json.dumps({"action": "send", "to_id": "wilma", "message": {"content": "forged"}}).encode() + b"\n"
    with service.tcp() as mine, service.tcp() as strangers:
        for _ in range(10):
            door = service.pid("tcp")
            freeze(door)  # so that it finds both at once
            mine.sendall(line)
            strangers.sendall(forged)
            os.kill(door, signal.SIGCONT)
            assert json.loads(mine.recv(65536))["instance_id"] == "fred"
            assert json.loads(strangers.recv(65536))["code"] == "unauthorized"
