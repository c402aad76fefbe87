"""More than there is room for: it is refused by the catalogue, or a process dies and is back, and no mail is lost."""

import contextlib
import resource
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq

from broker.client.sync import Client
from broker.home.endpoints import endpoint
from broker.protocol import frames
from broker.protocol.errors import CATALOGUE, IpcError
from tests.conftest import Service, wait_for

MIB = 2**20


def size_mib(pid: int, kind: str = "VmRSS") -> float:
    """``VmRSS``: resident; ``VmSize``: what RLIMIT_AS counts."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(kind + ":")) / 1024


def leave_room(pid: int, room_mib: float) -> None:
    """The process may grow by so much and no more."""
    limit = int((size_mib(pid, "VmSize") + room_mib) * MIB)
    resource.prlimit(pid, resource.RLIMIT_AS, (limit, resource.getrlimit(resource.RLIMIT_AS)[1]))


@contextlib.contextmanager
def dealer(service: Service, frames: int = 1000) -> Iterator["zmq.Socket[bytes]"]:
    """A socket to the broker that takes in so many frames unread."""
    context = zmq.Context()
    s = context.socket(zmq.DEALER)
    try:
        s.setsockopt(zmq.LINGER, 0)
        s.setsockopt(zmq.RCVHWM, frames)
        s.setsockopt(zmq.SNDHWM, 0)
        s.setsockopt(zmq.RCVTIMEO, 30_000)
        s.connect(endpoint(service.settings))
        yield s
    finally:
        s.close()
        context.term()


def flood(service: Service, token: str, count: int, each: int, text: str) -> Counter[str]:
    """Send all of it before a reply is read; how often which answer came."""
    with dealer(service, count * each) as s:
        for frame in range(count):
            bodies: list[dict[str, Any]] = [
                {"action": "send", "to_id": "sink", "message": {"content": text}, "id": frame * each + n} for n in range(each)
            ]
            bodies[0]["session_token"] = token
            s.send(frames.encode(bodies))
        answers: dict[int, str] = {}
        while len(answers) < count * each:
            for reply in frames.decode(s.recv()):
                assert reply["id"] not in answers
                answers[reply["id"]] = reply.get("code", "ok")
    return Counter(answers.values())


def read_all(me: Client) -> int:
    got = 0
    while mail := me.check(limit=1000):
        got += len(mail)
    return got


@pytest.mark.timeout(120)
def test_a_flood_is_refused_by_the_catalogue_and_costs_little_memory(make_service: Callable[..., Service]) -> None:
    service = make_service(IPC_RATE_LIMIT="0", IPC_MAILBOX_LIMIT="5000", IPC_LEASE="600").start()
    pid, sink = service.pid("broker"), service.connect("sink")
    leave_room(pid, 300)
    answers = flood(service, service.connect("flood").token, 200, 250, "x" * 1000)
    assert answers.keys() <= CATALOGUE.keys() | {"ok"}
    assert answers["ok"] == 5000
    assert answers["mailbox_full"] + answers["overloaded"] == 45_000
    assert service.pid("broker") == pid, "it stayed up"
    assert size_mib(pid) < 150
    assert read_all(sink) == 5000


@pytest.mark.timeout(120)
def test_a_flood_over_the_rate_limit_is_told_when_to_come_back(make_service: Callable[..., Service]) -> None:
    service = make_service(IPC_RATE_LIMIT="100", IPC_RATE_BURST="200").start()
    sink = service.connect("sink")
    answers = flood(service, service.connect("flood").token, 40, 250, "x" * 100)
    assert answers.keys() <= {"ok", "rate_limited", "overloaded"}
    assert answers["rate_limited"] > 0
    assert read_all(sink) == answers["ok"]


@pytest.mark.timeout(180)
@pytest.mark.parametrize("room_mib", [4, 12])
def test_when_memory_really_ends_the_broker_is_back_with_all_that_was_acknowledged(service: Service, room_mib: float) -> None:
    """Large bodies that the process can't take in, or can't decode; the next one has no such limit."""
    sender, acknowledged = service.connect("sender"), 0
    pid = service.pid("broker")
    leave_room(pid, room_mib)
    for number in range(40):
        with contextlib.suppress(IpcError):  # what it could not hold is refused, and stored nowhere
            sender.request(
                "send",
                to_id="sender",
                message={"content": f"{number} " + "y" * (8 * MIB)},
                message_id=f"m{number}",
                timeout_s=60,
            )
            acknowledged += 1
        if service.pid("broker") != pid:
            break
    assert service.pid("broker") != pid, "there was room for all of it"
    wait_for("the next broker", lambda: service.pid("broker") not in (0, pid))
    assert sender.send("sender", "last")["status"] == "ok"
    got = []
    while mail := sender.check():
        got += [m.content.split()[0] for m in mail]
    assert len(got) == len(set(got)) >= acknowledged + 1
    assert got[-1] == "last"


@pytest.mark.timeout(120)
def test_a_client_that_reads_no_replies_costs_bounded_memory_and_no_one_an_answer(make_service: Callable[..., Service]) -> None:
    service = make_service(IPC_RATE_LIMIT="0", IPC_ATTEMPT_LIMIT="1000").start()  # it gives its mail back 400 times
    pid, other, me = service.pid("broker"), service.connect("other"), service.connect("fred")
    me.send_many([("fred", f"{n} " + "x" * 9000) for n in range(200)])
    with dealer(service, 1) as s:
        for number in range(400):  # 700 MiB of replies
            check = {"action": "check", "limit": 200, "max_bytes": 4 * MIB, "id": number, "session_token": me.token}
            s.send(frames.encode([check, {"action": "release", "id": -number, "session_token": me.token}]))
            if number % 20 == 0:
                assert other.send("other", "quick")["status"] == "ok"
        wait_for("all of it to be decided", lambda: other.request("status")["requests"] > 200 + 800)
        assert size_mib(pid) < 150
    got: set[str] = set()
    with service.connect("fred", token=me.token) as fred:
        wait_for("its mail", lambda: (got.update(m.content.split()[0] for m in fred.check(limit=1000)), len(got) == 200)[1])


@pytest.mark.timeout(120)
def test_a_broker_with_few_descriptors_keeps_whom_it_has_and_takes_others_later(service: Service) -> None:
    """Each client has one or two at the broker; those that find none wait, until others go."""
    me = service.connect("fred")
    resource.prlimit(service.pid("broker"), resource.RLIMIT_NOFILE, (48, 48))
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(dealer(service)) for _ in range(60)]
        for s in sockets:
            s.send(frames.encode([{"action": "ping", "id": 1}]))
        answered = sum(s.poll(200) > 0 for s in sockets)
        assert answered < 60, "the limit was not met"
        assert me.send("fred", "x")["status"] == "ok"
    with dealer(service) as s:
        s.send(frames.encode([{"action": "ping", "id": 1}]))
        assert frames.decode(s.recv())[0]["status"] == "ok"
