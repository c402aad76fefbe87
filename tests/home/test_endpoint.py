"""Where the broker may listen: nowhere that strangers reach it without keys."""

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from broker.home.endpoints import EndpointRefused, check_endpoint
from broker.home.locks import lock
from broker.home.settings import Settings
from tests.conftest import Service


def settings(home: Path, address: str, secret: str = "") -> Settings:
    return Settings.load(env={"IPC_HOME": str(home), "IPC_ENDPOINT": address, "IPC_SHARED_SECRET": secret})


@pytest.mark.parametrize("address", ["tcp://0.0.0.0:5555", "tcp://*:5555", "tcp://[::]:5555", "tcp://eth0:5555", "pgm://x:1"])
def test_an_endpoint_beyond_this_machine_is_refused_even_with_a_secret(home: Path, address: str) -> None:
    with pytest.raises(EndpointRefused, match="is refused"):
        check_endpoint(settings(home, address, "secret"))


def test_loopback_needs_a_secret_and_a_socket_file_does_not(home: Path) -> None:
    check_endpoint(settings(home, ""))
    check_endpoint(settings(home, "ipc:///tmp/x.sock"))
    check_endpoint(settings(home, "tcp://127.0.0.1:5555", "secret"))
    with pytest.raises(EndpointRefused, match="IPC_SHARED_SECRET"):
        check_endpoint(settings(home, "tcp://127.0.0.1:5555"))


def test_a_broker_that_may_not_listen_says_why(home: Path) -> None:
    env = {"IPC_HOME": str(home), "IPC_ENDPOINT": "tcp://0.0.0.0:5555", "PATH": ""}
    done = subprocess.run([sys.executable, "-m", "broker"], env=env, capture_output=True, text=True)
    assert (done.returncode, "is refused" in done.stderr) == (1, True), done.stderr


def test_mail_goes_over_a_loopback_endpoint_with_a_secret(make_service: Callable[..., Service]) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {"IPC_ENDPOINT": f"tcp://127.0.0.1:{port}", "IPC_SHARED_SECRET": "right"}
    service = make_service(**environment).start()
    with service.connect("fred") as fred:
        assert fred.send("fred", "x")["status"] == "ok"


def test_a_lock_that_another_has_costs_no_descriptor(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with lock(path) as mine, contextlib.ExitStack() as kept:
        assert mine
        before = len(os.listdir("/proc/self/fd"))
        assert [kept.enter_context(lock(path)) for _ in range(20)] == [False] * 20
        assert len(os.listdir("/proc/self/fd")) == before
