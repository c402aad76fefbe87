"""What is fed: one function a parser. It takes the inputs and may let out only the errors that its parser promises."""

import contextlib
import io
import json
import os
import shutil
import sqlite3
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bridges.cli import import_mail
from bridges.cli.commands import COMMANDS, parser_of
from bridges.fence import BUDGET_CHARS, digest
from bridges.safe_text import visible
from bridges.tcp.framing import ObjectScanner
from broker.core.batch import Incoming
from broker.core.engine import Engine
from broker.core.globs import overlap
from broker.core.sessions import token_hash
from broker.core.state import Moment
from broker.home.settings import Settings
from broker.protocol import frames
from broker.protocol.actions import ACTIONS
from broker.protocol.errors import CATALOGUE, IpcError, SettingsError
from broker.protocol.json_text import parse, to_json
from broker.server.cron import next_cron
from broker.store import open_store
from broker.store.backup import BackupError, restore
from nlparse import parse as parse_words
from tests.deep.fuzz import doors
from tests.deep.fuzz.direct import Found
from tests.deep.fuzz.inputs import Inputs

_LIFE = 10_000
"""Requests that one store takes."""
Target = Callable[[Inputs], Iterator[None]]
_FRAME = [{"action": "send", "id": 7, "to_id": "claude", "message": {"content": "hi", "data": [1, {"a": None}]}}]
_LINE = b'{"action":"send","to_id":"claude","message":{"content":"h\\u00e9","data":[1,2.5,null]},"session_token":"x"}'


@contextlib.contextmanager
def _home() -> Iterator[Path]:
    shared = "/dev/shm"  # noqa: S108 (a private folder is made in it)
    home = Path(tempfile.mkdtemp(prefix="ipc-", dir=shared if os.path.isdir(shared) else None))
    try:
        yield home
    finally:
        shutil.rmtree(home, ignore_errors=True)


def wire_frames(inputs: Inputs) -> Iterator[None]:
    """Frames of the ZeroMQ wire: maps with ids, or a FrameError."""
    good = frames.encode(_FRAME)
    while True:
        raw = inputs.spoil(good) if inputs.rng.random() < 0.6 else inputs.spoil(inputs.packed(inputs.value()))
        with contextlib.suppress(frames.FrameError):
            frames.encode([{"id": m.get("id")} for m in frames.decode(raw)])
        yield


def requests(inputs: Inputs) -> Iterator[None]:
    """Any value in any field of any action, over the real store: a reply that packs, and an error of the catalogue."""
    while True:  # a store that has taken in much is slower and no better a target
        yield from _requests(inputs)


def _requests(inputs: Inputs) -> Iterator[None]:

    def fault(error: BaseException, request: Incoming) -> str:
        raise Found(f"{error!r} came of {_short(request.body)}") from error

    with _home() as home:
        settings = Settings.load(env={"IPC_HOME": str(home), "IPC_DURABILITY": "normal", "IPC_RATE_LIMIT": "0"})
        store = open_store(settings)
        engine = Engine(store.load(), store, settings, token_hash("owner"), make_reference=fault, next_cron=next_cron)
        clock = 1_800_000_000.0
        tokens: list[Any] = ["owner", None, "x"]

        def ask(body: dict[str, Any], token: Any) -> None:
            frame = frames.decode(frames.encode([body]))[0]  # what the wire can't carry never comes this far
            out, _events = engine.run([Incoming(b"r", frame, token, "fuzz")], Moment(clock, clock))
            for one in out:
                frames.encode([one.body])
                to_json(one.body)
                if one.body.get("status") == "error" and one.body["code"] not in CATALOGUE:
                    raise Found(f"{one.body} came of {_short(body)}")
                if one.body.get("session_token"):
                    tokens[3:] = [*tokens[3:], one.body["session_token"]][-4:]

        try:
            for name in ("fred", "claude"):
                ask({"action": "register", "instance_id": name}, None)
            for _ in range(_LIFE):
                clock += inputs.rng.choice((0.0, 0.0, 0.01, 40.0))
                body, token = _request(inputs), inputs.rng.choice(tokens[3:] if inputs.rng.random() < 0.9 else tokens)
                try:
                    frames.decode(frames.encode([body]))
                except (frames.FrameError, ValueError, TypeError, OverflowError):
                    continue
                ask(body, token)
                yield
        finally:
            store.close()


def _short(body: dict[str, Any]) -> str:
    return str({k: f"{v!r:.100}" for k, v in body.items()})


def _request(inputs: Inputs) -> dict[str, Any]:
    """A request that is right in most fields, so that it comes far."""
    rng = inputs.rng
    action = ACTIONS[rng.choice([n for n in ACTIONS if n not in ("ping", "status")])]  # those two are the process's
    body: dict[str, Any] = {"action": action.name, "id": rng.choice((1, "a", None))}
    for field in action.fields:
        if field.required or rng.random() < 0.4:
            body[field.name] = inputs.value() if rng.random() < 0.3 else _likely(inputs, field.name, field.types)
    if rng.random() < 0.05:
        body[inputs.text()] = inputs.value()
    if rng.random() < 0.02:
        body["action"] = inputs.value()
    return body


