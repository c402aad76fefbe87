"""``ipc nats`` as a person types it, with real servers: from nothing to two sites, and what each refusal says."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bridges.nats.admin_client import AdminClient
from bridges.nats.admin_keys import AdminKeys
from bridges.nats.commands import config_with
from bridges.nats.envelope import SITE, Identity
from bridges.nats.layout import all_streams, bucket_subject
from bridges.nats.permissions import accounts as accounts_of
from bridges.nats.permissions import streams_block
from bridges.nats.site_file import AdminFile, SiteFile
from bridges.nats.site_lease import holder_of
from bridges.nats.trouble import Trouble
from broker.home.settings import Settings
from tests.conftest import wait_for
from tests.nats.deployed import is_valid, made_certificate
from tests.nats.servers import NatsServers
from tests.nats.sites import NatsUser, as_user
from tests.shell import Shell


class Desk:
    """The admin's folder, servers, and machines whose shells have a data folder each."""

    def __init__(self, nodes: int = 1) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="ipc-"))
        self.servers = NatsServers(nodes)
        self.shell = Shell(self.folder)
        self.monitors = ",".join(f"http://127.0.0.1:{node.http_port}" for node in self.servers.nodes)

    def __enter__(self) -> "Desk":
        self.shell.fails(1, "nats", "init", *self.servers.urls)
        self.servers.configure(self.accounts())
        self.servers.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.servers.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def file(self) -> AdminFile:
        return AdminFile.load(self.folder / "ipc-admin.json")

    def accounts(self) -> str:
        return AdminKeys.load(self.folder / "ipc-admin.json").accounts()

    def machine(self, name: str) -> Shell:
        """The shell of another machine; files go to and from the admin's folder."""
        return Shell(self.folder, self.folder / f"data-{name}")

    def init(self, *options: str) -> str:
        return self.shell.ok("nats", "init", "--monitor", self.monitors, *options)

    def add(self, *names: str) -> None:
        """Sites, known to the servers."""
        for name in names:
            self.shell.ok("nats", "add-site", name)
        self.servers.configure(self.accounts())

    def ask(self, use: Any) -> Any:
        """What ``use(client)`` returns, as the admin."""
        return as_user(self.servers, self.file.nkey, use)


@pytest.fixture(scope="module")
def desk() -> Iterator[Desk]:
    with Desk() as desk:
        desk.init()
        yield desk


def test_the_first_init_makes_the_admins_key_and_prints_what_the_servers_need() -> None:
    with Desk() as desk:
        assert os.stat(desk.folder / "ipc-admin.json").st_mode & 0o777 == 0o600
        said = desk.init()
        assert [line for line in said.splitlines() if line.startswith(("FAIL", "warn"))] == []
        for name in all_streams(1):
            assert f"{name} made, one copy" in " ".join(said.split())
        assert "Next: ipc nats add-site NAME" in said
        again = " ".join(desk.init().split())
        assert all(f"{name} there, one copy" in again for name in all_streams(1))


def test_init_without_a_server_says_how_to_name_one(home: Path) -> None:
    shell = Shell(home)
    assert "next: ipc nats init nats://HOST:4222" in shell.fails(1, "nats", "init")
    assert "is no server" in shell.fails(1, "nats", "init", "http://h")
    assert not (home / "ipc-admin.json").exists()


def test_init_prints_the_accounts_where_no_server_answers_or_knows_the_key(home: Path) -> None:
    shell, servers = Shell(home), NatsServers()
    done = shell.run("nats", "init", servers.urls[0])
    assert done.returncode == 1 and "FAIL  server" in done.stdout and "accounts {" in done.stdout
    accounts = shell.ok("nats", "accounts")
    assert accounts in done.stdout
    try:
        servers.configure(accounts_of(streams_block(NatsUser().public)))
        servers.start()
        servers.wait_ready()
        done = shell.run("nats", "init")
        assert done.returncode == 1 and accounts in done.stdout
        assert "do not know the admin's key" in done.stderr
        servers.configure(accounts)
        shell.ok("nats", "init")
    finally:
        servers.stop()


