"""What stays when nobody does anything: the service's processes, ten agents beside it, its idling, and an installation's size.

PSS counts a page that n processes share as 1/n in each, whoever they are: on a machine where other Pythons run, the pages of
libraries count for less. Pages of no file are the same everywhere, so they have a row of their own.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench import proc
from bench.programs import McpServer, command
from bench.report import Results
from bench.service import ROOT, TEMPORARY, Service, environment_for
from bench.systems import Skip

TABLE = "Memory and idling"
INSTALLED = "Installation"
_NAME = "bench-agent"
_INSTALL_S = 300.0


class Memory:
    """Measured once, at a service of its own. ``rest_s`` passes before each look: what is begun ends, what may go has gone."""

    def __init__(
        self, results: Results, service: Service, rest_s: float = 60.0, idle_s: float = 30.0, agents: int = 10
    ) -> None:
        self._results = results
        self._service = service
        self._rest_s, self._idle_s, self._agents = rest_s, idle_s, agents
        self._env = environment_for({**service.env, "IPC_NAME": "bench-cli"})
        self._ipc = command()

    def measure(self) -> None:
        self._compile()
        self._service.wait_for_door()
        for words in (["register", "bench-cli"], ["send", "bench-box", "hello"]):
            subprocess.run([*self._ipc, *words], env=self._env, check=True, capture_output=True, timeout=30)
        time.sleep(self._rest_s)
        alone = self._alone()
        self._idle(alone)
        self._with_agents(alone)

    def _compile(self) -> None:
        """Let everything run once, and begin anew: a process that compiled its modules keeps more memory."""
        self._service.wait_for_door()
        with McpServer([*self._ipc, "mcp"], self._env) as server:
            server.call("check")
        self._service.halt()
        self._service.start()

    def _add(self, key: str, line: str, unit: str, value: float) -> None:
        self._results.add(key, TABLE, line, "", unit, value)

    def _pids(self) -> list[int]:
        return proc.of_home(str(self._service.home))

    def _alone(self) -> list[int]:
        pids = self._pids()
        for name, pid in self._service.pids().items():
            self._add(f"memory.pss.{name}", f"{name}, PSS", "MB", proc.proportional_mb(pid))
        self._add("memory.broker", "broker, nothing queued, RSS", "MB", proc.resident_mb(self._service.pids()["broker"]))
        self._add("memory.service", f"the service ({len(pids)} processes), PSS", "MB", sum(map(proc.proportional_mb, pids)))
        self._add("memory.own", "of it pages of no file, which are the same everywhere", "MB", sum(map(proc.own_mb, pids)))
        return pids

    def _idle(self, pids: list[int]) -> None:
        before_s = sum(map(proc.cpu_s, pids))
        time.sleep(self._idle_s)
        used = (sum(map(proc.cpu_s, pids)) - before_s) / self._idle_s * 100
        self._add("idle", f"processor time of the idle service over {self._idle_s:g} s, of one CPU", "%", used)

    def _with_agents(self, alone: list[int]) -> None:
        """Agents' MCP servers at once, each with a call: what one more costs, and the whole when all have been answered."""
        servers: list[McpServer] = []
        try:
            for number in range(self._agents):
                env = {**self._env, "IPC_NAME": f"{_NAME}-{number}"}
                servers.append(McpServer([*self._ipc, "mcp"], env).__enter__())
                servers[-1].call("check")
            self._look_at(servers, alone, "just after their last call")
            time.sleep(self._rest_s)
            self._look_at(servers, alone, f"{self._rest_s:g} s after it", ".rested")
        except Skip as reason:
            self._results.skip("mcp.rss", TABLE, "an agent's MCP server", str(reason))
        finally:
            for server in servers:
                server.__exit__()

    def _look_at(self, servers: list[McpServer], alone: list[int], when: str, key: str = "") -> None:
        pids = self._pids()
        more = [pid for pid in pids if pid not in alone]
        one = f"an agent's MCP server, {len(servers)} at once"
        self._add(f"mcp.rss{key}", f"{one}, {when}, RSS", "MB", statistics.median(proc.resident_mb(s.pid) for s in servers))
        self._add(f"mcp.pss{key}", f"{one}, {when}, PSS", "MB", statistics.median(proc.proportional_mb(s.pid) for s in servers))
        line = f"{len(servers)} agents' MCP servers and what they share ({len(more)} processes), {when}, PSS"
        self._add(f"mcp.all{key}", line, "MB", sum(map(proc.proportional_mb, more)))
        line = f"the whole with {len(servers)} agents ({len(pids)} processes), {when}, PSS"
        self._add(f"memory.whole{key}", line, "MB", sum(map(proc.proportional_mb, pids)))


def installation(results: Results) -> None:
    """What ``pip install .`` puts on a disk that has Python alone: into a folder of its own, from the package index."""
    with tempfile.TemporaryDirectory(prefix="ipc-", dir=TEMPORARY) as folder:
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
        env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        done = subprocess.run(
            [*pip, "--target", folder, str(ROOT)], env=env, capture_output=True, text=True, timeout=_INSTALL_S, check=False
        )
        if done.returncode != 0:
            said = done.stderr.strip().splitlines() or [""]
            results.skip("install.mb", INSTALLED, "on disk", f"pip could not install: {said[-1][:150]}")
            return
        packages = list(Path(folder).glob("*.dist-info"))
        results.add("install.packages", INSTALLED, "packages, this one and those that it needs", "", "", len(packages))
        results.add("install.mb", INSTALLED, "on disk, compiled modules included", "", "MB", _on_disk_mb(Path(folder)))
        ours = sum(_on_disk_mb(Path(folder, name)) for name in ("broker", "bridges", "nlparse"))
        results.add("install.own_mb", INSTALLED, "of it our own", "", "MB", ours)


def _on_disk_mb(folder: Path) -> float:
    """MB (10^6 bytes) that a folder's files take, in whole blocks."""
    return sum(path.lstat().st_blocks * 512 for path in folder.rglob("*") if not path.is_dir()) / 1e6
