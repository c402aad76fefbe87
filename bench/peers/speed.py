"""What a message and an agent cost: the first message, the way from send to received, memory, tokens."""

import os
import select
import statistics
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack

from bench import proc
from bench.peers import mcp_server
from bench.peers.driver import Absent
from bench.peers.installation import Installed
from bench.peers.place import ANSWER_S, Failed, Place, settled, wait_until
from bench.peers.reading import receive, receive_all
from bench.report import Results

FIRST = "From the installation to the first message"
WAY = "From send to received"
MEMORY = "Memory with ten agents"
TOKENS = "What a model reads of its tools"
NOTES = {
    FIRST: "An empty home, right after `pip install`. The seconds are those of the commands that a person types, one after the "
    "other, until another agent has the message; of files that must be written first only the number counts.",
    WAY: "Whole processes, as a shell starts them. *Shell to shell*: from the start of the sending command until the end of "
    "the receiving one, which is started as soon as the first has ended. *Push*: from the start of the sending command until a "
    "receiver that was waiting has printed the message.",
    MEMORY: "PSS of all processes that the system keeps, its own beside each agent's host included. *Connected*: ten agents' "
    "hosts run. *Waiting*: ten shells wait for mail. A system that keeps no process has 0.",
    TOKENS: "Characters of the server's instructions and of `tools/list` as JSON, or of the text that stands in their place; "
    "four characters to a token.",
}
_CHARS_A_TOKEN = 4


def first(results: Results, installed: Installed) -> None:
    with Place(installed) as place:
        began_s = time.perf_counter()
        for name in ("ann", "bob"):
            register(place, name)
        text = place.text()
        place.out(place.driver.send("ann", "bob", text), "ann")
        got = receive_all(place, "bob", 1)
        took_s = time.perf_counter() - began_s
        if place.driver.texts(text) != list(got):
            raise Failed("the first message did not arrive")
        name, key = installed.title, f"peers.first.{place.driver.title}"
        results.add(f"{key}.s", FIRST, name, "first message", "s", took_s)
        results.add(f"{key}.typed", FIRST, name, "commands and files", "", place.typed)


def register(place: Place, name: str) -> None:
    """Raises Failed."""
    command = place.driver.register(name)
    if command is not None:
        place.out(command, name)


def ways(results: Results, installed: Installed, count: int) -> None:
    """Medians of a round."""
    with Place(installed) as place:
        for name in ("ann", "bob"):
            register(place, name)
        _one_way(place)  # whatever the first of them makes is there then
        parts = [_one_way(place) for _ in range(count)]
        whole, send, take = (statistics.median(column) * 1e3 for column in zip(*parts, strict=True))
        columns = [("shell to shell", whole), ("of it: send", send), ("of it: receive", take)]
        key = f"peers.way.{place.driver.title}"
        for column, value in columns:
            results.add(f"{key}.{column}", WAY, installed.title, column, "ms", value)
        try:
            pushed_ms = statistics.median(_push(place) for _ in range(count)) * 1e3
        except Absent as reason:
            remark(results, WAY, installed.title, f"no push: {reason}")
        else:
            results.add(f"{key}.push", WAY, installed.title, "push to a waiting receiver", "ms", pushed_ms)


def remark(results: Results, table: str, title: str, text: str) -> None:
    """One more line for the reader of a table, once."""
    lines = results.notes.get(table, "").split("\n\n")
    line = f"{title}: {text}."
    if line not in lines:
        results.notes[table] = "\n\n".join([*lines, line])


def _one_way(place: Place) -> tuple[float, float, float]:
    text = place.text()
    command = place.driver.send("ann", "bob", text)
    began_s = time.perf_counter()
    place.out(command, "ann")
    sent_s = time.perf_counter()
    taken = place.run(place.driver.take("bob"), "bob")
    came_s = time.perf_counter()
    place.driver.done("bob", taken.out)
    if place.driver.texts(taken.out) != place.driver.texts(text):
        raise Failed(f"sent one message, received {len(place.driver.texts(taken.out))}")
    return came_s - began_s, sent_s - began_s, came_s - sent_s


def _push(place: Place) -> float:
    receiver = place.start(place.driver.waiting("bob"), "bob")
    settled(receiver)
    text = place.text()
    command = place.driver.send("ann", "bob", text)
    began_s = time.perf_counter()
    sender = place.start(command, "ann")
    out, came_s = until_printed(receiver, place.driver.texts(text)[0])
    sender.wait(ANSWER_S)
    place.end(sender)
    place.end(receiver)
    place.driver.done("bob", out)
    receive(place, "bob")  # what a receiver that was ended here has not acknowledged
    return came_s - began_s


def until_printed(process: "subprocess.Popen[str]", token: str) -> tuple[str, float]:
    """(what it has printed, when the token was in it). Raises Failed."""
    assert process.stdout is not None
    pipe, out, end_s = process.stdout.fileno(), b"", time.monotonic() + ANSWER_S
    while token.encode() not in out:
        ready, _, _ = select.select([pipe], [], [], max(0.0, end_s - time.monotonic()))
        piece = os.read(pipe, 65536) if ready else b""
        if not piece:
            raise Failed(f"a waiting receiver did not print the message, but {out[-200:]!r}")
        out += piece
    return out.decode(errors="replace"), time.perf_counter()


def memory(results: Results, installed: Installed, agents: int, rest_s: float) -> None:
    """After a rest without any call."""
    ways_in: list[tuple[str, Callable[[Place, str], None]]] = [("connected", _connect), ("waiting", _wait)]
    for column, join in ways_in:
        with Place(installed) as place:
            try:
                for number in range(agents):
                    join(place, f"agent{number}")
            except Absent as reason:
                remark(results, MEMORY, installed.title, f"{column}: {reason}")
            if place.of_system():
                time.sleep(rest_s)
            pids = place.of_system()
            key = f"peers.memory.{place.driver.title}.{column}"
            results.add(f"{key}.pss", MEMORY, installed.title, column, "MB", sum(map(proc.proportional_mb, pids)))
            results.add(f"{key}.count", MEMORY, installed.title, f"{column}, processes", "", len(pids))


def _connect(place: Place, name: str) -> None:
    command = place.driver.host(name)
    if place.driver.host_speaks_mcp:
        mcp_server.begin(place.start(command, name, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL))
    else:
        before = len(place.stand_ins())
        place.start_in_terminal(command, name)
        wait_until("the host to run", lambda: len(place.stand_ins()) > before)


def _wait(place: Place, name: str) -> None:
    register(place, name)
    settled(place.start(place.driver.waiting(name), name))


def tokens(results: Results, installed: Installed) -> None:
    with Place(installed) as place, ExitStack() as stack:
        try:
            if place.driver.host_speaks_mcp:
                server = place.start(place.driver.host("ann"), "ann", stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
                stack.callback(place.end, server)
                told = mcp_server.begin(server)
                text = told.text()
            else:
                text = place.driver.told()
        except Absent as reason:
            results.skip(f"peers.tokens.{place.driver.title}", TOKENS, installed.title, f"does not have it: {reason}")
            return
        key = f"peers.tokens.{place.driver.title}"
        results.add(key, TOKENS, installed.title, "tokens", "", len(text) / _CHARS_A_TOKEN)
        if place.driver.host_speaks_mcp:
            results.add(f"{key}.tools", TOKENS, installed.title, "tools", "", len(told.tools))