def _likely(inputs: Inputs, name: str, types: tuple[type, ...]) -> Any:
    rng = inputs.rng
    if name == "message":
        message: dict[str, Any] = {"content": inputs.text() if rng.random() < 0.9 else inputs.value()}
        if rng.random() < 0.4:
            message["data"] = inputs.value()
        return message
    if name in ("to_id", "instance_id", "from_id", "name", "peer", "group", "new_id", "old_id"):
        return rng.choice(("fred", "claude", "nova", "team", inputs.text()))
    if name == "ids":
        return [rng.choice((str(rng.randrange(300)), rng.randrange(300), inputs.value())) for _ in range(rng.randrange(4))]
    if str in types:
        return rng.choice((str(rng.randrange(300)), "tool", "interrupt", "block", "src/*.py", "hello OR *", inputs.text()))
    if bool in types:
        return rng.random() < 0.5
    if int in types or float in types:
        return rng.choice((0, 1, 5, 60, inputs.value()))
    return inputs.value()


def tcp(inputs: Inputs) -> Iterator[None]:
    """Bytes of the JSON door, in pieces: an object whose reply can be written, or an IpcError."""
    while True:
        rng = inputs.rng
        raw = inputs.spoil(_LINE)
        if rng.random() < 0.3:
            with contextlib.suppress(TypeError, ValueError):
                raw = json.dumps(inputs.value(), ensure_ascii=rng.random() < 0.5).encode("utf-8", "surrogatepass")
        scanner = ObjectScanner(1_000_000)
        at = 0
        try:
            end = None
            while at < len(raw) and end is None:
                step = rng.choice((1, 7, 100, 100_000))
                end = scanner.feed(raw[at : at + step])
                at += step
            if end is not None:
                request = parse(bytes(scanner.buffer[:end]))
                json.dumps(request, ensure_ascii=False, allow_nan=False).encode("utf-8")  # what it echoes must be JSON
        except IpcError as e:
            json.dumps(e.to_wire(), allow_nan=False)
        yield


def words(inputs: Inputs) -> Iterator[None]:
    """Plain words: a command or none, never an exception."""
    starts = ("send claude ", "tell everyone ", "register as ", "rename me ", "check", "start auto checking every ", "share ")
    while True:
        text = inputs.rng.choice(starts) + inputs.text() + inputs.rng.choice((" ", ": ", "'", '"', "\n")) + inputs.text()
        parse_words(text[:3000], known=("claude", "fred"))
        yield


def config(inputs: Inputs) -> Iterator[None]:
    """config.toml and the environment: settings or a SettingsError that names where."""
    good = b'port = 9876\nshared_secret = "x"\nrate_limit = 10.5\n[instances.fred]\nrate_limit = 5\n'
    with _home() as home:
        while True:
            (home / "config.toml").write_bytes(inputs.spoil(good))
            env = {"IPC_HOME": str(home)}
            if inputs.rng.random() < 0.5:
                name = inputs.rng.choice(("IPC_PORT", "IPC_LEASE", "IPC_RATE_LIMIT", "IPC_DURABILITY", "IPC_LOG_LEVEL"))
                env[name] = inputs.text()
            with contextlib.suppress(SettingsError):
                Settings.load(env=env).public()
            yield


def arguments(inputs: Inputs) -> Iterator[None]:
    """The command line's parser: options, or its exit with status 0 or 2."""
    flags = ("--json", "--as", "--wait", "--limit", "--data", "--id", "--file", "--", "-", "-x", "--ttl")
    while True:
        rng = inputs.rng
        words = [rng.choice((rng.choice(flags), inputs.text(), "claude")) for _ in range(rng.randrange(6))]
        out = io.StringIO()
        try:
            with contextlib.redirect_stderr(out), contextlib.redirect_stdout(out):
                parser_of(rng.choice(list(COMMANDS))).parse_args(words)
        except SystemExit as e:
            if e.code not in (0, 2):
                raise Found(f"{words!r:.500}: exit {e.code}") from e
        if "\x1b" in out.getvalue():
            raise Found(f"{words!r:.500} steers the terminal")
        yield


def old_databases(inputs: Inputs) -> Iterator[None]:
    """Databases of the older system, spoiled: import requests, refused rows, or an IpcError."""
    with _home() as home:
        good = _old_database(home / "good.db")
        path = home / "old.db"
        while True:
            path.unlink(missing_ok=True)
            if inputs.rng.random() < 0.4:
                path.write_bytes(inputs.spoil(good))
            else:
                path.write_bytes(good)
                with contextlib.closing(sqlite3.connect(path)) as db, db:
                    row = [inputs.value() for _ in range(6)]
                    with contextlib.suppress(sqlite3.Error, OverflowError, UnicodeEncodeError):
                        sql = "INSERT INTO messages (from_id, to_id, content, timestamp, data, read_flag) VALUES (?,?,?,?,?,?)"
                        db.execute(sql, [v if isinstance(v, (int, float, str, bytes)) else str(v) for v in row])
            with contextlib.suppress(IpcError):
                for _row, request in import_mail._read(path, import_mail.Report()):
                    json.dumps(request)
            yield


