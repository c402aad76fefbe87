"""What the processes that stay must do without: an import is memory for as long as they live.

A name forbids the module and all in it. Who needs one of these imports it where it is used.
"""

from collections.abc import Callable
from pathlib import Path

from broker.client.json_lines import QuickConnection
from broker.home.endpoints import socket_answers
from broker.home.paths import Place
from tests.conftest import Service

NOWHERE = {
    "_ssl", "argparse", "email", "http", "importlib.metadata", "multiprocessing", "tempfile", "unittest", "xml", "zmq",
    "jinja2", "prometheus_client", "starlette", "uvicorn",
}  # fmt: skip
"""``zmq`` comes with the first client that speaks it, OpenSSL with the first large message or a certificate."""
LIBRARIES = ("libzmq", "libcrypto")
FORBIDDEN = {
    "supervisor": NOWHERE | {
        "asyncio", "dataclasses", "hashlib", "inspect", "logging", "msgpack", "orjson", "random", "shutil", "sqlite3", "typing",
    },
    "broker": NOWHERE | {"asyncio", "pickle", "shlex", "subprocess"},
    "tcp": NOWHERE | {"broker.core", "broker.store", "peewee", "pickle", "shutil", "sqlite3"},
}  # fmt: skip
ITS_OWN = {"supervisor": "broker.service.doors", "broker": "broker.server.loop", "tcp": "bridges.tcp.port"}


def imported(service: Service, process: str) -> set[str]:
    """All that a process told on its standard error."""
    file = "start.log" if process == "supervisor" else f"{process}.stderr"
    lines = (service.home / "logs" / file).read_text().splitlines()
    return {line.rpartition("|")[2].strip() for line in lines if line.startswith("import time:")}


def is_in(module: str, packages: set[str]) -> bool:
    return any(f"{module}.".startswith(f"{package}.") for package in packages)


def libraries(service: Service, process: str) -> list[str]:
    """Those of LIBRARIES that it has in memory."""
    mapped = Path(f"/proc/{service.pid(process)}/maps").read_text()
    return [name for name in LIBRARIES if name in mapped]


def test_what_stays_imports_nothing_heavy_before_it_is_needed(make_service: Callable[..., Service]) -> None:
    service = make_service(PYTHONPROFILEIMPORTTIME="1", IPC_WEB="true", IPC_WEB_PORT="0").start()
    with QuickConnection(Place(str(service.home))) as broker:
        token = broker.request({"action": "register", "instance_id": "fred"})["session_token"]
        broker.request({"action": "send", "session_token": token, "to_id": "fred", "message": {"content": "hello"}})
    assert socket_answers(service.settings)
    found = {process: imported(service, process) for process in FORBIDDEN}
    assert all(ITS_OWN[process] in modules for process, modules in found.items())
    heavy = {process: sorted(m for m in found[process] if is_in(m, forbidden)) for process, forbidden in FORBIDDEN.items()}
    assert heavy == {process: [] for process in FORBIDDEN}
    assert {process: libraries(service, process) for process in FORBIDDEN} == {process: [] for process in FORBIDDEN}
    client = service.connect("ginger", link="zeromq")
    client.send("ginger", "hello" * 5000)
    assert len(client.check()) == 1
    assert "libzmq" in libraries(service, "broker")
