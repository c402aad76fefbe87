"""An agent's first answers from nothing running, and while its process rests: what a host waits for at its start.

Each round has a data folder of its own. Nothing runs in it until ``ipc mcp`` starts.
"""

import time

from bench.programs import McpServer, command
from bench.report import Results
from bench.service import Service, environment_for
from bench.systems import Skip

TABLE = "An agent's first answers"
_REST_S = 0.5
_DEADLINE_S = 20.0


class Cold:
    """Starts of an agent's MCP server, beside a bare Python's."""

    def __init__(self, results: Results) -> None:
        self._results = results

    def round(self) -> None:
        service = Service(IPC_MCP_REST=str(_REST_S))
        env = environment_for({**service.env, "IPC_NAME": "bench-agent"})
        try:
            with McpServer([*command(), "mcp"], env) as server:
                self._first(server, "cold", "nothing runs")
                self._rested(service)
                began_s = time.perf_counter()
                server.call("check")
                self._add("cold.rested.call", "a tool call of an agent whose process has ended", began_s)
            self._rested(service)
            with McpServer([*command(), "mcp"], env) as server:
                self._first(server, "cold.warm", "the service runs, without the MCP process")
        finally:
            service.stop()

    def _first(self, server: McpServer, key: str, when: str) -> None:
        self._results.add(f"{key}.initialize", TABLE, f"{when}: start to the answer of `initialize`", "", "ms", server.ready_ms)
        server.ask("tools/list")
        self._add(f"{key}.list", f"{when}: start to the list of tools", server.began_s)
        server.call("check")
        self._add(f"{key}.call", f"{when}: start to the first tool result (`check`)", server.began_s)

    def _add(self, key: str, line: str, began_s: float) -> None:
        self._results.add(key, TABLE, line, "", "ms", (time.perf_counter() - began_s) * 1e3)

    def _rested(self, service: Service) -> None:
        """Wait until no MCP process runs. Raises Skip where one goes on."""
        end_s = time.monotonic() + _DEADLINE_S
        while service.pids().get("mcp"):
            if time.monotonic() > end_s:
                raise Skip("the MCP process does not end")
            time.sleep(0.02)
