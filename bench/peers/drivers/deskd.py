"""deskd: a desk of roles over a database of SQLite; a cron job wakes agents for what is in their inboxes."""

import json

from bench.peers.driver import Command, Driver

_DESK = """from deskd import RoleSpec, configure

def configure_deskd():
    configure(roles=[RoleSpec(name, name, ()) for name in {names!r}], inbox_sources=("agent",))
"""
_NAMES = ["ann", "bob", "cat", *(f"agent{number}" for number in range(10))]


class Deskd(Driver):
    title = "deskd"
    install = "deskd>=0.4,<0.5"
    program = "deskd"
    note = (
        "A module of the user's own says who the agents are, and each of its processes imports it. A message is an item in an "
        "inbox (`deskd inbox enqueue`), which names no sender; reading (`inbox list`) and acknowledging (`inbox ack`) are two "
        "commands."
    )
    ids = True

    def prepare(self) -> None:
        folder = self.place.write("desk.py", _DESK.format(names=_NAMES)).rpartition("/")[0]
        self.environment = {"DESKD_CONFIG_MODULE": "desk", "PYTHONPATH": folder, "DESKD_DB": f"{folder}/deskd.db"}

    def send(self, sender: str, to: str, text: str, message_id: str = "") -> Command:
        given = ("--dedup-key", message_id) if message_id else ()
        return Command(("deskd", "inbox", "enqueue", "--for", to, "--source", "agent", *given, "--title", text))

    def take(self, name: str) -> Command:
        return Command(("deskd", "inbox", "list", "--for", name))

    def working(self, name: str) -> Command:
        return self.take(name)  # what is not done is not acknowledged

    def done(self, name: str, output: str) -> None:
        ids = [argument for item in json.loads(output or "[]") for argument in ("--id", str(item["id"]))]
        if ids:
            self.place.out(Command(("deskd", "inbox", "ack", "--for", name, *ids)))
