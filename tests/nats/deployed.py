"""Real servers with the configuration of ``deploy/nats``; only addresses, the disk, and what a person fills in differ."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nkeys

from bridges.nats.permissions import site_block
from tests.nats.servers import NatsNode, NatsServers, program
from tests.nats.typed import Machine, blocks

DEPLOY = Path(__file__).parents[2] / "deploy"
SECRET = "s3cret"  # noqa: S105
TLS_LINE = '# include "tls.conf"'


class Key:
    """A user's key pair; the server knows its public half."""

    def __init__(self) -> None:
        self.seed: bytes = nkeys.encode_seed(os.urandom(32), nkeys.PREFIX_BYTE_USER)
        self.public: str = nkeys.from_seed(bytearray(self.seed)).public_key.decode()

    def block(self, site: str) -> str:
        return site_block(site, self.public, streams=1)


def fill_in(path: Path, values: dict[str, str]) -> None:
    """Replace each key, which must stand in the file, by its value."""
    text = path.read_text(encoding="utf-8")
    for old, new in values.items():
        assert old in text, f"{path.name} has no {old}"
        text = text.replace(old, new)
    path.write_text(text, encoding="utf-8")


def is_valid(path: Path) -> str:
    """Empty if ``nats-server -t`` takes the file, else what it says."""
    done = subprocess.run([program(), "-t", "-c", path], capture_output=True, text=True, timeout=20)
    assert "is valid" in done.stderr or done.returncode
    return done.stderr if done.returncode else ""


def let_in(folder: Path, *blocks: str) -> None:
    """Put blocks where sites.conf says that they go."""
    fill_in(folder / "sites.conf", {"# blocks of sites go here": "\n".join([*blocks, "# blocks of sites go here"])})


def made_certificate(folder: Path) -> Path:
    """A folder with an authority, and a certificate of it for 127.0.0.1, made as docs/many-machines.md says."""
    machine = Machine(folder / "tls", {"DNS:NODE": "IP:127.0.0.1", "NODE": "127.0.0.1"})
    for block in blocks("TLS"):
        machine.type(block.commands)
    return machine.folder


def written(servers: NatsServers, node: NatsNode, admin: Key, tls: Path | None) -> Path:
    """The folder of a node's configuration: ``one.conf`` of a single node, ``three.conf`` of several."""
    folder = servers.folder / f"{node.name}-etc"
    shutil.copytree(DEPLOY / "nats", folder)
    fill_in(folder / "sites.conf", {"ADMIN_NKEY": admin.public})
    addresses = {"0.0.0.0:4222": f"127.0.0.1:{node.port}", "127.0.0.1:8222": f"127.0.0.1:{node.http_port}"}
    fill_in(folder / "common.conf", {**addresses, "/var/lib/nats": str(node.disk)})
    routes = {f"HOST{i}:6222": f"127.0.0.1:{other.route_port}" for i, other in enumerate(servers.nodes, 1)}
    if len(servers.nodes) > 1:
        own = {"$NODE": node.name, "$ROUTE_SECRET": SECRET, "0.0.0.0:6222": f"127.0.0.1:{node.route_port}"}
        fill_in(folder / "three.conf", {**own, **routes})
    if tls:
        fill_in(folder / "tls.conf", {"/etc/nats/tls": str(tls)})
        fill_in(folder / "common.conf", {TLS_LINE: 'include "tls.conf"'})
        fill_in(folder / "three.conf", {TLS_LINE: 'include "tls.conf"', "nats://": "tls://"})
    node.config = folder / ("three.conf" if len(servers.nodes) > 1 else "one.conf")
    return folder


@contextmanager
def deployed(nodes: int, admin: Key, tls: Path | None = None) -> Iterator[NatsServers]:
    """Servers with our configuration, running."""
    servers = NatsServers(nodes)
    for node in servers.nodes:
        written(servers, node, admin, tls)
    with servers:
        yield servers