def test_a_server_that_lets_in_whoever_comes_is_refused(home: Path) -> None:
    with NatsServers() as servers:
        done = Shell(home).run("nats", "init", *servers.urls)
        assert done.returncode == 1 and "lets in whoever comes" in done.stdout and "accounts {" in done.stdout


def settled(desk: Desk) -> str:
    """What ``ipc nats check`` says once every stream has a leader, which a change of its copies or a node's end may cost it."""

    def look() -> str:
        done = desk.shell.run("nats", "check", "--monitor", desk.monitors)
        return done.stdout if done.returncode == 0 else ""

    return str(wait_for("leaders", look, 40))


def test_three_nodes_get_three_copies_also_where_there_was_one() -> None:
    with Desk(nodes=3) as desk:
        said = desk.init("--replicas", "1")
        assert said.count("has a message on its disk before it acknowledges it") == 3
        said = " ".join(desk.init().split())
        assert all(f"{name} set right: num_replicas is 1, not 3" in said for name in all_streams(1))
        assert "copies of each message: 3" in settled(desk)
        desk.servers.kill(2)
        assert "set right" not in desk.init()  # never fewer copies because a node is away now
        said = settled(desk)
        assert f"warn  server    {desk.servers.urls[2]}" in said and "its copy at n2 " in said


def test_tls_needs_the_authority_and_every_site_gets_it(tmp_path: Path, home: Path) -> None:
    certificates = made_certificate(tmp_path)
    tls = f'tls {{ cert_file: "{certificates}/node.crt", key_file: "{certificates}/node.key" }}'
    shell, servers = Shell(home), NatsServers(more=tls)
    url = servers.urls[0].replace("nats:", "tls:")
    assert "no certificate" in shell.fails(1, "nats", "init", url, "--ca", str(certificates / "node.key"))
    assert "can't be read" in shell.fails(1, "nats", "init", url, "--ca", "none.crt")
    shell.fails(1, "nats", "init", url)
    servers.configure(shell.ok("nats", "accounts"))
    with servers:
        assert "--ca FILE names the authority" in shell.fails(1, "nats", "init")
        done = shell.run("nats", "init", "--ca", str(certificates / "ca.crt"))
        assert (done.returncode, done.stderr) == (0, "")
        shell.ok("nats", "add-site", "rome")
        servers.configure(shell.ok("nats", "accounts"))
        shell.ok("nats", "join", "rome.site")
        assert "ok    rights" in shell.ok("nats", "check")


def test_the_number_of_streams_is_chosen_once() -> None:
    with Desk() as desk:
        assert "IPC_IN_15" in desk.init("--streams", "16")
        assert "IPC_IN_15" in desk.init()
        assert "16 streams, and sites count on that" in desk.shell.fails(1, "nats", "init", "--streams", "2")
        desk.add("rome")
        machine = desk.machine("rome")
        machine.ok("nats", "join", "rome.site")
        assert "ok    rights" in machine.ok("nats", "check")


def test_init_sets_right_what_differs_and_says_it(desk: Desk) -> None:
    async def spoil(client: Any) -> None:
        admin = AdminClient(client)
        have = (await admin.api("STREAM.INFO.IPC_IN_0"))["config"]
        await admin.api("STREAM.UPDATE.IPC_IN_0", {**have, "max_age": 86400 * 1_000_000_000, "discard_new_per_subject": False})
        await admin.api("STREAM.DELETE.IPC_AT")

    desk.ask(spoil)
    done = desk.shell.run("nats", "check", "--monitor", desk.monitors)
    assert done.returncode == 1
    assert "max_age is 1 d, not 7 d" in done.stdout and "missing. The admin does: ipc nats init" in done.stdout
    said = desk.init()
    assert "set right: " in said and "max_age is 1 d, not 7 d" in said and "IPC_AT    made" in said
    desk.shell.ok("nats", "check", "--monitor", desk.monitors)


def test_a_chosen_size_stays_until_another_is_chosen(desk: Desk) -> None:
    assert "max_bytes is" in desk.init("--disk", "2")
    assert "set right" not in desk.init()
    assert "max_bytes is" in desk.init("--disk", "4")
    refused = desk.shell.fails(1, "nats", "init", "--monitor", desk.monitors, "--disk", "900000")
    assert "next: raise max_file" in refused


