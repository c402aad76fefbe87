"""Three sites on this machine: three nats-servers that are one cluster, and three services, each with a home of its own.

Everything is set up as a person does it: ``ipc nats init``, ``ipc nats add-site``, ``ipc nats join``, ``ipc up``.
"""

import contextlib
import io
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

from bridges.cli.commands import options_of
from bridges.nats import commands
from bridges.nats.admin_keys import AdminKeys
from bridges.nats.commands import FAILED, OK
from broker.client.sync import Connection
from broker.home.settings import Settings
from broker.protocol.errors import IpcError
from tests.conftest import Service, wait_for
from tests.nats.servers import NatsServers

SITES = ("paris", "rome", "oslo")
STREAM = "IPC_IN_0"
BRIDGE, BROKER = "nats", "broker"
BACK_S = 40.0
"""What was killed answers again within this time, on a loaded machine, too."""
LEASE_S = 5
_COMMAND_S = 60.0


class Site(Service):
    """A service that is one of several."""

    def __init__(self, name: str, home: Path) -> None:
        super().__init__(home, IPC_RATE_LIMIT="0", IPC_MAILBOX_LIMIT="0", IPC_LEASE=str(LEASE_S), IPC_LOG_LEVEL="info")
        self.name = name

    def start(self) -> "Site":
        wait_for("the TCP door", self._started, BACK_S, self.describe)
        return self

    def _started(self) -> int:
        """The launcher waits for 10 s, which are little for three brokers on a loaded machine."""
        with contextlib.suppress(IpcError):
            return super()._started()
        return 0

    def ipc(self, *arguments: str) -> str:
        """What a command says. AssertionError with its errors if it fails."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith("IPC_")}
        done = subprocess.run(
            [sys.executable, "-m", "bridges.cli", *arguments],
            env={**environment, **self.env}, capture_output=True, text=True, timeout=_COMMAND_S,
        )  # fmt: skip
        assert done.returncode == 0, f"ipc {' '.join(arguments)} at {self.name}: {done.stdout}{done.stderr}"
        return done.stdout

    def running(self, child: str) -> int:
        return int(wait_for(f"the {child} of {self.name}", lambda: self.pid(child), BACK_S, self.describe))

    def down(self) -> None:
        self.ipc("down")
        wait_for(f"the end of {self.name}", lambda: not any(map(self.pid, ("supervisor", BROKER, BRIDGE))), BACK_S)

    def says(self) -> str:
        """What it knows of its link, and the end of its bridge's log, for a failure's message."""
        with contextlib.closing(Connection(self.settings)) as connection:
            known = connection.request("sites")
        return "\n".join((str(known), *map(str, self.log(BRIDGE)[-20:])))

    def faults(self) -> list[str]:
        """What its processes left that no fault explains: a spoiled database, an exception that nobody expected."""
        with contextlib.closing(sqlite3.connect(self.home / "ipc.db")) as db:
            verdict = db.execute("PRAGMA integrity_check").fetchone()[0]
        found = [] if verdict == "ok" else [f"{self.name}: {verdict}"]
        for log in (self.home / "logs").glob("*.log"):
            lines = log.read_text(errors="replace").splitlines()
            found += [f"{self.name}: {line[:2000]}" for line in lines if '"traceback"' in line]
        return found


class World:
    """The cluster and its sites; all is gone at the end of the ``with`` block, whatever happens in it."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="sites-"))
        self.servers = NatsServers(nodes=3)
        self.sites = [Site(name, self.folder / name) for name in SITES]
        self._admin = self.folder / "ipc-admin.json"
        self._monitors = ",".join(f"http://127.0.0.1:{node.http_port}" for node in self.servers.nodes)

    def __enter__(self) -> "World":
        try:
            self._set_up()
        except BaseException:
            self.end()
            raise
        return self

    def _set_up(self) -> None:
        made = self._nats(Settings.load(), "init", *self.servers.urls, "--monitor", self._monitors)
        assert made[0] == FAILED and self._admin.exists(), made  # it made the admin's key; no server runs yet
        self.servers.configure(self._accounts())
        self.servers.start()
        self.servers.wait_ready()
        self.init()
        for site in self.sites:
            file = self.folder / f"{site.name}.site"
            assert self._nats(site.settings, "add-site", site.name, "--out", str(file)) == (OK, "")
            assert self._nats(site.settings, "join", str(file)) == (OK, "")
        for _ in range(2):  # the servers take what an account may ask of another at their second reload
            self.servers.configure(self._accounts())
        for site in self.sites:
            site.start()

    def init(self) -> None:
        """``ipc nats init``, typed again while the cluster has just begun and refuses it."""
        said = [""]

        def done() -> bool:
            status, said[0] = self._nats(Settings.load(), "init", "--monitor", self._monitors)
            return status == OK

        wait_for("ipc nats init", done, BACK_S, lambda: said[0])

    def _accounts(self) -> str:
        return AdminKeys.load(self._admin).accounts()

    def _nats(self, settings: Settings, what: str, *words: str) -> tuple[int, str]:
        """(exit status, what it says if it fails) of ``ipc nats``, typed with these words."""
        admin = () if what == "join" else ("--admin", str(self._admin))
        with contextlib.redirect_stdout(io.StringIO()) as said, contextlib.redirect_stderr(said):
            status = commands.run(settings, options_of("nats", [what, *words, *admin]))
        return status, said.getvalue() if status else ""

    def __exit__(self, *_: object) -> None:
        self.end()

    def site(self, name: str) -> Site:
        return self.sites[SITES.index(name)]

    def end(self) -> None:
        for site in self.sites:
            for child in (BRIDGE, BROKER):
                if pid := site.pid(child):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGCONT)
            site.stop()
        self.servers.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
