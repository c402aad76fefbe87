"""``ipc demo --sites 3``: real nats-servers, a broker for each site, and mail that arrives once whatever is killed.

All of it lies in one temporary folder, which is gone afterwards, as are the processes.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import io
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from http.client import HTTPException
from math import inf
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from bridges.nats import commands
from bridges.nats.layout import mail_stream
from bridges.nats.site_file import ADMIN_FILE
from bridges.terminal import complain, say, style
from broker.client.sync import connect
from broker.home.environment import HOME, PORT
from broker.home.settings import Settings
from broker.service.launcher import ensure_running, running_supervisor, stop, supervisor_state
from broker.service.supervised import die_with_parent

INSTALL = "pip install 'agent-ipc[nats,nats-server]'"
SITES = ("paris", "rome", "oslo", "lima", "cairo")
_NODES = 3
_LETTERS = 10
"""From each agent to each other one in a round."""
_DEADLINE_S = 60.0
_LOOK_S = 0.02
_LONG_S = 3.0


class StoryFailed(Exception):
    """Something expected did not happen."""


def run(_settings: Settings, options: argparse.Namespace) -> int:
    """Exit status 0 if every message arrived, once and in order."""
    if importlib.util.find_spec("nats") is None or program() is None:
        complain("brokers of several sites need NATS, which is not installed", INSTALL)
        return 1
    begun_s = time.monotonic()
    try:
        with temporary_folder() as folder, contextlib.closing(Demo(folder, options.sites)) as demo:
            demo.tell()
            count = demo.count()
    except StoryFailed as e:
        complain(f"the demo failed: {e}", "ipc doctor")
        return 1
    seconds = time.monotonic() - begun_s
    say(
        style(
            f"\nAll {count} messages arrived, each once and in order, in {seconds:.0f} s. Nothing of the demo is left.", "green"
        )
    )
    say("next: docs/many-machines.md has two machines of yours connected in ten minutes")
    return 0


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder of its own; the environment meanwhile names no other service."""
    base = tempfile.gettempdir() if len(tempfile.gettempdir()) < 40 else "/tmp"  # noqa: S108 (a socket's path must be short)
    folder = Path(tempfile.mkdtemp(prefix="ipc-demo-", dir=base))
    before = dict(os.environ)
    for name in [n for n in os.environ if n.startswith("IPC_")]:
        del os.environ[name]
    try:
        yield folder
    finally:
        os.environ.clear()
        os.environ.update(before)
        shutil.rmtree(folder, ignore_errors=True)


def program() -> str | None:
    """The nats-server of this Python's environment, or the one in the path."""
    beside = Path(sys.executable).with_name("nats-server")
    return str(beside) if beside.exists() else shutil.which("nats-server")


def until(what: str, condition: Callable[[], Any], deadline_s: float = _DEADLINE_S) -> Any:
    """The first true value of ``condition``. Raises StoryFailed."""
    end_s = time.monotonic() + deadline_s
    while not (value := condition()):
        if time.monotonic() > end_s:
            raise StoryFailed(f"waited {deadline_s:g} s for {what}")
        time.sleep(_LOOK_S)
    return value