def test_keys_that_the_servers_lost_are_published_again(desk: Desk) -> None:
    desk.add("lost", "spoiled")

    async def lose(client: Any) -> None:
        await AdminClient(client).api("STREAM.PURGE.KV_ipc_keys", {"filter": bucket_subject("ipc_keys", "lost")})
        await client.jetstream().publish(bucket_subject("ipc_keys", "spoiled"), b"what somebody wrote")

    desk.ask(lose)
    assert "not published as the admin signed it" in desk.shell.run("nats", "check").stdout
    said = desk.init()
    assert said.count("its key is published again") == 2
    assert "not published" not in desk.shell.run("nats", "check").stdout


def test_after_the_loss_of_all_disks_init_makes_everything_again() -> None:
    with Desk() as desk:
        desk.init()
        desk.add("rome")
        machine = desk.machine("rome")
        machine.ok("nats", "join", "rome.site")
        desk.servers.kill()
        desk.servers.wipe()
        desk.servers.start()
        desk.servers.wait_ready()
        said = machine.run("nats", "check")
        assert said.returncode == 1 and said.stdout.count("missing. The admin does: ipc nats init") == len(all_streams(1))
        assert "FAIL  key       no key of rome is published" in said.stdout
        said = desk.init()
        assert "rome      its key is published again" in said
        assert "FAIL" not in machine.ok("nats", "check")


def test_an_admins_file_from_a_backup_learns_what_was_added_since(desk: Desk) -> None:
    before = (desk.folder / "ipc-admin.json").read_bytes()
    desk.add("since")
    (desk.folder / "ipc-admin.json").write_bytes(before)
    assert "since is a site already" in desk.shell.fails(1, "nats", "add-site", "since", "--out", "other.site")
    assert "SITE_since {" in desk.accounts()


def test_add_site_writes_one_private_file_and_the_servers_take_its_account(desk: Desk) -> None:
    said = desk.shell.ok("nats", "add-site", "r-2")
    path = desk.folder / "r-2.site"
    file = SiteFile.load(path)
    assert os.stat(path).st_mode & 0o777 == 0o600
    assert (file.site, file.servers) == ("r-2", tuple(desk.servers.urls))
    assert file.admin == Identity(desk.file.sign).public
    block = said[said.index("  SITE_r-2 {") :]
    assert block in desk.accounts()
    assert file.nkey not in said and file.sign not in said
    desk.servers.configure(desk.accounts())
    assert is_valid(desk.servers.nodes[0].config) == ""


def test_add_site_replaces_neither_a_site_nor_a_file(desk: Desk) -> None:
    desk.shell.ok("nats", "add-site", "once")
    assert "once.site exists already" in desk.shell.fails(1, "nats", "add-site", "once")
    assert "ipc nats remove-site once" in desk.shell.fails(1, "nats", "add-site", "once", "--out", "again.site")
    assert not (desk.folder / "again.site").exists()
    for name in ("Rome", "a.b"):
        assert "is no name of a site" in desk.shell.fails(1, "nats", "add-site", name)


def test_a_site_that_was_removed_comes_back_with_new_keys(desk: Desk) -> None:
    desk.add("back")
    old = SiteFile.load(desk.folder / "back.site")
    said = desk.shell.ok("nats", "remove-site", "back")
    assert "SITE_back { ... }" in said and "SITE_back {" not in desk.accounts()
    assert "removed before" in desk.shell.ok("nats", "remove-site", "back")
    assert "no site is called" in desk.shell.fails(1, "nats", "remove-site", "never")
    number = desk.file.entries["back"]["n"]
    desk.shell.ok("nats", "add-site", "back", "--out", "new.site")
    new = SiteFile.load(desk.folder / "new.site")
    assert new.nkey != old.nkey and new.sign != old.sign
    assert desk.file.entries["back"]["n"] > number and "removed" not in desk.file.entries["back"]


def test_commands_of_the_admin_say_where_they_look_for_its_key(home: Path) -> None:
    for words in (("add-site", "x"), ("remove-site", "x"), ("accounts",), ("tidy",)):
        assert "--admin FILE" in Shell(home).fails(1, "nats", *words)
    assert "ipc nats join FILE" in Shell(home).fails(1, "nats", "check")


