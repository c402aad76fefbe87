"""What ``deploy/`` has is taken by the real server, and keeps out whom it should."""

import asyncio
import json
import re
import signal
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import nats
import nats.errors
import pytest

from bridges.nats.admin_client import AdminClient
from bridges.nats.nodes import guessed_monitors
from bridges.nats.permissions import accounts, streams_block
from tests.conftest import wait_for
from tests.nats.deployed import DEPLOY, Key, deployed, fill_in, is_valid, let_in, made_certificate, written
from tests.nats.servers import NatsServers

UNIT = (DEPLOY / "systemd" / "nats-server.service").read_text(encoding="utf-8")
ADMIN = Key()


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def one() -> Iterator[NatsServers]:
    with deployed(1, ADMIN) as servers:
        yield servers


async def _quiet(_: Exception) -> None:
    """Errors are raised where they are waited for."""


def with_client(url: str, use: Callable[[nats.NATS], Awaitable[Any]], key: Key | None = None, **more: Any) -> Any:
    """What ``use(client)`` returns, in a loop of its own. Raises what connecting raises."""

    async def run() -> Any:
        seed = {"nkeys_seed_str": key.seed.decode()} if key else {}
        client = await nats.connect(url, **seed, allow_reconnect=False, connect_timeout=10, error_cb=_quiet, **more)
        try:
            return await use(client)
        finally:
            await client.close()

    return asyncio.run(run())


async def streams(client: nats.NATS) -> int:
    return int((await client.jetstream(timeout=10).account_info()).streams)