class DemoNode:
    """A nats-server, which dies with this process. It keeps its ports and its disk while it is away."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.port, self.route_port, self.http_port = free_ports(3)
        self._config, self._disk, self._log = (folder / f"{name}{ending}" for ending in (".conf", "", ".log"))
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    @property
    def monitor(self) -> str:
        return f"http://127.0.0.1:{self.http_port}"

    def configure(self, cluster: list[DemoNode], accounts: str) -> None:
        """Write its configuration. One that runs takes it without a restart, all of it at the second reload."""
        routes = [f"nats://127.0.0.1:{node.route_port}" for node in cluster]
        self._config.write_text(
            f'server_name: {self.name}\nlisten: "127.0.0.1:{self.port}"\nhttp: "127.0.0.1:{self.http_port}"\n'
            f'jetstream {{ store_dir: "{self._disk}", sync_interval: always, max_file: 64G }}\n'
            f'cluster {{ name: demo, listen: "127.0.0.1:{self.route_port}", routes: {json.dumps(routes)} }}\n{accounts}\n'
        )
        if self._process is not None:
            self._reload()
            self._reload()

    def _reload(self) -> None:
        assert self._process is not None
        loaded = self._asked("varz").get("config_load_time")
        self._process.send_signal(signal.SIGHUP)
        until(f"{self.name}'s configuration", lambda: self._asked("varz").get("config_load_time", loaded) != loaded)

    def start(self) -> None:
        with self._log.open("ab") as log:
            command = [program() or "nats-server", "-c", str(self._config)]
            self._process = subprocess.Popen(command, stdout=log, stderr=log, preexec_fn=die_with_parent)  # noqa: S603 (ours)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def is_healthy(self) -> bool:
        return self._asked("healthz").get("status") == "ok" and bool(self._asked("jsz").get("meta_cluster", {}).get("leader"))

    def leads(self) -> bool:
        """Whether it leads the stream with the mail."""
        accounts = self._asked("jsz?accounts=true&streams=true").get("account_details") or ()
        streams = [row for account in accounts for row in account.get("stream_detail") or ()]
        return any(row["name"] == mail_stream(0) and row["cluster"].get("leader") == self.name for row in streams)

    def _asked(self, path: str) -> dict[str, Any]:
        """What its monitoring port says; empty while it says nothing."""
        try:
            with urlopen(f"{self.monitor}/{path}", timeout=2.0) as answer:  # noqa: S310 (our own process)
                found: dict[str, Any] = json.load(answer)
        except (OSError, ValueError, HTTPException):
            return {}
        return found


def free_ports(count: int) -> list[int]:
    """Below 32768, where the kernel gives clients none: they stay free while a node is away."""
    found: list[int] = []
    for port in random.sample(range(20_000, 30_000), 200):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            found.append(port)
        if len(found) == count:
            return found
    raise StoryFailed("no port is free")


class DemoSite:
    """A broker of its own, and its one agent, ann."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self.address = name, f"ann@{name}"
        self.home, self.file = folder / name, folder / f"{name}.site"
        self.came: list[tuple[str, str]] = []
        """Sender and text of all its mail, in the order in which it came."""

    @property
    def settings(self) -> Settings:
        return Settings.load(env={HOME: str(self.home), PORT: "0"})

    def start(self) -> None:
        ensure_running(self.settings)
        self.agent = connect("ann", settings=self.settings)

    def read(self) -> None:
        self.came += [(mail.sender, mail.content) for mail in self.agent.check(limit=1000)]

    def why(self) -> str:
        """What waits here, and why, as its broker says it; empty if it says nothing."""
        rows = [row for row in self.agent.request("sites")["sites"] if row["waiting"] and row.get("why")]
        return ", ".join(f"{row['waiting']} for {row['site']}" for row in rows) + f": {rows[0]['why']}" if rows else ""

    def child(self, name: str) -> int:
        """The process of its broker or bridge; 0 while there is none."""
        row = supervisor_state(self.settings).get("children", {}).get(name) or {}
        return int(row.get("pid") or 0)

    def stop(self) -> None:
        if hasattr(self, "agent"):
            self.agent.close()
        if (running := running_supervisor(self.settings)) is not None:
            stop(self.settings, running)