def test_join_writes_the_keys_and_two_settings_and_nothing_else(desk: Desk) -> None:
    desk.add("venice")
    machine = desk.machine("venice")
    machine.data.mkdir(mode=0o700)
    (machine.data / "config.toml").write_text("# mine\nport = 0  # any\n\n[instances.fred]\nrate_limit = 3\n")
    said = machine.ok("nats", "join", "venice.site")
    assert "is now the site venice" in said and "rm venice.site" in said
    url = desk.servers.urls[0]
    assert (machine.data / "config.toml").read_text() == (
        f'# mine\nport = 0  # any\nsite = "venice"\nnats = "{url}"\n\n[instances.fred]\nrate_limit = 3\n'
    )
    assert SiteFile.load(machine.data / "keys" / "site.json") == SiteFile.load(desk.folder / "venice.site")
    assert os.stat(machine.data / "keys" / "site.json").st_mode & 0o777 == 0o600
    assert "is the site venice already" in machine.ok("nats", "join", "venice.site")
    settings = Settings.load(env={"IPC_HOME": str(machine.data)})
    assert (settings.site, settings.nats) == ("venice", url)


def test_join_makes_no_site_another_one_by_accident(desk: Desk) -> None:
    desk.add("milan", "turin")
    machine = desk.machine("milan")
    machine.ok("nats", "join", "milan.site")
    refused = machine.fails(1, "nats", "join", "turin.site")
    assert "is the site milan" in refused and "--replace" in refused
    assert SiteFile.load(machine.data / "keys" / "site.json").site == "milan"
    machine.ok("nats", "join", "turin.site", "--replace")
    assert Settings.load(env={"IPC_HOME": str(machine.data)}).site == "turin"


def test_join_refuses_what_others_may_read_and_what_is_no_file_of_a_site(desk: Desk) -> None:
    desk.add("open")
    (desk.folder / "open.site").chmod(0o644)
    machine = desk.machine("open")
    assert "chmod 600" in machine.fails(1, "nats", "join", "open.site")
    assert "there is no file" in machine.fails(1, "nats", "join", "none.site")
    (desk.folder / "else.site").write_text("{}")
    (desk.folder / "else.site").chmod(0o600)
    assert "no site's file" in machine.fails(2, "nats", "join", "else.site")
    assert not (machine.data / "keys" / "site.json").exists()


def test_a_configuration_that_is_no_toml_stays_as_it_is() -> None:
    with pytest.raises(Trouble, match="left as it is"):
        config_with("site = ", "rome", "nats://h", Path("config.toml"))


def test_a_site_checks_itself_before_and_after_its_bridge_runs(desk: Desk) -> None:
    desk.add("naples")
    machine = desk.machine("naples")
    machine.ok("nats", "join", "naples.site")
    said = machine.ok("nats", "check", "--monitor", desk.monitors)
    expected = ["settings", "server", "login", "sync", "streams", "rights", "key", "clock"]
    assert [line.split()[:2] for line in said.splitlines()[1:]] == [*(["ok", name] for name in expected), ["warn", "link"]]
    told_as(desk, machine, cursor=0, holder=holder_of(machine.data))
    assert "ok    link      the bridge of this data folder runs it" in machine.ok("nats", "check")
    told_as(desk, machine, cursor=0)
    assert "FAIL  link      another bridge runs it, at h: two have the keys" in machine.run("nats", "check").stdout
    assert "ok    naples    there, at h" in desk.shell.run("nats", "check").stdout


def told_as(desk: Desk, machine: Shell, **place: Any) -> None:
    """What a site's bridge writes of itself."""
    file = SiteFile.load(machine.data / "keys" / "site.json")
    subject = bucket_subject("ipc_sites", file.site)
    entry = {"site": file.site, "holder": "x", "host": "h", "n": 1, "version": "1", **place}
    value = Identity(file.sign).signed(SITE, subject, json.dumps(entry).encode())

    async def write(client: Any) -> None:
        await client.request(subject, value, 5)

    as_user(desk.servers, file.nkey, write)


