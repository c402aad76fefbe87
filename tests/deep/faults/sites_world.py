"""Three sites on this machine: three nats-servers that are one cluster, and three services, each with a home of its own.

Everything is set up as a person does it: ``ipc nats init``, ``ipc nats add-site``, ``ipc nats join``, ``ipc up``.
"""

import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nats.errors
from nats.js.errors import APIError

from bridges.nats.site_file import site_path
from broker.client.sync import Connection
from broker.home.data_folder import prepare_home
from tests.conftest import Service, wait_for
from tests.nats.sites import SitesWorld

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
        self.cluster = SitesWorld(*SITES, nodes=3)
        self.servers = self.cluster.servers
        self.sites = [Site(name, self.folder / name) for name in SITES]

    def __enter__(self) -> "World":
        try:
            self.cluster.__enter__()
            for site in self.sites:
                prepare_home(site.settings)
                self.cluster.file(site.name).save(site_path(site.settings))
                (site.home / "config.toml").write_text(f'site = "{site.name}"\nnats = "{self.servers.setting}"\n')
                site.start()
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def site(self, name: str) -> Site:
        return self.sites[SITES.index(name)]

    def init(self) -> None:
        """Streams and buckets are made where they are missing. A cluster that has just begun refuses that for a while."""
        end_s = time.monotonic() + BACK_S
        while True:
            try:
                self.cluster.make_streams()
            except (APIError, nats.errors.Error):
                if time.monotonic() > end_s:
                    raise
            else:
                return

    def end(self) -> None:
        for site in self.sites:
            for child in (BRIDGE, BROKER):
                if pid := site.pid(child):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGCONT)
            site.stop()
        self.servers.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