class Demo:
    """The nodes, the sites, and what happens to them."""

    def __init__(self, folder: Path, sites: int) -> None:
        self._nodes = [DemoNode(f"n{number}", folder) for number in range(1, _NODES + 1)]
        self._sites = [DemoSite(name, folder) for name in SITES[:sites]]
        self._folder = folder
        self._written: list[tuple[DemoSite, DemoSite, str]] = []

    def close(self) -> None:
        for site in self._sites:
            site.stop()
        for node in self._nodes:
            node.kill()

    def count(self) -> int:
        return len(self._written)

    def tell(self) -> None:
        set_up(self._nodes, self._sites, self._folder)
        second, last = self._sites[1], self._sites[-1]
        self._round("everybody writes to everybody", 'ann.send("ann@rome", ...)', lambda: None)
        leader = until("a leader", lambda: next((node for node in self._nodes if node.leads()), None))
        self._round(f"{leader.name} is killed (SIGKILL), which led the stream; the others elect", "kill -9", leader.kill)
        leader.start()
        step(f"{leader.name} is started again", "nats-server")
        self._round(f"{second.name}'s bridge is killed, with mail on the way", "kill -9", lambda: kill(second, "nats"))
        self._round(f"{last.name}'s broker is killed, with mail on the way", "kill -9", lambda: kill(last, "broker"))
        self._round("everything is back, and everybody writes once more", "", lambda: None)
        self._expect_nothing_more()

    def _round(self, text: str, code: str, harm: Callable[[], None]) -> None:
        """Everybody writes to everybody, then the harm is done, and all of it arrives."""
        for sender in self._sites:
            others = [site for site in self._sites if site is not sender]
            letters = [(site, f"{len(self._written) + n}") for n, site in enumerate(others * _LETTERS)]
            self._written += [(sender, site, text) for site, text in letters]
            sender.agent.send_many([(site.address, text) for site, text in letters])
        began_s = time.monotonic()
        harm()
        step(text, code)
        self._wait_for_mail()
        count = len(self._sites) * (len(self._sites) - 1) * _LETTERS
        say(f"{style('✓', 'green')} {count} messages arrived, the last after {time.monotonic() - began_s:.1f} s")

    def _wait_for_mail(self) -> None:
        """Show what the first site says of the mail that waits there, if it waits for so long that a person would ask."""
        first, asked_s = self._sites[0], time.monotonic() + _LONG_S

        def came() -> bool:
            nonlocal asked_s
            if time.monotonic() > asked_s and (why := first.why()):
                say(f"    {style(f'ipc sites at {first.name}: {why}', 'yellow')}")
                asked_s = inf
            return self._all_came()

        until("the mail", came)

    def _all_came(self) -> bool:
        for site in self._sites:
            site.read()
        return sum(len(site.came) for site in self._sites) >= len(self._written)

    def _expect_nothing_more(self) -> None:
        """Each agent has what was written to it, once, and what one sender wrote in its order."""
        self._all_came()
        for site in self._sites:
            for sender in self._sites:
                wanted = [text for one, to, text in self._written if one is sender and to is site]
                came = [text for who, text in site.came if who == sender.address]
                if came != wanted:
                    raise StoryFailed(f"{site.address} should have got {wanted} from {sender.address} and got {came}")


def kill(site: DemoSite, child: str) -> None:
    os.kill(until(f"the {child} of {site.name}", lambda: site.child(child)), signal.SIGKILL)


def step(text: str, code: str) -> None:
    say(f"  {text}  {style(code, 'dim')}")


def set_up(nodes: list[DemoNode], sites: list[DemoSite], folder: Path) -> None:
    """As docs/many-machines.md says it, by the functions of the commands that it has a person type."""
    from bridges.nats.admin_keys import AdminKeys  # needs the packages

    admin = folder / ADMIN_FILE
    keys = AdminKeys.new(admin, tuple(node.url for node in nodes), None)
    for node in nodes:
        node.configure(nodes, keys.accounts())
        node.start()
    until("the nats-servers", lambda: all(node.is_healthy() for node in nodes))
    step("three nats-servers on this machine are one cluster, and sync each message", "nats-server -c three.conf")
    monitors = ",".join(node.monitor for node in nodes)
    typed(Settings.load(), "init", admin, servers=[], ca=None, streams=None, replicas=None, disk=None, monitor=monitors)
    step("they have streams for mail, with a copy on each", "ipc nats init")
    for site in sites:
        typed(site.settings, "add-site", admin, name=site.name, out=str(site.file))
        typed(site.settings, "join", admin, file=str(site.file), replace=False)
    for node in nodes:
        node.configure(nodes, AdminKeys.load(admin).accounts())
    names = ", ".join(site.name for site in sites[:-1])
    step(f"{names} and {sites[-1].name} have keys of their own", "ipc nats add-site NAME, ipc nats join NAME.site")
    for site in sites:
        site.start()
    step("and a broker each, in a data folder of its own", "ipc up")


def typed(settings: Settings, what: str, admin: Path, **options: Any) -> None:
    """Run a command of ``ipc nats``. Raises StoryFailed with what it says, if it fails."""
    with contextlib.redirect_stdout(io.StringIO()) as said, contextlib.redirect_stderr(said):
        status = commands.run(settings, argparse.Namespace(what=what, admin=str(admin), **options))
    if status:
        raise StoryFailed(f"ipc nats {what}: {said.getvalue()}")