def _old_database(path: Path) -> bytes:
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute("CREATE TABLE messages (id INTEGER PRIMARY KEY, from_id, to_id, content, timestamp, data, read_flag)")
        for i in range(3):
            row = ("fred", "claude", f"text {i}", "2026-01-01T00:00:00", '{"a": 1}', 0)
            sql = "INSERT INTO messages (from_id, to_id, content, timestamp, data, read_flag) VALUES (?,?,?,?,?,?)"
            db.execute(sql, row)
    return path.read_bytes()


def backups(inputs: Inputs) -> Iterator[None]:
    """Backup files, spoiled or built to break out: restored, or a BackupError; nothing beside the data folder."""
    with _home() as home:
        outside = home / "outside"
        outside.mkdir()
        names = (
            "ipc.db",
            "manifest.json",
            "../outside/x",
            "sessions/../../outside/x",
            "/x",
            "large-messages/a.md",
            "sessions/..",
        )
        while True:
            raw = io.BytesIO()
            with tarfile.open(fileobj=raw, mode="w") as tar:
                for _ in range(inputs.rng.randrange(4)):
                    member = tarfile.TarInfo(
                        inputs.rng.choice((*names, inputs.text().encode("utf-8", "replace").decode()[:90]))
                    )
                    content = inputs.packed(inputs.value())
                    member.size = len(content)
                    member.type = inputs.rng.choice((tarfile.REGTYPE, tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.DIRTYPE))
                    with contextlib.suppress(ValueError, UnicodeError):
                        tar.addfile(member, io.BytesIO(content))
            (home / "b.tar").write_bytes(inputs.spoil(raw.getvalue()))
            with contextlib.suppress(BackupError):
                restore(Settings.load(env={"IPC_HOME": str(home / "new")}), home / "b.tar")
            if list(outside.iterdir()):
                raise Found("a backup wrote beside the data folder")
            yield


def rendering(inputs: Inputs) -> Iterator[None]:
    """Mail as a model and a terminal see it: nothing steers, nothing hides, no text closes its fence."""
    while True:
        content = inputs.text().encode("utf-8", "replace").decode()
        shown = visible(content)
        if any((ord(c) < 32 and c not in "\t\n") or 0x7F <= ord(c) < 0xA0 or c in "\u202e\ufeff\U000e0041" for c in shown):
            raise Found(f"{content!r} is shown as {shown!r}")
        data = inputs.value()
        try:
            data = json.loads(json.dumps(data, allow_nan=False).encode("utf-8", "replace"))
        except (TypeError, ValueError):
            data = None
        mail = {"id": "1", "from": "fred", "timestamp": "t", "message": {"content": content, "data": data}}
        text, _ids = digest([mail], 0, to="fred", limit_chars=BUDGET_CHARS, read="Call check again", now_s=0.0, begin=True)
        opened = text.splitlines()[1][len("[mail ") :][:8]
        if text.count(f"[mail {opened}]") != 1 or text.count(f"[end {opened}]") != 1:
            raise Found(f"{content!r} breaks its fence: {text!r}")
        yield


def patterns(inputs: Inputs) -> Iterator[None]:
    """Claims' patterns: whether two overlap, the same both ways round."""
    while True:
        one, other = inputs.text()[:200], inputs.text()[:200]
        if overlap(one, other) != overlap(other, one):
            raise Found(f"{one!r} and {other!r} overlap one way only")
        yield


def _at_home(target: Callable[[Path, Inputs], Iterator[None]]) -> Target:
    """A target with a data folder of its own."""

    def fed(inputs: Inputs) -> Iterator[None]:
        with _home() as home, contextlib.closing(target(home, inputs)) as steps:  # type: ignore[type-var]
            yield from steps

    return fed


TARGETS: dict[str, tuple[Target, int]] = {
    "frames": (wire_frames, 30),
    "requests": (requests, 20),
    "tcp": (tcp, 25),
    "words": (words, 5),
    "config": (config, 4),
    "arguments": (arguments, 3),
    "old_databases": (old_databases, 1),
    "backups": (backups, 1),
    "rendering": (rendering, 6),
    "patterns": (patterns, 5),
    "streams": (_at_home(doors.streams), 5),
    "relay": (_at_home(doors.relay_lines), 5),
    "rpc": (_at_home(doors.rpc), 10),
    "tools": (_at_home(doors.tools), 2),
    "quick": (_at_home(doors.quick), 1),
    "hooks": (_at_home(doors.hooks), 2),
}
"""Name to the function and its share of a run's inputs."""
