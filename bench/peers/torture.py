"""The torture table: faults on purpose, and what became of the mail: lost, doubled, or refused in words.

Lost is what was answered as stored and never came. Doubled is what came again in a later reading or twice in one, but for mail
whose reader died, of which the last reading counts. A refusal is no loss: its words are given.
"""

import fcntl
import os
import random
import signal
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from bench.peers import mcp_server
from bench.peers.driver import Absent
from bench.peers.installation import Installed
from bench.peers.isolation import mount_small, unmount
from bench.peers.place import ANSWER_S, TEMPORARY, Done, Failed, Place, settled, wait_until
from bench.peers.reading import receive_all
from bench.peers.speed import register, remark
from bench.report import Results

_REPEATS = 20
_SET_PIPE_SIZE = 1031
_DISK_MIB = 64
_STOPPED_S = 1.0
_STAYS_S = 3.0


@dataclass(slots=True)
class Fate:
    """What became of the mail of one scenario."""

    stored: list[str] = field(default_factory=list)
    """Tokens whose sending was answered as done."""
    got: Counter[str] = field(default_factory=Counter)
    refused: list[str] = field(default_factory=list)
    """The words of each refusal."""
    more: dict[str, int] = field(default_factory=dict)
    """Columns of this scenario alone."""

    @property
    def lost(self) -> int:
        return sum(self.got[token] == 0 for token in set(self.stored))

    @property
    def doubled(self) -> int:
        return sum(max(0, times - 1) for times in self.got.values())

    def send(self, place: Place, sender: str, to: str, message_id: str = "", text: str = "") -> Done:
        text = text or place.text()
        done = place.run(place.driver.send(sender, to, text, message_id), sender)
        self.note(place, text, done)
        return done

    def note(self, place: Place, text: str, done: Done) -> None:
        if done.status == 0:
            self.stored += place.driver.texts(text)
        else:
            self.refused.append(done.words())