@pytest.mark.parametrize("with_tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("nodes", [1, 3])
def test_the_server_takes_each_configuration(nodes: int, with_tls: bool, tls: Path) -> None:
    servers = NatsServers(nodes)
    try:
        for node in servers.nodes:
            let_in(written(servers, node, ADMIN, tls if with_tls else None), Key().block("paris"), Key().block("rome"))
            assert is_valid(node.config) == ""
    finally:
        servers.stop()


def test_nothing_starts_before_the_admins_key_and_the_nodes_secret_are_in(tmp_path: Path) -> None:
    for name in ("common.conf", "one.conf", "sites.conf", "three.conf"):
        (tmp_path / name).write_bytes((DEPLOY / "nats" / name).read_bytes())
    assert "Not a valid public nkey" in is_valid(tmp_path / "one.conf")
    fill_in(tmp_path / "sites.conf", {"ADMIN_NKEY": ADMIN.public})
    assert is_valid(tmp_path / "one.conf") == ""
    assert "'NODE'" in is_valid(tmp_path / "three.conf")
    fill_in(tmp_path / "three.conf", {"$NODE": "n1"})
    assert "'ROUTE_SECRET'" in is_valid(tmp_path / "three.conf")


def test_the_accounts_are_those_that_the_command_prints() -> None:
    def words(text: str) -> list[str]:
        return [word for line in text.splitlines() for word in line.partition("#")[0].split()]

    ours = (DEPLOY / "nats" / "sites.conf").read_text(encoding="utf-8")
    assert words(ours) == words(accounts(streams_block("ADMIN_NKEY")))


def test_a_node_syncs_before_it_acknowledges_and_shows_its_monitor_to_its_own_machine_alone(one: NatsServers) -> None:
    node = one.nodes[0]
    assert node.ask("varz")["jetstream"]["config"]["sync_always"] is True
    assert (node.ask("varz")["http_host"], node.ask("varz")["http_port"]) == ("127.0.0.1", node.http_port)


def test_the_commands_look_for_the_monitor_where_the_configuration_has_it() -> None:
    common = (DEPLOY / "nats" / "common.conf").read_text(encoding="utf-8")
    (monitor,) = re.findall(r'^http: "(.*?)"', common, re.M)
    assert f"http://{monitor}" in guessed_monitors(("nats://10.0.0.1:4222",))


def test_who_has_no_key_is_not_let_in(one: NatsServers) -> None:
    for key in (None, Key()):
        with pytest.raises((nats.errors.Error, OSError), match=r"(?i)authorization"):
            with_client(one.urls[0], streams, key)
    assert with_client(one.urls[0], streams, ADMIN) == 0


def test_a_block_lets_a_site_in_at_the_next_sighup_and_taking_it_away_ends_its_connection(one: NatsServers) -> None:
    node, paris = one.nodes[0], Key()
    block = paris.block("paris")

    def reload() -> None:
        before = node.ask("varz")["config_load_time"]
        assert is_valid(node.config) == ""
        node.signal(signal.SIGHUP)
        wait_for("the new configuration", lambda: node.ask("varz")["config_load_time"] != before, explain=one.describe)

    async def stays_until_it_is_put_out(client: nats.NATS) -> None:
        fill_in(node.config.with_name("sites.conf"), {block: ""})
        await asyncio.to_thread(reload)
        await asyncio.to_thread(wait_for, "the end of its connection", lambda: client.is_closed)

    let_in(node.config.parent, block)
    reload()
    with_client(node.url, stays_until_it_is_put_out, paris, inbox_prefix=b"_INBOX.paris")
    with pytest.raises((nats.errors.Error, OSError), match=r"(?i)authorization"):
        with_client(node.url, streams, paris)


@pytest.mark.parametrize("with_tls", [False, True], ids=["plain", "tls"])
def test_three_nodes_are_one_cluster_that_keeps_three_copies(with_tls: bool, tls: Path) -> None:
    with deployed(3, ADMIN, tls if with_tls else None) as servers:
        trusted = ssl.create_default_context(cafile=tls / "ca.crt") if with_tls else None

        async def make(client: nats.NATS) -> int:
            wanted = {"name": "S", "subjects": ["s"], "num_replicas": 3}
            info = await AdminClient(client).api("STREAM.CREATE.S", wanted)  # waits until the nodes know each other
            return 1 + len(info["cluster"]["replicas"])

        assert with_client(servers.urls[1].replace("nats:", "tls:" if with_tls else "nats:"), make, ADMIN, tls=trusted) == 3
        if with_tls:
            with socket.create_connection(("127.0.0.1", servers.nodes[0].port), 10) as plain:
                said = b""
                while not said.endswith(b"\n"):
                    said += plain.recv(65536)
                with pytest.raises(ssl.SSLCertVerificationError):
                    ssl.create_default_context().wrap_socket(plain, server_hostname="127.0.0.1")


def test_a_server_without_the_nodes_secret_does_not_join() -> None:
    with deployed(3, ADMIN) as servers:
        stranger = NatsServers(1)
        try:
            node = stranger.nodes[0]
            routes = ", ".join(f'"nats://ipc:guess@127.0.0.1:{other.route_port}"' for other in servers.nodes)
            with node.config.open("a") as config:
                config.write(f'\ncluster {{ name: ipc, listen: "127.0.0.1:{node.route_port}", routes: [{routes}] }}\n')
            node.start()
            wait_for("a refusal", lambda: "Authorization Violation" in node.log.read_text(), explain=stranger.describe)
            assert {route["remote_name"] for route in servers.nodes[0].ask("routez")["routes"]} == {"n1", "n2"}
        finally:
            stranger.stop()


def test_the_unit_runs_what_the_configuration_says() -> None:
    settings = dict(re.findall(r"^(\w+)=(.*)$", UNIT, re.M))
    common = (DEPLOY / "nats" / "common.conf").read_text(encoding="utf-8")
    assert f'store_dir: "/var/lib/{settings["StateDirectory"]}"' in common
    duck = int(re.findall(r'lame_duck_duration: "(\d+)s"', common)[0])
    assert int(settings["TimeoutStopSec"]) > duck
    assert settings["KillSignal"] == "SIGUSR2"
    hup = "/bin/kill -HUP $MAINPID"
    assert re.findall(r"^ExecReload=(.*)$", UNIT, re.M) == [settings["ExecStartPre"], hup, "/bin/sleep 1", hup]
    hardened = {"NoNewPrivileges": "true", "ProtectSystem": "strict", "ProtectHome": "true", "PrivateDevices": "true"}
    assert {name: settings[name] for name in hardened} == hardened
    assert settings["User"] == "nats"


def test_the_compose_file_is_well_formed_and_names_files_that_exist() -> None:
    compose = read_yaml((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
    node = compose["services"]["nats"]
    assert node["image"] == "nats:2.12.8"
    folder, inside, _ = node["volumes"][0].split(":")
    assert (DEPLOY / folder / Path(node["command"][-1]).relative_to(inside)).is_file()
    name, store = node["volumes"][1].split(":")
    assert name in compose["volumes"]
    assert f'store_dir: "{store}"' in (DEPLOY / "nats" / "common.conf").read_text(encoding="utf-8")


def read_yaml(text: str) -> Any:
    """A YAML text of maps, lists and values that are JSON (which YAML includes); fails at anything else."""
    rows = [
        (len(line) - len(line.lstrip()), line.strip()) for line in text.splitlines() if line.strip() and line.lstrip()[0] != "#"
    ]

    def block(indent: int) -> Any:
        found: Any = [] if rows[0][1].startswith("- ") else {}
        while rows and rows[0][0] == indent:
            line = rows.pop(0)[1]
            if isinstance(found, list):
                assert line.startswith("- "), line
                found.append(json.loads(line[2:]))
                continue
            key, value = re.fullmatch(r"([a-z_]+):(?: (.+))?", line).groups()  # type: ignore[union-attr]
            assert key not in found, f"{key} stands twice"
            found[key] = json.loads(value) if value else block(rows[0][0])
        assert not rows or rows[0][0] < indent, rows[0]
        return found

    whole = block(0)
    assert not rows, rows[0]
    return whole
