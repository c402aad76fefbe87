"""agent-lease-mcp: leases on files, and messages, by MCP, hooks and commands over a database of SQLite."""

import re

from bench.peers.driver import Command, Driver, Runs

_NUMBER = re.compile(r"^#(\d+) ", re.MULTILINE)


class AgentLease(Driver):
    title = "agent-lease-mcp"
    install = "agent-lease-mcp>=0.2,<0.3"  # in no extra: it needs mcp 1, this project mcp 2
    program = "agent-lease"
    note = (
        "Who an agent is says `AGENT_NAME`. `agent-lease wait --since N` reads: the reader keeps the number of the last "
        "message that it has seen, so nothing is taken from the database. Its broker is optional and did not run."
    )
    ids = True
    first_call = ("room", {})

    def __init__(self, place: Runs) -> None:
        super().__init__(place)
        self._seen: dict[str, int] = {}

    def send(self, sender: str, to: str, text: str, message_id: str = "") -> Command:
        given = ("--dedupe-key", message_id) if message_id else ()
        return Command(("agent-lease", "send", "--to", to, *given, text), {"AGENT_NAME": sender})

    def take(self, name: str) -> Command:
        return self._wait(name, "0")

    def waiting(self, name: str) -> Command:
        return self._wait(name, "600")

    def _wait(self, name: str, seconds: str) -> Command:
        since = str(self._seen.get(name, 0))
        return Command(("agent-lease", "wait", "--for", name, "--since", since, "--timeout", seconds), {"AGENT_NAME": name})

    def working(self, name: str) -> Command:
        return self.take(name)  # what is not done is not acknowledged

    def done(self, name: str, output: str) -> None:
        self._seen[name] = max([self._seen.get(name, 0), *map(int, _NUMBER.findall(output))])

    def host(self, name: str) -> Command:
        return Command(("agent-lease-mcp",), {"AGENT_NAME": name})
