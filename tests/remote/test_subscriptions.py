"""A client's subscriptions are its own: at the TCP door and at the one for other machines each ends alone, and all with it."""

import itertools
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from broker.client.sync import Client, connect
from broker.home.settings import Settings
from tests.conftest import Service, wait_for
from tests.ports import free_port
from tests.remote.machines import Host, Machine

_numbers = itertools.count()


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    folder = Path(tempfile.mkdtemp(prefix="ipc-"))
    service = Service(folder / "ipc", IPC_REMOTE=f"tcp://127.0.0.1:{free_port()}", IPC_LEASE="2")
    host = Host(service.start(), folder)
    host.address()
    yield host
    service.stop()
    shutil.rmtree(folder, ignore_errors=True)


class Reader(Protocol):
    """One connection to a door."""

    token: str

    def subscribe(self, *, notify: bool, token: str = "") -> Any:
        """The id of the subscription."""

    def unsubscribe(self, **fields: Any) -> dict[str, Any]: ...
    def pushes(self) -> list[dict[str, Any]]:
        """Those that have come by now."""

    def close(self) -> None: ...


class TcpReader:
    def __init__(self, host: Host, name: str, token: str = "") -> None:
        self._socket = host.service.tcp()
        self._file = self._socket.makefile("rwb")
        self._ids = itertools.count(1)
        self._pushed: list[dict[str, Any]] = []
        self.token = token or self.ask(action="register", instance_id=name)["session_token"]

    def ask(self, **body: Any) -> dict[str, Any]:
        body = {"id": next(self._ids), **body}
        self._file.write(json.dumps(body).encode() + b"\n")
        self._file.flush()
        while True:
            reply: dict[str, Any] = json.loads(self._file.readline())
            if "push" not in reply:
                assert reply["id"] == body["id"]
                return reply
            self._pushed.append(reply)

    def subscribe(self, *, notify: bool, token: str = "") -> Any:
        return self.ask(action="subscribe", notify=notify, session_token=token or self.token)["id"]

    def unsubscribe(self, **fields: Any) -> dict[str, Any]:
        return self.ask(**{"action": "unsubscribe", "session_token": self.token, **fields})

    def pushes(self) -> list[dict[str, Any]]:
        self.ask(action="whoami", session_token=self.token)
        pushed, self._pushed = self._pushed, []
        return pushed

    def close(self) -> None:
        self._file.close()
        self._socket.close()


class KeyReader:
    def __init__(self, host: Host, name: str) -> None:
        settings = Settings.load(env=Machine(host.folder / "elsewhere").env(host.new_key(name)))
        self._client: Client = connect(name, settings=settings)
        self.token = self._client.token

    def subscribe(self, *, notify: bool, token: str = "") -> Any:
        return self._client.request("subscribe", notify=notify)["id"]

    def unsubscribe(self, **fields: Any) -> dict[str, Any]:
        return self._client.request("unsubscribe", **fields)

    def pushes(self) -> list[dict[str, Any]]:
        self._client.whoami()
        return self._client._connection.poll_pushes(0)

    def close(self) -> None:
        self._client._unacked.clear()
        self._client.close()


@pytest.fixture(params=[pytest.param(TcpReader, id="tcp"), pytest.param(KeyReader, id="key", marks=pytest.mark.deep)])
def open_reader(request: pytest.FixtureRequest) -> Callable[[Host, str], Reader]:
    opener: Callable[[Host, str], Reader] = request.param
    return opener


def fresh(*names: str) -> list[str]:
    number = next(_numbers)
    return [f"{name}{number}" for name in names]


def unread(host: Host, token: str) -> list[dict[str, Any]]:
    """What another reader of the mailbox gets. That a key's client is gone the door hears by the next push to it."""
    found: list[dict[str, Any]] = host.service.ask({"action": "check", "session_token": token})["messages"]
    return found


KINDS = [
    *(pytest.param(kinds, id="+".join(kinds)) for kinds in (("mail",), ("mail", "notify"))),
    *(pytest.param(kinds, id="+".join(kinds), marks=pytest.mark.deep) for kinds in (("notify", "mail"), ("notify", "notify"))),
]


