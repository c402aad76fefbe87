"""agent-ipc, by its commands."""

from pathlib import Path

from bench.peers.driver import Command, Driver

ROOT = Path(__file__).resolve().parents[3]


class AgentIpc(Driver):
    title = "agent-ipc"
    install = str(ROOT)
    program = "ipc"
    note = (
        "A mail is acknowledged once `ipc check` has printed it. Settings: no fixed TCP port (`IPC_PORT=0`), and no limit "
        "between machines (`IPC_PAIR_LIMIT=0`), since nobody here is a person."
    )
    ids = True
    first_call = ("check", {})
    environment = {"IPC_PORT": "0", "IPC_PAIR_LIMIT": "0"}  # noqa: RUF012 (nobody writes to it)

    def register(self, name: str) -> Command:
        return Command(("ipc", "register", name))

    def send(self, sender: str, to: str, text: str, message_id: str = "") -> Command:
        given = ("--id", message_id) if message_id else ()
        return Command(("ipc", "send", "--as", sender, *given, to, text))

    def take(self, name: str) -> Command:
        return Command(("ipc", "check", "--as", name))

    def waiting(self, name: str) -> Command:
        return Command(("ipc", "check", "--wait", "600", "--as", name))

    def working(self, name: str) -> Command:
        return Command(("ipc", "watch", "--as", name, "--exec", "sleep", "600"))

    def host(self, name: str) -> Command:
        return Command(("ipc", "mcp"), {"IPC_NAME": name})
