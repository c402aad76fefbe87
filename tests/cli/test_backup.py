"""Backup while the service works, restore while it does not; compared by bytes."""

import hashlib
import io
import json
import os
import secrets
import shutil
import sqlite3
import stat
import subprocess
import sys
import tarfile
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from broker.client.sync import Connection
from broker.home import keys, restore_journal
from broker.home.data_folder import prepare_home
from broker.home.locks import lock
from broker.home.settings import Settings
from broker.store import backup
from tests.conftest import Service, wait_for
from tests.deep.faults.steps import deaths
from tests.engine import Core
from tests.processes import alive

_NOT_MAIL = ("message_text", "letter", "thread", "sqlite_", "meta")


def ipc(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    env = {**{k: v for k, v in os.environ.items() if not k.startswith("IPC_")}, "IPC_HOME": str(home), "IPC_PORT": "0"}
    return subprocess.run([sys.executable, "-m", "bridges.cli", *arguments], capture_output=True, text=True, env=env)


def tables(home: Path) -> dict[str, list[Any]]:
    """Every row of every table that is not derived."""
    with closing(sqlite3.connect(home / "ipc.db")) as db:
        names = [r[0] for r in db.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY 1")]
        kept = [n for n in names if not n.startswith(_NOT_MAIL)]
        return {n: db.execute(f"SELECT * FROM {n}").fetchall() for n in kept}  # noqa: S608 (names from the database itself)


def files(home: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in (home / "large-messages").iterdir()}


@pytest.fixture
def filled(service: Service) -> Service:
    fred, claude = service.connect("fred"), service.connect("claude")
    for i in range(50):
        fred.send("claude", f"{i} " + ("y" * 20_000 if i % 10 == 0 else "x" * 100), {"n": i})
    claude.check(limit=20)
    claude.ack()
    fred.broadcast("to all")
    return service


@pytest.fixture
def elsewhere() -> Iterator[Path]:
    home = Path(tempfile.gettempdir()) / f"ipc-{secrets.token_hex(4)}"
    yield home
    ipc(home, "down")
    for path in home.parent.glob(f"{home.name}*"):
        subprocess.run(["rm", "-rf", str(path)], check=True)


def stop(service: Service) -> None:
    pids = [service.pid(c) for c in ("broker", "tcp", "supervisor")]
    service.stop()
    wait_for("its end", lambda: not any(alive(p) for p in pids if p))


def test_what_is_restored_is_what_was_saved_to_the_byte(filled: Service, tmp_path: Path) -> None:
    target = tmp_path / "mail.tar"
    stop(filled)  # which notes when agents were last seen; the tests below save while it runs
    done = ipc(filled.home, "backup", str(target))
    assert done.returncode == 0, done.stderr
    assert "51 messages" in done.stdout
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    rows, bodies, key = tables(filled.home), files(filled.home), (filled.home / "owner.key").read_bytes()
    done = ipc(filled.home, "restore", str(target), "--force")
    assert done.returncode == 0, done.stderr
    assert (tables(filled.home), files(filled.home), (filled.home / "owner.key").read_bytes()) == (rows, bodies, key)
    aside = next(filled.home.parent.glob(f"{filled.home.name}.before-restore-*"))
    assert tables(aside) == rows
    subprocess.run(["rm", "-rf", str(aside)], check=True)


@pytest.mark.deep
def test_a_backup_restored_elsewhere_serves_the_same_sessions_and_files(
    filled: Service, elsewhere: Path, tmp_path: Path
) -> None:
    token = filled.connect("nova").token
    filled.connect("fred").send("nova", "z" * 30_000)
    assert ipc(filled.home, "backup", str(tmp_path / "b.tar")).returncode == 0
    done = ipc(elsewhere, "restore", str(tmp_path / "b.tar"))
    assert done.returncode == 0, done.stderr
    other = Service(elsewhere).start()
    with other.connect("nova", token=token) as nova:
        mail = nova.check()[-1]
        assert mail.file is not None
        assert mail.file["path"].startswith(str(elsewhere / "large-messages"))
        assert mail.file["path"] in mail.content
        assert Path(mail.file["path"]).read_text().endswith("\n---\n\n" + "z" * 30_000)
        found = nova.request("search", query="Full content")
        assert found["messages"][0]["id"] == mail.id
    other.stop()


@pytest.mark.deep
def test_a_backup_taken_under_load_is_consistent(filled: Service, elsewhere: Path, tmp_path: Path) -> None:
    stopping = threading.Event()

    def work() -> None:
        with filled.connect("busy") as me:
            while not stopping.is_set():
                me.send_many([("claude", "w" * 500)] * 50)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        for number in range(3):
            done = ipc(filled.home, "backup", str(tmp_path / f"{number}.tar"))
            assert done.returncode == 0, done.stderr
    finally:
        stopping.set()
        thread.join()
    assert ipc(elsewhere, "restore", str(tmp_path / "2.tar")).returncode == 0
    with closing(sqlite3.connect(elsewhere / "ipc.db")) as db:
        assert db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        assert db.execute("SELECT count(*) FROM queue WHERE message_id NOT IN (SELECT id FROM message)").fetchone()[0] == 0


def test_a_backup_and_a_restore_tell_how_far_they_are(home: Path, tmp_path: Path) -> None:
    core = Core(home)
    core.register("fred")
    for number in range(40):
        core.send("fred", "fred", f"{number} " + "x" * 200_000)
    core.store.close()
    heard: list[tuple[str, int, int]] = []
    backup.backup(Settings(home=home), tmp_path / "saved.tar", lambda *told: heard.append(told))
    backup.restore(Settings(home=tmp_path / "other"), tmp_path / "saved.tar", tell=lambda *told: heard.append(told))
    assert list(dict.fromkeys(what for what, _, _ in heard)) == ["copying", "writing", "unpacking"]
    for what in ("copying", "writing", "unpacking"):
        told = [(done, total) for word, done, total in heard if word == what]
        assert told == sorted(told) and told[0][0] > 0 and told[-1][0] <= told[-1][1] * 1.1


def test_a_backup_is_of_one_moment_though_mail_comes_between_its_steps(
    filled: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup, "_STEP_PAGES", 1)
    fred = filled.connect("fred", force=True)
    sent: list[int] = []

    def tell(what: str, _done: int, _total: int) -> None:
        if what == "copying" and len(sent) < 20:
            sent.append(len(fred.send("claude", "while it is copied")))

    before = len(tables(filled.home)["message"])
    saved = backup.backup(filled.settings, tmp_path / "saved.tar", tell)
    assert (saved.messages, len(sent)) == (before, 20)


@pytest.mark.deep
def test_refusals(filled: Service, elsewhere: Path, tmp_path: Path) -> None:
    target = tmp_path / "b.tar"
    assert ipc(filled.home, "backup", str(target)).returncode == 0
    for home, arguments, says in (
        (filled.home, ("backup", str(target)), "exists already"),
        (elsewhere, ("backup", str(tmp_path / "c.tar")), "has no mail yet"),
        (filled.home, ("restore", str(target)), "is not empty"),
        (filled.home, ("restore", str(target), "--force"), "ipc down"),
        (elsewhere, ("restore", str(tmp_path / "none.tar")), "nothing was restored"),
    ):
        done = ipc(home, *arguments)
        assert (done.returncode, says in done.stderr) == (1, True), done.stderr


def changed(source: Path, target: Path, change: Callable[[tarfile.TarInfo, bytes], tuple[tarfile.TarInfo, bytes]]) -> Path:
    with tarfile.open(source) as old, tarfile.open(target, "w") as new:
        for member in old:
            content = old.extractfile(member)
            assert content is not None
            member, raw = change(member, content.read())
            member.size = len(raw)
            new.addfile(member, io.BytesIO(raw))
    return target


@pytest.mark.deep
def test_a_changed_backup_is_refused_and_nothing_is_written_outside(filled: Service, elsewhere: Path, tmp_path: Path) -> None:
    source = tmp_path / "b.tar"
    assert ipc(filled.home, "backup", str(source)).returncode == 0

    def named(name: str) -> Callable[[tarfile.TarInfo, bytes], tuple[tarfile.TarInfo, bytes]]:
        def change(member: tarfile.TarInfo, raw: bytes) -> tuple[tarfile.TarInfo, bytes]:
            if member.name == "owner.key":
                member.name = name
            return member, raw

        return change

    def linked(member: tarfile.TarInfo, raw: bytes) -> tuple[tarfile.TarInfo, bytes]:
        if member.name == "owner.key":
            member.type, member.linkname, raw = tarfile.SYMTYPE, "/etc/passwd", b""
        return member, raw

    def flipped(member: tarfile.TarInfo, raw: bytes) -> tuple[tarfile.TarInfo, bytes]:
        if member.name == "ipc.db":
            raw = raw[:5000] + bytes([raw[5000] ^ 1]) + raw[5001:]
        return member, raw

    for number, change in enumerate(
        (named("../evil"), named("/evil"), named("sessions/../../evil"), named("sessions/.."), linked, flipped)
    ):
        done = ipc(elsewhere, "restore", str(changed(source, tmp_path / f"{number}.tar", change)), "--force")
        assert (done.returncode, "not empty" in done.stderr) == (1, False), (number, done.stderr)
        assert not (elsewhere / "ipc.db").exists()
    assert not (elsewhere.parent / "evil").exists()


@pytest.mark.deep
def test_a_backup_that_calls_other_files_tls_files_is_refused(filled: Service, elsewhere: Path, tmp_path: Path) -> None:
    source = tmp_path / "b.tar"
    assert ipc(filled.home, "backup", str(source)).returncode == 0
    for number, name in enumerate(("../evil", "/evil", "a/../../evil", "run/evil", "ipc.db-wal")):

        def change(member: tarfile.TarInfo, raw: bytes, name: str = name) -> tuple[tarfile.TarInfo, bytes]:
            if member.name == "manifest.json":
                raw = json.dumps({**json.loads(raw), "tls": [name]}).encode()
            elif member.name == "owner.key":
                member.name = name
            return member, raw

        done = ipc(elsewhere, "restore", str(changed(source, tmp_path / f"{number}.tar", change)), "--force")
        assert (done.returncode, "no place in a backup" in done.stderr) == (1, True), (name, done.stderr)
    assert not (elsewhere.parent / "evil").exists()


@pytest.mark.deep
def test_a_backup_whose_messages_name_files_elsewhere_is_refused(filled: Service, elsewhere: Path, tmp_path: Path) -> None:
    source, copy = tmp_path / "b.tar", tmp_path / "copy.db"
    assert ipc(filled.home, "backup", str(source)).returncode == 0
    with tarfile.open(source) as tar:
        content = tar.extractfile("ipc.db")
        assert content is not None
        copy.write_bytes(content.read())
    with closing(sqlite3.connect(copy)) as db:
        db.execute("UPDATE message SET file_path = '/etc/passwd' WHERE file_path IS NOT NULL")
        db.commit()

    def change(member: tarfile.TarInfo, raw: bytes) -> tuple[tarfile.TarInfo, bytes]:
        if member.name == "manifest.json":
            raw = json.dumps({**json.loads(raw), "sha256": hashlib.sha256(copy.read_bytes()).hexdigest()}).encode()
        return member, copy.read_bytes() if member.name == "ipc.db" else raw

    done = ipc(elsewhere, "restore", str(changed(source, tmp_path / "changed.tar", change)))
    assert (done.returncode, "names a file that is not ours: '/etc/passwd'" in done.stderr) == (1, True), done.stderr


@pytest.mark.deep
def test_certificate_and_key_in_the_data_folder_are_saved_and_restored(
    filled: Service, elsewhere: Path, tmp_path: Path
) -> None:
    home = filled.home
    (home / "tls").mkdir()
    (home / "config.toml").write_text('tls_cert = "tls.crt"\ntls_key = "tls/private.pem"\n')
    (home / "tls.crt").write_text("a certificate")
    (home / "tls" / "private.pem").write_text("its key")
    (home / "tls" / "private.pem").chmod(0o600)
    target = tmp_path / "mail.tar"
    assert ipc(home, "backup", str(target)).returncode == 0
    done = ipc(elsewhere, "restore", str(target))
    assert done.returncode == 0, done.stderr
    for name, text in (("tls.crt", "a certificate"), ("tls/private.pem", "its key")):
        assert (elsewhere / name).read_text() == text
        assert stat.S_IMODE((elsewhere / name).stat().st_mode) == 0o600
    assert stat.S_IMODE((elsewhere / "tls").stat().st_mode) == 0o700


def test_the_secrets_of_channels_and_webhooks_come_back_so_that_none_is_closed_after_a_restore(
    filled: Service, elsewhere: Path, tmp_path: Path
) -> None:
    files = {"ci.secret": "sixteen characters or more", "secrets/ntfy.token": "tk_1", "metrics.token": "of Prometheus"}
    (filled.home / "secrets").mkdir()
    for name, text in files.items():
        (filled.home / name).write_text(text)
        (filled.home / name).chmod(0o600)
    (filled.home / "config.toml").write_text(
        '[webhooks.ci]\nform = "github"\nto = "ann"\nsecret_file = "ci.secret"\n'
        '[notify.ntfy]\nurl = "https://ntfy.example/x"\ntoken_file = "secrets/ntfy.token"\n'
    )
    assert ipc(filled.home, "backup", str(tmp_path / "mail.tar")).returncode == 0
    done = ipc(elsewhere, "restore", str(tmp_path / "mail.tar"))
    assert done.returncode == 0, done.stderr
    assert {name: (elsewhere / name).read_text() for name in files} == files
    assert {stat.S_IMODE((elsewhere / name).stat().st_mode) for name in files} == {0o600}


@pytest.mark.deep
def test_certificate_and_key_elsewhere_are_left_where_they_are(filled: Service, tmp_path: Path) -> None:
    for name in ("tls.crt", "tls.key"):
        (tmp_path / name).write_text("elsewhere")
    (filled.home / "tls.key").symlink_to(tmp_path / "tls.key")
    (filled.home / "config.toml").write_text(f'tls_cert = "{tmp_path}/tls.crt"\ntls_key = "tls.key"\n')
    target = tmp_path / "mail.tar"
    assert ipc(filled.home, "backup", str(target)).returncode == 0
    with tarfile.open(target) as tar:
        assert [name for name in tar.getnames() if "tls" in name] == []


@pytest.mark.deep
def test_the_keys_of_other_machines_are_saved_and_restored(filled: Service, elsewhere: Path, tmp_path: Path) -> None:
    pair = keys.server_pair(filled.settings)
    keys.allow(filled.settings, "fred", keys.new_pair().public)
    site = filled.home / "keys" / "site.json"
    site.write_text('{"site": "paris"}')
    target = tmp_path / "mail.tar"
    assert ipc(filled.home, "backup", str(target)).returncode == 0
    assert ipc(elsewhere, "restore", str(target)).returncode == 0
    assert (elsewhere / "keys" / "site.json").read_text() == site.read_text()
    site.unlink()
    restored = Settings.load(env={"IPC_HOME": str(elsewhere)})
    assert (keys.server_pair(restored), keys.allowed(restored)) == (pair, keys.allowed(filled.settings))
    assert stat.S_IMODE((elsewhere / "keys").stat().st_mode) == 0o700


@pytest.mark.deep
def test_numbers_of_mail_to_other_sites_are_not_given_again(make_service: Callable[..., Service], tmp_path: Path) -> None:
    """Else what is sent after the restore is, to its receiver, what it had before, until the first mark says otherwise."""
    paris = make_service(IPC_SITE="paris").start()
    owner = {"session_token": (paris.home / "owner.key").read_text().strip()}

    def taken() -> list[dict[str, Any]]:
        with closing(Connection(paris.settings)) as door:
            lease = door.request("link_open", carrier="test", **owner)["lease"]
            rows: list[dict[str, Any]] = door.request("link_take", lease=lease, **owner)["rows"]
        return rows

    paris.connect("ann").send_many([("bob@rome", f"saved {i}") for i in range(3)])
    saved = taken()
    assert ipc(paris.home, "backup", str(tmp_path / "b.tar")).returncode == 0
    paris.connect("ann").send("bob@rome", "gone")
    assert [row["seq"] for row in taken()] == [1, 2, 3, 4]
    stop(paris)
    assert ipc(paris.home, "restore", str(tmp_path / "b.tar"), "--force").returncode == 0
    paris.start().connect("ann").send("bob@rome", "new")
    again = taken()
    assert [(row["seq"], row["uid"], row["redo"]) for row in again[:3]] == [(n, saved[n - 1]["uid"], 3) for n in (1, 2, 3)]
    assert [row["body"]["content"] for row in again] == ["saved 0", "saved 1", "saved 2", "new"]
    assert {row["epoch"] for row in again}.isdisjoint(row["epoch"] for row in saved)


@pytest.mark.deep
def test_ids_that_were_given_out_after_the_backup_are_not_given_again(filled: Service, elsewhere: Path, tmp_path: Path) -> None:
    fred, claude = filled.connect("fred"), filled.connect("claude")
    claude.check(limit=100)
    claude.ack()
    assert ipc(filled.home, "backup", str(tmp_path / "b.tar")).returncode == 0
    for i in range(3):
        fred.send("claude", f"after the backup {i}")
    held = [int(m.id) for m in claude.check()]
    stop(filled)
    assert ipc(filled.home, "restore", str(tmp_path / "b.tar"), "--force").returncode == 0
    assert ipc(elsewhere, "restore", str(tmp_path / "b.tar")).returncode == 0
    filled.start()
    for service, token in ((filled, claude.token), (Service(elsewhere).start(), claude.token)):
        with service.connect("fred") as writer, service.connect("claude", token=token) as me:
            for i in range(3):
                writer.send("claude", f"new order {i}")
            assert me.request("ack", ids=[str(i) for i in held])["acked"] == 0
            mail = me.check()
        assert [m.content for m in mail] == [f"new order {i}" for i in range(3)]
        given = [int(m.id) for m in mail]
        assert given == sorted(given)
        assert 2**53 > given[0] > max(held) + 2**29


@pytest.fixture
def saved(home: Path, tmp_path: Path) -> Path:
    """A backup of one message, and a data folder without a service that has another one since."""
    settings = Settings.load(env={"IPC_HOME": str(home)})
    prepare_home(settings)
    core = Core(home)
    core.register("fred")
    core.send("fred", "fred", "saved")
    (home / "config.toml").write_text("port = 0")
    backup.backup(settings, tmp_path / "b.tar")
    core.send("fred", "fred", "written since")
    core.store.close()
    return tmp_path / "b.tar"


def texts(home: Path) -> list[str]:
    with closing(sqlite3.connect(home / "ipc.db")) as db:
        return [row[0] for row in db.execute("SELECT content FROM message ORDER BY id")]


@pytest.mark.deep
def test_a_restore_killed_at_any_step_is_finished_or_has_changed_nothing(home: Path, saved: Path) -> None:
    shutil.copytree(home, saved.parent / "before")
    settings = Settings.load(env={"IPC_HOME": str(home)})

    def kept() -> list[Path]:
        return list(home.parent.glob(f"{home.name}.before-restore-*"))

    def prepare() -> None:
        for folder in (home, *kept()):
            shutil.rmtree(folder)
        shutil.copytree(saved.parent / "before", home)

    ends = set()
    for step in deaths(prepare, lambda: backup.restore(settings, saved, force=True)):
        restore_journal.finish(home)
        restore_journal.sweep(home)
        found = texts(home)
        ends.add(len(found))
        assert found in (["saved"], ["saved", "written since"]), step
        if found == ["saved"]:
            assert texts(kept()[0]) == ["saved", "written since"], step
        assert {p.name for p in home.iterdir()} <= {
            *("ipc.db", "ipc.db-wal", "ipc.db-shm", "config.toml", "owner.key"),
            *("sessions", "large-messages", "keys", "run", "logs"),
        }, step
    assert ends == {1, 2}
    for folder in kept():
        shutil.rmtree(folder)


@pytest.mark.deep
def test_a_start_finishes_what_a_killed_restore_began(home: Path, saved: Path, make_service: Callable[..., Service]) -> None:
    settings = Settings.load(env={"IPC_HOME": str(home)})
    for _ in deaths(lambda: None, lambda: backup.restore(settings, saved, force=True)):
        if (home / restore_journal.JOURNAL).exists():
            break
    service = make_service().start()
    with service.connect("fred") as fred:
        assert [m.content for m in fred.check()] == ["saved"]
    assert not (home / restore_journal.JOURNAL).exists()
    for folder in home.parent.glob(f"{home.name}.before-restore-*"):
        shutil.rmtree(folder)


def test_a_killed_backup_leaves_nothing_behind(home: Path, saved: Path) -> None:
    settings = Settings.load(env={"IPC_HOME": str(home)})
    target = saved.with_name("c.tar")
    for step in deaths(lambda: target.unlink(missing_ok=True), lambda: backup.backup(settings, target)):
        restore_journal.sweep(home)
        assert [p.name for p in home.iterdir() if p.name.startswith(".")] == [], step
        assert {p.name for p in saved.parent.iterdir()} <= {"b.tar", "c.tar"}, step


def test_a_backup_that_is_at_work_is_left_alone(home: Path) -> None:
    (home / ".backup-other").mkdir()
    with lock(home / ".backup-other"):
        assert restore_journal.sweep(home) == []
    assert restore_journal.sweep(home) == [".backup-other"]


def test_a_restore_keeps_who_the_shell_is(home: Path, saved: Path) -> None:
    (home / "sessions" / "cli-current").write_text("nova\n")
    (home / "sessions" / "cli-nova.json").write_text('{"name": "nova"}')
    (home / "sessions" / "terminal-7@8@9.b.json").write_text('{"name": "terra"}')
    made = backup.restore(Settings.load(env={"IPC_HOME": str(home)}), saved, force=True)
    assert (home / "sessions" / "cli-current").read_text() == "nova\n"
    assert (home / "sessions" / "cli-nova.json").read_text() == '{"name": "nova"}'
    assert (home / "sessions" / "terminal-7@8@9.b.json").read_text() == '{"name": "terra"}'
    shutil.rmtree(str(made.set_aside))


def test_a_restore_whose_new_content_is_gone_gives_back_what_was_there(tmp_path: Path) -> None:
    aside = tmp_path / "aside"
    home = tmp_path / "home"
    for folder in (home, aside):
        folder.mkdir()
    (aside / "ipc.db").write_text("mail")
    told = {"new": ".restore-gone", "aside": str(aside), "step": "setting aside"}
    (home / restore_journal.JOURNAL).write_text(json.dumps(told))
    assert restore_journal.finish(home) is False
    assert (home / "ipc.db").read_text() == "mail" and not (home / restore_journal.JOURNAL).exists()


@pytest.mark.parametrize("journal", ["", "[]", "{}", '{"new": 1, "aside": 2, "step": 3}', "{", "null"])
def test_a_restore_whose_journal_is_damaged_is_told_in_words(tmp_path: Path, journal: str) -> None:
    (tmp_path / restore_journal.JOURNAL).write_text(journal)
    with pytest.raises(OSError, match="move it away"):
        restore_journal.finish(tmp_path)


def test_a_set_aside_folder_that_was_removed_is_no_hindrance(tmp_path: Path) -> None:
    (tmp_path / ".restore-x").mkdir()
    (tmp_path / ".restore-x" / "ipc.db").write_text("restored")
    told = {"new": ".restore-x", "aside": str(tmp_path / "logs"), "step": "putting in"}
    (tmp_path / restore_journal.JOURNAL).write_text(json.dumps(told))
    assert restore_journal.finish(tmp_path) is True
    assert (tmp_path / "ipc.db").read_text() == "restored"