def service_killed(place: Place, sends: int) -> Fate:
    """Everything that it keeps running is killed three times, each time within a send; what has no good answer is repeated."""
    pair(place)
    with suppress(Failed):
        wait_until("the end of what does not stay", lambda: not place.kept(), _STAYS_S)
        raise Absent("it keeps no process that could be killed")
    kills = {sends // 4, sends // 2, 3 * sends // 4}
    return _killed_and_repeated(place, sends, kills, lambda _sender: place.kill(place.kept()))


def sender_killed(place: Place, sends: int) -> Fate:
    """Each sending command is killed within its work, and then repeated, with its id where there are ids."""
    pair(place)
    return _killed_and_repeated(place, sends, set(range(1, sends)), lambda sender: sender.kill())


def _killed_and_repeated(place: Place, sends: int, kills: set[int], kill: Callable[["subprocess.Popen[str]"], None]) -> Fate:
    """Send after send; in those of ``kills`` something is killed, at a moment by chance within what the last whole one took."""
    fate, usual_s = Fate(), 0.0
    chance = random.Random(place.home.name)  # noqa: S311 (when a process is killed is no secret)
    for number in range(sends):
        text, message_id = place.text(), str(number + 1) if place.driver.ids else ""
        command = place.driver.send("ann", "bob", text, message_id)
        done: Done | None = None
        if number in kills:
            sender = place.start(command, "ann")
            time.sleep(chance.uniform(0, usual_s))
            kill(sender)
            done = place.finish(sender)
        for _ in range(_REPEATS):
            if done is not None and done.status == 0:
                break
            done = place.run(command, "ann")
            usual_s = done.took_s
        assert done is not None
        fate.note(place, text, done)
    fate.got = receive_all(place, "bob")
    return fate


def sent_to_bob(place: Place, count: int) -> Fate:
    """So many messages of ann's, which wait."""
    fate = Fate()
    pair(place)
    for _ in range(count):
        fate.send(place, "ann", "bob")
    return fate


def reader_killed(place: Place, count: int) -> Fate:
    """A reading command is killed while it prints: its output is a pipe that is full. Another one reads then."""
    fate = sent_to_bob(place, count)
    reading, writing = os.pipe()
    try:
        _fill(writing)
        reader = place.start(place.driver.take("bob"), "bob", stdout=writing)
        wait_until("the reader to print", lambda: reader.poll() is not None or _is_writing(reader.pid))
        printed = reader.poll() is not None
        place.end(reader)
    finally:
        os.close(reading)
        os.close(writing)
    if printed:
        raise Failed("the reader ended before its output could be taken")
    fate.got = receive_all(place, "bob")
    return fate


def _fill(pipe: int) -> None:
    fcntl.fcntl(pipe, _SET_PIPE_SIZE, 4096)
    os.set_blocking(pipe, False)
    for size in (512, 1):
        try:
            while True:
                os.write(pipe, b"x" * size)
        except BlockingIOError:
            continue
    os.set_blocking(pipe, True)


def _is_writing(pid: int) -> bool:
    try:
        return "pipe_write" in Path(f"/proc/{pid}/wchan").read_text()
    except OSError:
        return False


def reader_gone(place: Place, count: int) -> Fate:
    """A reading command ends well, and then its agent dies before it does anything. Another one reads then."""
    fate = sent_to_bob(place, count)
    place.run(place.driver.take("bob"), "bob")
    fate.got = receive_all(place, "bob")
    return fate


def reader_killed_at_work(place: Place, count: int) -> Fate:
    """A reader that acknowledges only what it has dealt with is killed while it does. Another one reads then."""
    command = place.driver.working("bob")
    fate = sent_to_bob(place, count)
    reader = place.start(command, "bob")
    settled(reader)
    with suppress(ProcessLookupError):
        os.killpg(reader.pid, signal.SIGKILL)
    place.end(reader)
    fate.got = receive_all(place, "bob")
    return fate


def receiver_stopped(place: Place, count: int, end: signal.Signals) -> Fate:
    """A waiting receiver is stopped, mail is sent, then it goes on or is killed. A second one reads what it left."""
    fate = Fate()
    pair(place)
    receiver = place.start(place.driver.waiting("bob"), "bob")
    settled(receiver)
    os.kill(receiver.pid, signal.SIGSTOP)
    for _ in range(count):
        fate.send(place, "ann", "bob")
    os.kill(receiver.pid, end)
    out = ""
    if end == signal.SIGCONT:
        settled(receiver, _STOPPED_S)
        receiver.terminate()
        out, _err = receiver.communicate(timeout=ANSWER_S)
        place.driver.done("bob", out)
    place.end(receiver)
    fate.got = Counter(place.driver.texts(out)) + receive_all(place, "bob")
    return fate


def not_born(place: Place, count: int) -> Fate:
    """Mail to a name that nobody has taken yet; then somebody takes it."""
    fate = Fate()
    register(place, "ann")
    for _ in range(count):
        fate.send(place, "ann", "newcomer")
    if fate.stored:
        register(place, "newcomer")
        fate.got = receive_all(place, "newcomer")
    return fate


def repeated(place: Place, count: int) -> Fate:
    """Each message is sent twice while it is unread, and once after it was read, as by a script that had no answer."""
    fate = Fate()
    pair(place)
    texts = [(place.text(), str(number + 1) if place.driver.ids else "") for number in range(count)]
    for readings in (2, 1):
        for text, message_id in texts:
            for _ in range(readings):
                fate.send(place, "ann", "bob", message_id, text)
        fate.got += receive_all(place, "bob")
    return fate


def forged(place: Place, count: int, *, running: bool) -> Fate:
    """In her own folder, ann writes as bob, and reads mail that was sent to him. Lost is what bob does not find any more."""
    fate = Fate()
    if place.driver.send("ann", "cat", "x") == place.driver.send("bob", "cat", "x"):
        raise Absent("a message names no sender")
    for name in ("ann", "cat"):
        register(place, name)
    if running:
        _run_host(place, "bob")
    else:
        register(place, "bob")
    for _ in range(count):
        done = place.run(place.driver.send("bob", "cat", place.text()), "ann")
        if done.status != 0:
            fate.refused.append(done.words())
    fate.more["came as the other's"] = receive_all(place, "cat").total()
    for _ in range(count):
        fate.send(place, "cat", "bob")
    taken = place.run(place.driver.take("bob"), "ann")
    read = place.driver.texts(taken.out)
    if taken.status != 0 and not read:
        fate.refused.append(taken.words())
    fate.more["of the other's mail read"] = len(read)
    fate.got = receive_all(place, "bob")
    return fate


def _run_host(place: Place, name: str) -> None:
    """An agent whose host runs, as far as that can be had by MCP: its server has answered a first call of a tool."""
    if not place.driver.host_speaks_mcp:
        raise Absent("its agents run in hosts that can't be had here")
    server = place.start(place.driver.host(name), name, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
    mcp_server.begin(server)
    mcp_server.call(server, *place.driver.first_call)


def disk_full(place: Place, count: int) -> Fate:
    """The file system of its home is filled to the last byte, mail is sent, then there is room again."""
    fate, after = Fate(), Fate()
    pair(place)
    fate.send(place, "ann", "bob")
    filler = place.home / "filler"
    _fill_disk(filler)
    for _ in range(count):
        fate.send(place, "ann", "bob")
    filler.unlink()
    fate.more["sent again with room"] = sum(after.send(place, "ann", "bob").status == 0 for _ in range(count))
    fate.stored += after.stored
    fate.got = receive_all(place, "bob")
    return fate


def _fill_disk(path: Path) -> None:
    with open(path, "wb", buffering=0) as file:
        for size in (1 << 20, 4096, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue


def pair(place: Place) -> None:
    for name in ("ann", "bob"):
        register(place, name)


_REPEATING = (service_killed, sender_killed, repeated)
Scenario = tuple[str, str, partial[Fate]]


def scenarios(sends: int, count: int) -> list[Scenario]:
    """Title of the table, what happens in it, and the function."""
    many = max(4, sends // 10)
    stopped = partial(receiver_stopped, count=count, end=signal.SIGCONT)
    killed = partial(receiver_stopped, count=count, end=signal.SIGKILL)
    return [
        (
            "service killed",
            f"{sends} sends, one after the other. Within three of them all that the system keeps running is killed (SIGKILL). "
            "A send without a good answer is repeated.",
            partial(service_killed, sends=sends),
        ),
        ("sending command killed", _how(sender_killed, many), partial(sender_killed, sends=many)),
        ("reader killed while it prints", _how(reader_killed, count), partial(reader_killed, count=count)),
        ("reader gone after it has printed", _how(reader_gone, count), partial(reader_gone, count=count)),
        ("reader killed at work", _how(reader_killed_at_work, count), partial(reader_killed_at_work, count=count)),
        ("receiver stopped, then goes on", _how(receiver_stopped, count), stopped),
        ("receiver stopped, then killed", _how(receiver_stopped, count), killed),
        ("receiver not born yet", _how(not_born, count), partial(not_born, count=count)),
        ("repeated send", _how(repeated, count), partial(repeated, count=count)),
        ("forged sender, a name of a shell", _how(forged, count), partial(forged, count=count, running=False)),
        ("forged sender, a running agent's name", _how(forged, count), partial(forged, count=count, running=True)),
        ("disk full", _how(disk_full, count), partial(disk_full, count=count)),
    ]


def _how(function: Callable[..., Fate], count: int) -> str:
    return f"{' '.join((function.__doc__ or '').split())} Messages: {count}."


def measure(results: Results, installed: Installed, scenario: Scenario) -> None:
    """One scenario with one system, in a fresh home."""
    title, how, function = scenario
    table = f"Torture: {title}"
    results.notes.setdefault(table, how)
    if function.func is disk_full:
        with _small_disk() as root, Place(installed, root) as place:
            fate = function(place)
    else:
        with Place(installed) as place:
            fate = function(place)
    columns = {"answered as stored": len(fate.stored), "lost": fate.lost, "doubled": fate.doubled, "refused": len(fate.refused)}
    for column, value in {**columns, **fate.more}.items():
        key = f"peers.torture.{title}.{place.driver.title}.{column}"
        results.add(key, table, installed.title, column, "", value)
    if function.func in _REPEATING and not place.driver.ids:
        remark(results, table, installed.title, "does not have ids of sends, so the same text was sent again")
    for words in dict.fromkeys(fate.refused):
        remark(results, table, installed.title, f"refused with “{words}”")


@contextmanager
def _small_disk() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="pr-", dir=TEMPORARY))
    mounted = False
    try:
        mount_small(folder, _DISK_MIB)
        mounted = True
        yield folder
    finally:
        if mounted:
            unmount(folder)
        folder.rmdir()
