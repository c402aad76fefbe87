"""Loss of power, proven by building what it would leave.

A child process runs the engine over the real store with the shim preloaded, which records each write, sync, link and
unlink in order; the child also notes in ``ACKS``, a file of the same folder, what has been answered. From the record the
disk is built as it may be after a loss of power at any moment: of each file what was synced, and of what was not a random
part (nothing, all, or some writes, the last torn at a sector); of each folder's names those that were synced, and of the
later ones a random number, in order. The real store then opens that disk.

    full     everything acknowledged is there, what was acknowledged as read does not come back, large files are whole
    normal   the database is sound and holds a beginning of the history; the tail may be lost

``python -m tests.deep.faults.power --states N --seed S`` runs both.
"""

import argparse
import hashlib
import json
import os
import random
import secrets
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from broker.home.settings import Settings
from broker.store.folding import waiting_in
from broker.store.migrations import SCHEMA_VERSION
from tests.deep.faults import report
from tests.deep.faults.shim import Record, build, read

SECTOR_BYTES = 512
_ROUNDS = 120
_LARGE = "This goes to a file of its own. " * 400


# the child, under the shim


def act(home: Path, seed: str, durability: str) -> None:
    """Send, fetch, acknowledge and sweep; after each batch note in ACKS what it was answered."""
    from broker.core.batch import Incoming
    from broker.core.engine import Engine
    from broker.core.state import Moment
    from broker.home.data_folder import prepare_home
    from broker.store import checkpoints, open_store

    checkpoints._PAGES, checkpoints._QUIET_PAGES = 60, 20  # so that the database itself is written often
    rng = random.Random(seed)  # noqa: S311 (a seeded test)
    settings = Settings.load(env={"IPC_HOME": str(home), "IPC_DURABILITY": durability, "IPC_RATE_LIMIT": "0"})
    prepare_home(settings)
    store = open_store(settings)
    engine = Engine(store.load(), store, settings, b"")
    acks = open(home / "ACKS", "ab", buffering=0)  # noqa: SIM115 (open until the process ends)
    clock = 1_800_000_000.0
    token: dict[str, str] = {}
    count = 0
    out: dict[str, str] = {}  # the broker's id to the text of what is on lease

    def run(bodies: list[dict[str, Any]]) -> list[dict[str, Any]]:
        nonlocal clock
        clock += 0.01
        requests = [
            Incoming(b"r", {**b, "id": i}, token.get(b.get("instance_id", b.get("from_id", ""))), "test")
            for i, b in enumerate(bodies)
        ]
        replies = [o.body for o in engine.run(requests, Moment(clock, clock))[0]]
        store.checkpoint(quiet=rng.random() < 0.1)
        return replies

    for name in ("fred", "claude"):
        token[name] = run([{"action": "register", "instance_id": name}])[0]["session_token"]
    acks.write(b"registered\n")
    for round_number in range(_ROUNDS):
        bodies = []
        for _ in range(rng.randint(1, 12)):
            count += 1
            text = f"m{count}. " + (_LARGE if rng.random() < 0.04 else "x" * rng.randrange(2000))
            message = {"content": text}
            bodies.append(
                {"action": "send", "from_id": "fred", "to_id": "claude", "message": message, "message_id": f"m{count}"}
            )
        replies = run(bodies)
        lines = [f"sent {b['message_id']}\n" for b, r in zip(bodies, replies, strict=True) if r["status"] == "ok"]
        acks.write("".join(lines).encode())
        if rng.random() < 0.5:
            reply = run([{"action": "check", "instance_id": "claude", "limit": rng.randint(1, 20)}])[0]
            out.update({m["id"]: m["message"]["content"].partition(".")[0] for m in reply["messages"]})
        if out and rng.random() < 0.5:
            ids = rng.sample(sorted(out), rng.randint(1, len(out)))
            acks.write("".join(f"asked {out[i]}\n" for i in ids).encode())
            assert run([{"action": "ack", "instance_id": "claude", "ids": ids}])[0]["acked"] == len(ids)
            acks.write("".join(f"read {out.pop(i)}\n" for i in ids).encode())
        if rng.random() < 0.1:
            store.sweep_read(clock + 1e6 if rng.random() < 0.5 else clock, 0.0, 50)
        if rng.random() < 0.2:
            store.fold(rng.randint(1, 30))
        if round_number % 40 == 39:
            store.close()
            store = open_store(settings)
            engine.state, engine.store = store.load(), store
            out.clear()


# the disk that is left


