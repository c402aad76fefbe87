"""A client of another machine that is gone holds no name: what it waited for ends with its connection."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from broker.client.sync import Client
from broker.protocol.errors import RemoteError
from tests.conftest import wait_for
from tests.ports import KEEPALIVE, timers
from tests.remote.machines import Host, Machine

WAITING = """
import sys, broker
me = broker.connect(sys.argv[1])
print(me.token, flush=True)
if sys.argv[2] == "poll":
    me.check(wait=600)
me.request("subscribe", notify=sys.argv[2] == "watch")
me.check(wait=600)
"""


@pytest.fixture
def watcher(shared_host: Host, tag: str) -> Iterator[Client]:
    yield shared_host.service.connect(f"watcher{tag}")


def lives(watcher: Client, name: str) -> object:
    return next((row["body"]["alive"] for row in watcher.list() if row["id"] == name), "not yet")


@pytest.mark.parametrize("way", ["poll", "push", "watch"])
def test_a_killed_client_of_another_machine_holds_nothing(
    shared_host: Host, tag: str, machine: Machine, watcher: Client, way: str
) -> None:
    name = f"fred{tag}"
    env = {**os.environ, **machine.env(shared_host.new_key(name))}
    with subprocess.Popen([sys.executable, "-c", WAITING, name, way], env=env, stdout=subprocess.PIPE) as client:
        assert client.stdout is not None and client.stdout.readline()
        wait_for("its wait", lambda: lives(watcher, name) is True)
        client.kill()
    wait_for("the end of its hold", lambda: lives(watcher, name) is None)


def test_the_kernel_asks_a_silent_machine_whether_it_is_there(shared_host: Host, tag: str, machine: Machine) -> None:
    machine.connect(shared_host.new_key(f"fred{tag}"), f"fred{tag}")
    port = shared_host.address()[1]
    wait_for("keepalive", lambda: {timer for ours, _theirs, timer in timers() if ours == port} == {KEEPALIVE})


def test_another_machine_sees_no_folder_of_this_one(shared_host: Host, tag: str, machine: Machine, watcher: Client) -> None:
    key = shared_host.new_key(f"fred{tag}")
    shared_host.service.connect(f"fred{tag}")  # a program of this machine has the name
    with pytest.raises(RemoteError) as refused:
        machine.connect(key, f"fred{tag}")
    assert refused.value.code == "name_held" and os.getcwd() not in str(refused.value) + str(refused.value.data)
    fred = machine.connect(key, f"fred{tag}", force=True)
    rows = {row["id"]: row for row in fred.list()}
    assert "where" not in rows[f"watcher{tag}"]["body"]
    assert os.getcwd() not in str(fred.request("status")["instances"])
    own = next(row for row in watcher.list() if row["id"] == f"fred{tag}")
    assert own["body"]["host"] == "key"
    shared_host.service.connect(f"fred{tag}", force=True)
    with pytest.raises(RemoteError) as lost:
        fred.check()
    assert lost.value.code == "session_replaced" and "by a program" in lost.value.hint and os.getcwd() not in str(lost.value)