def test_a_site_is_told_what_is_wrong_and_who_can_help(desk: Desk) -> None:
    desk.shell.ok("nats", "add-site", "pisa")
    machine = desk.machine("pisa")
    machine.ok("nats", "join", "pisa.site")
    assert "do not know the login of pisa" in machine.fails(1, "nats", "check")
    desk.servers.configure(desk.accounts())
    said = machine.run("nats", "check", IPC_SITE="rome")
    assert said.returncode == 1 and "FAIL  settings  site is 'rome' (env IPC_SITE" in said.stdout
    desk.shell.ok("nats", "remove-site", "pisa")
    assert "FAIL  key       pisa was removed" in machine.run("nats", "check").stdout
    (machine.data / "config.toml").write_text('site = "pisa"\nnats = "nats://127.0.0.1:9"\n')
    assert "FAIL  server    nats://127.0.0.1:9: Connection refused" in machine.run("nats", "check").stdout


def test_a_site_that_may_do_more_than_it_should_is_told(desk: Desk) -> None:
    desk.add("loose")
    machine = desk.machine("loose")
    machine.ok("nats", "join", "loose.site")
    user = desk.file.entries["loose"]["user"]
    in_its_own = desk.accounts().replace(f"users: [ {{ nkey: {user} }} ]", "")
    desk.servers.configure(in_its_own.replace("users: [ ", f"users: [ {{ nkey: {user} }}, ", 1))
    said = machine.run("nats", "check")
    assert said.returncode == 1 and "may do what only others should: " in said.stdout and "STREAM.PURGE" in said.stdout
    assert "ipc nats accounts" in said.stdout
    desk.servers.configure(desk.accounts())
    assert machine.run("nats", "check").returncode == 0


def test_tidy_removes_what_a_site_says_it_has_read_and_no_more(desk: Desk) -> None:
    desk.add("siena", "lucca")
    siena, lucca = desk.machine("siena"), desk.machine("lucca")
    siena.ok("nats", "join", "siena.site")
    lucca.ok("nats", "join", "lucca.site")

    async def fill(client: Any) -> tuple[int, str]:
        js = client.jetstream()
        for to in ("siena", "lucca", "siena", "siena", "lucca"):
            ack = await js.publish(f"ipc.in.0.{to}.pisa", b"x")
        return ack.seq, (await AdminClient(client).api("STREAM.INFO.IPC_IN_0"))["created"]

    async def left(client: Any) -> dict[str, int]:
        subjects = (await client.jetstream().stream_info("IPC_IN_0", subjects_filter="ipc.in.0.*.pisa")).state.subjects
        return {subject.split(".")[3]: count for subject, count in (subjects or {}).items()}

    last, born = desk.ask(fill)
    assert "siena     left as it is: the site was never there" in desk.shell.ok("nats", "tidy")
    told_as(desk, siena, cursor=last - 2, born="another time")
    assert "made anew" in desk.shell.ok("nats", "tidy")
    assert desk.ask(left) == {"siena": 3, "lucca": 2}
    told_as(desk, siena, cursor=last - 2, born=born)
    assert "ok    siena     2 read messages removed" in desk.shell.ok("nats", "tidy")
    assert desk.ask(left) == {"siena": 1, "lucca": 2}
    told_as(desk, lucca, cursor=last + 1000, born=born)
    assert "ok    lucca     2 read messages removed" in desk.shell.ok("nats", "tidy")
    assert desk.ask(left) == {"siena": 1}

    async def forge(client: Any) -> None:
        await client.request(bucket_subject("ipc_sites", "siena"), b"x" * 64 + json.dumps({"cursor": last}).encode(), 5)

    desk.ask(forge)
    assert "not signed by its key" in desk.shell.ok("nats", "tidy")
    assert desk.ask(left) == {"siena": 1}


def test_without_the_packages_the_command_says_what_to_install(home: Path) -> None:
    (home / "nkeys.py").write_text("raise ModuleNotFoundError('no', name='nkeys')\n")
    code = "import sys; sys.path.insert(0, sys.argv.pop(1)); from bridges.cli.__main__ import main; sys.exit(main())"
    shell = Shell(home)
    done = subprocess.run(
        [sys.executable, "-c", code, str(home), "nats", "accounts"], env=shell.env, capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 1 and "next: pip install 'agent-ipc[nats]'" in done.stderr