@dataclass(slots=True)
class File:
    """One inode: what is on the platter, and what the kernel has not been made to write yet."""

    durable: bytearray = field(default_factory=bytearray)
    pending: list[Record] = field(default_factory=list)

    def sync(self) -> None:
        for one in self.pending:
            _apply(self.durable, one)
        self.pending.clear()

    def after_power_loss(self, rng: random.Random, mode: str) -> bytes:
        content = bytearray(self.durable)
        for one in self.pending:
            if mode == "all" or (mode == "some" and rng.random() < 0.5):
                _apply(content, one)
            elif mode == "some" and one.kind == "W" and rng.random() < 0.3:
                torn = rng.randrange(len(one.data) // SECTOR_BYTES + 1) * SECTOR_BYTES
                _apply(content, one._replace(data=one.data[:torn]))
        return bytes(content)


def _apply(content: bytearray, one: Record) -> None:
    if one.kind == "T":
        if one.offset <= len(content):
            del content[one.offset :]
        else:
            content.extend(bytes(one.offset - len(content)))
        return
    end = one.offset + len(one.data)
    if len(content) < end:
        content.extend(bytes(end - len(content)))
    content[one.offset : end] = one.data


@dataclass(slots=True)
class Folder:
    """Names of one folder: those on the platter, and changes that are not there yet, in order."""

    durable: dict[str, int] = field(default_factory=dict)
    pending: list[tuple[str, int | None]] = field(default_factory=list)

    def sync(self) -> None:
        for name, inode in self.pending:
            _rename(self.durable, name, inode)
        self.pending.clear()

    def after_power_loss(self, rng: random.Random, mode: str) -> dict[str, int]:
        names = dict(self.durable)
        many = {"none": 0, "all": len(self.pending)}.get(mode, rng.randint(0, len(self.pending)))
        for name, inode in self.pending[:many]:
            _rename(names, name, inode)
        return names


def _rename(names: dict[str, int], name: str, inode: int | None) -> None:
    if inode is None:
        names.pop(name, None)
    else:
        names[name] = inode


class Disk:
    """Files and folders below one root, fed with the records one by one."""

    def __init__(self, root: Path) -> None:
        self.root = str(root)
        self.files: dict[int, File] = {}
        self.folders: dict[str, Folder] = {self.root: Folder()}
        self.by_inode = {os.stat(root).st_ino: self.root}
        self.live: dict[str, int] = {}
        self.answered = b""
        self.acks_inode = 0

    def feed(self, one: Record) -> None:
        if one.kind in "WT":
            if one.inode == self.acks_inode:
                self.answered += one.data
            else:
                self.files.setdefault(one.inode, File()).pending.append(one)
        elif one.kind == "S":
            if one.inode in self.by_inode:
                self.folders[self.by_inode[one.inode]].sync()
            elif one.inode in self.files:
                self.files[one.inode].sync()
        else:
            self._name(one)

    def _name(self, one: Record) -> None:
        path = one.data.decode()
        if one.kind == "M":
            old, _, path = path.partition("\0")
            inode = self.live.pop(old)
            self._change(old, None)
        elif one.kind == "U":
            self.live.pop(path, None)
            self._change(path, None)
            return
        else:
            inode = one.inode
        if one.kind == "D":
            self.folders[path], self.by_inode[inode] = Folder(), path
        elif one.kind == "C":
            self.files[inode] = File()  # an inode's number is used again once its file is gone
            if path.endswith("/ACKS"):
                self.acks_inode = inode
        self.live[path] = inode
        self._change(path, inode)

    def _change(self, path: str, inode: int | None) -> None:
        folder, _, name = path.rpartition("/")
        self.folders[folder].pending.append((name, inode))

    def lose_power(self, target: Path, rng: random.Random, mode: str) -> None:
        """Write the disk that is left into ``target``."""
        self._build(self.root, target, rng, mode)

    def _build(self, folder: str, target: Path, rng: random.Random, mode: str) -> None:
        target.mkdir(mode=0o700)
        for name, inode in self.folders[folder].after_power_loss(rng, mode).items():
            if inode in self.by_inode:
                self._build(self.by_inode[inode], target / name, rng, mode)
            elif name != "ACKS":
                (target / name).write_bytes(self.files[inode].after_power_loss(rng, mode))


# the judgement


def judge(home: Path, answered: bytes, durability: str) -> list[str]:
    """Open the disk with the real store; what is wrong with it. ``answered`` is ACKS at the moment of the loss."""
    from broker.store import open_store

    lines = [line.split() for line in answered.decode().splitlines()]
    settings = Settings.load(env={"IPC_HOME": str(home), "IPC_DURABILITY": durability})
    if not (home / "ipc.db").exists() and lines and durability == "full":
        return ["there is no database"]
    store = open_store(settings)
    try:
        store.load()
        store.sweep_orphans()
    finally:
        store.close()
    with sqlite3.connect(home / "ipc.db") as db:
        problems = [str(row[0]) for row in db.execute("PRAGMA integrity_check") if row[0] != "ok"]
        found = "SELECT m.client_id, m.file_path, m.file_size, m.file_sha256 FROM message m WHERE m.id IN "
        found += f"(SELECT message_id FROM {waiting_in(SCHEMA_VERSION)})"  # noqa: S608
        unread = {r[0]: r[1:] for r in db.execute(found)}
        known = {r[0] for r in db.execute("SELECT client_id FROM message")}
        names = {r[0] for r in db.execute("SELECT name FROM mailbox WHERE claimed")}
    db.close()
    problems += _whole_files(home, unread)
    sent = [line[1] for line in lines if line[0] == "sent"]
    read_ones = {line[1] for line in lines if line[0] == "read"}
    asked = {line[1] for line in lines if line[0] == "asked"}  # to be acknowledged; it may have been done
    if durability == "full":
        if lines and names != {"fred", "claude"}:
            problems.append(f"registered are {names}")
        problems += [f"lost {m}" for m in sent if m not in asked and m not in unread]
        problems += [f"{m} came back after its acknowledgement" for m in read_ones & set(unread)]
    numbers = {int(m[1:]) for m in known}
    swept = {int(m[1:]) for m in asked}  # what was read may be gone
    if numbers and not set(range(1, max(numbers) + 1)) <= numbers | swept:
        problems.append("the messages are not a beginning of the history")
    return problems


def _whole_files(home: Path, unread: dict[str, tuple[Any, ...]]) -> list[str]:
    problems = []
    for message, (path, size, digest) in unread.items():
        if path is None:
            continue
        file = home / "large-messages" / Path(path).name
        if not file.exists():
            problems.append(f"the file of {message} is gone")
            continue
        body = file.read_bytes().partition(b"\n---\n\n")[2]
        if len(body) != size or hashlib.sha256(body).hexdigest() != digest:
            problems.append(f"the file of {message} is not whole")
    return problems


def _fast_folder() -> str | None:
    shared = "/dev/shm"  # noqa: S108 (a private folder is made in it)
    return shared if os.path.isdir(shared) else None


def run(seed: str, states: int, durability: str, judged_as: str = "") -> dict[str, Any]:
    """Record one history and lose power at ``states`` random moments of it."""
    rng = random.Random(seed)  # noqa: S311 (a seeded test)
    work = Path(tempfile.mkdtemp(prefix="ipc-", dir=_fast_folder()))
    try:
        library = build(work)
        home, log = work / "home", work / "log"
        home.mkdir(mode=0o700)
        env = {**os.environ, "LD_PRELOAD": str(library), "SHIM_ROOT": str(home), "SHIM_LOG": str(log)}
        command = [sys.executable, "-m", "tests.deep.faults.power", "--child", str(home), seed, durability]
        subprocess.run(command, env=env, check=True, cwd=Path(__file__).resolve().parents[3])
        records = list(read(log))
        moments = sorted(rng.choices(range(len(records) + 1), k=states))
        disk, fed, problems = Disk(home), 0, []
        began_s = time.monotonic()
        lost: Counter[str] = Counter()
        for number, moment in enumerate(moments):
            while fed < moment:
                disk.feed(records[fed])
                fed += 1
            target = work / f"left{number}"
            mode = rng.choice(("none", "some", "some", "all"))
            disk.lose_power(target, rng, mode)
            try:
                found = judge(target, disk.answered, judged_as or durability)
            except Exception as e:  # a disk that can't be opened is a finding like another
                found = [f"{type(e).__name__}: {e}"]
            problems += [f"at record {moment} of {len(records)}, unsynced {mode}: {p}" for p in found]
            lost[mode] += 1
            shutil.rmtree(target)
        return {
            "seed": seed,
            "durability": durability,
            "changes": len(records),
            "syncs": sum(r.kind == "S" for r in records),
            "states": dict(lost),
            "acknowledged": disk.answered.count(b"\n"),
            "seconds": round(time.monotonic() - began_s, 1),
            "problems": len(problems),
            "first_problems": problems[:10],
        }
    finally:
        shutil.rmtree(work)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.deep.faults.power", description="Lose power at random moments.")
    parser.add_argument("--states", type=int, default=300, metavar="N")
    parser.add_argument("--seed", default=secrets.token_hex(4))
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.child:
        act(Path(options.child[0]), options.child[1], options.child[2])
        return 0
    failed = 0
    for durability in ("full", "normal"):
        found = run(options.seed, options.states, durability)
        print(json.dumps(found, indent=1))
        failed += found["problems"]
        if options.json:
            report.keep(options.json, f"power {durability}", found)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
