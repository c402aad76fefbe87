"""hcom: hooks and a database of SQLite; for tools without hooks `hcom start`, `hcom send` and `hcom listen`."""

from bench.peers.driver import Command, Driver


class Hcom(Driver):
    title = "hcom"
    install = "hcom>=0.7,<0.8"
    program = "hcom"
    note = (
        "It keeps no service. Its hooks need a real host, so agents joined by `hcom start --as NAME`, as its manual says for "
        "other tools; what runs beside a host (`hcom claude`) was measured with a program in place of Claude Code that waits."
    )
    calls_out = "github.com, for its newest version"
    host_speaks_mcp = False

    def register(self, name: str) -> Command:
        return Command(("hcom", "start", "--as", name))

    def send(self, sender: str, to: str, text: str, message_id: str = "") -> Command:
        return Command(("hcom", "send", f"@{to}", "--name", sender, "--", text))

    def take(self, name: str) -> Command:
        return Command(("hcom", "listen", "1", "--name", name, "--json"))

    def waiting(self, name: str) -> Command:
        return Command(("hcom", "listen", "--timeout", "600", "--name", name, "--json"))

    def host(self, name: str) -> Command:
        self.place.stand_in("claude")
        return Command(("hcom", "claude"))

    def told(self) -> str:
        return self.place.out(Command(("hcom", "start", "--as", "tess")))