@pytest.mark.parametrize("kinds", KINDS)
@pytest.mark.parametrize("ends", ["first", "last", "all", "unknown"])
def test_unsubscribe_ends_what_it_names_and_nothing_else(
    host: Host, open_reader: Callable[[Host, str], Reader], kinds: tuple[str, ...], ends: str
) -> None:
    name, writer = fresh("reader", "writer")
    reader = open_reader(host, name)
    ids = [reader.subscribe(notify=kind == "notify") for kind in kinds]
    living = dict(zip(ids, kinds, strict=True))
    fields = {"first": {"subscription": ids[0]}, "last": {"subscription": ids[-1]}, "all": {}, "unknown": {"subscription": 999}}
    assert reader.unsubscribe(**fields[ends])["status"] == "ok"
    for ended in {"first": ids[:1], "last": ids[-1:], "all": ids, "unknown": []}[ends]:
        del living[ended]
    host.service.connect(writer).send(name, "hello")
    by_mail = [number for number, kind in living.items() if kind == "mail"]
    told = [(p["id"], p["push"]) for p in reader.pushes()]
    assert told == ([(n, "mail") for n in by_mail] or [(n, "new") for n in living])
    reader.close()
    again = wait_for("the mail", lambda: unread(host, reader.token))
    assert [(m["message"]["content"], m.get("redelivered", False)) for m in again] == [("hello", bool(by_mail))]


@pytest.mark.parametrize("kinds", [("mail", "notify"), ("notify", "mail"), ("mail", "mail")], ids="+".join)
def test_all_subscriptions_of_a_connection_end_with_it(
    host: Host, open_reader: Callable[[Host, str], Reader], kinds: tuple[str, ...]
) -> None:
    name, writer = fresh("reader", "writer")
    reader = open_reader(host, name)
    for kind in kinds:
        reader.subscribe(notify=kind == "notify")
    reader.close()
    sender = host.service.connect(writer)
    for text in ("one", "two"):
        sender.send(name, text)
        assert [m["message"]["content"] for m in wait_for("the mail", lambda: unread(host, reader.token))] == [text]


def test_unsubscribe_leaves_other_sessions_and_other_connections_alone(host: Host) -> None:
    one, two, writer = fresh("one", "two", "writer")
    reader = TcpReader(host, one)
    other = TcpReader(host, two)
    second = TcpReader(host, one, reader.token)
    mine, theirs = reader.subscribe(notify=False), reader.subscribe(notify=False, token=other.token)
    watching = second.subscribe(notify=True)
    assert second.unsubscribe(subscription=mine + 100)["status"] == "ok"
    assert reader.unsubscribe(subscription=theirs)["status"] == "ok", "which is the other session's"
    assert second.unsubscribe(session_token=other.token)["status"] == "ok", "which has none on this connection"
    sender = host.service.connect(writer)
    sender.send(one, "a")
    sender.send(two, "b")
    assert [(p["id"], p["messages"][0]["to"]) for p in reader.pushes()] == [(mine, one), (theirs, two)]
    reader.unsubscribe()
    sender.send(one, "c")
    sender.send(two, "d")
    assert [(p["id"], p["messages"][0]["to"]) for p in reader.pushes()] == [(theirs, two)]
    assert [(p["id"], p["push"]) for p in second.pushes()] == [(watching, "new")]
    for one_reader in (reader, other, second):
        one_reader.close()


@pytest.mark.parametrize("wrong", [True, {}, 1.5])
def test_a_subscription_of_the_wrong_type_is_refused_and_ends_nothing(host: Host, wrong: Any) -> None:
    name, writer = fresh("reader", "writer")
    reader = TcpReader(host, name)
    reader.ask(action="whoami", session_token=reader.token)
    number = reader.ask(id=1, action="subscribe", session_token=reader.token)["id"]
    assert reader.unsubscribe(subscription=wrong)["code"] == "bad_request"
    host.service.connect(writer).send(name, "hello")
    assert [p["id"] for p in reader.pushes()] == [number]
    reader.close()
