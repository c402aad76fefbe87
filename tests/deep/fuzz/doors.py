"""What is fed to the doors: to the port, the relay, the shared MCP server and its tools, the hooks, and by a hostile door."""

import asyncio
import contextlib
import inspect
import itertools
import json
import os
import select
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mcp.server.mcpserver.exceptions import ToolError, UnexpectedToolError
from mcp_types import CallToolResult

from bridges.hosts.hook import main
from bridges.known_hosts.catalogue import hooks_of, names
from bridges.mcp import json_rpc, sdk
from bridges.mcp.known_answers import KnownAnswers
from bridges.mcp.light_calls import LightCalls
from bridges.mcp.relay import Relay
from bridges.mcp.relay_protocol import NOTE, read_note
from bridges.mcp.relayed_agent import Agent
from bridges.mcp.relayed_session import id_in
from bridges.mcp.server import build
from bridges.mcp.session import CURRENT
from bridges.tcp.connection import TcpConnection
from bridges.tcp.json_requests import JsonUpstream
from bridges.tcp.stream import Stream
from broker.client.json_lines import QuickConnection
from broker.home.logs import Log
from broker.home.paths import Place, wire_socket
from broker.protocol.errors import IpcError
from broker.protocol.essentials import LANDINGS
from tests.deep.fuzz.direct import Direct, DirectBroker, DirectSession, Found
from tests.deep.fuzz.inputs import Inputs

_NEVER = 10_000
"""Turns of the loop after which a connection that has not ended never will."""


class FaultLog(Log):
    """A log in which an exception is a finding."""

    def exception(self, error: BaseException, event: str = "internal_error", **fields: Any) -> str:
        raise Found(f"{error!r} was logged as {event} {fields}") from error


# the port


def streams(home: Path, inputs: Inputs) -> Iterator[None]:
    """A client of the JSON door that says anything in any pieces: every reply a JSON object, and the connection ends."""
    direct = Direct(home)
    loop = asyncio.new_event_loop()
    faults: list[Any] = []
    loop.set_exception_handler(lambda _loop, context: faults.append(context.get("exception") or context))
    try:
        upstream = loop.run_until_complete(_upstream(direct))
        tokens = [direct.ask({"action": "register", "instance_id": n, "id": 1})[0]["session_token"] for n in ("fred", "claude")]
        while True:
            raw = _conversation(inputs, tokens)
            answer = loop.run_until_complete(_converse(inputs, upstream, raw))
            if faults:
                raise Found(f"{faults[0]!r} came of {raw[:3000]!r}")
            for line in answer.split(b"\n"):
                # what follows a first object that has been answered is refused right behind its answer, which has no newline
                for part in line.replace(b'}{"status"', b'}\n{"status"').splitlines():
                    _object_only(part, raw)
            yield
    finally:
        loop.close()
        direct.close()


async def _upstream(direct: Direct) -> JsonUpstream:
    return JsonUpstream(direct.settings, (broker := DirectBroker(direct)), broker, FaultLog("fuzz"))  # type: ignore[arg-type]


def _conversation(inputs: Inputs, tokens: list[str]) -> bytes:
    """Some lines, spoiled or not."""
    rng = inputs.rng
    lines = []
    for _ in range(rng.choice((1, 1, 2, 5))):
        body: Any = {
            "action": rng.choice(("send", "check", "ack", "history", "list", "subscribe", "say", "ask", "count", "release")),
            "session_token": rng.choice(tokens),
            "to_id": "fred",
            "message": {"content": rng.choice(("hi", inputs.text())), "data": inputs.value()},
            "ids": ["1", "2"],
            "text": "check",
            "id": rng.choice((1, "a", inputs.value())),
        }
        if rng.random() < 0.1:
            body = inputs.value()
        try:
            line = json.dumps(body, ensure_ascii=rng.random() < 0.5).encode("utf-8", "surrogatepass")
        except (TypeError, ValueError):
            line = b'{"action":"nonsense"}'
        if rng.random() < 0.05:
            line = rng.choice((b'{"a":' * 3000, b"[" * 70_000, b'{"n":' + b"9" * 5000 + b"}", b'{"x":"\\ud800"}', b"{\x00}"))
        lines.append(inputs.spoil(line) if rng.random() < 0.5 else line)
    return b"\n".join(lines) + rng.choice((b"", b"\n", b"\r\n", b" "))


async def _converse(inputs: Inputs, upstream: JsonUpstream, raw: bytes) -> bytes:
    """Say it in pieces and close; what was answered."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        client = socket.create_connection(listening.getsockname())
        server, _address = listening.accept()
    client.setblocking(False)
    server.setblocking(False)
    rng, loop = inputs.rng, asyncio.get_running_loop()
    Stream(loop, server, TcpConnection(upstream)).start()
    said = answer = b""
    closed = False
    with client:
        for _ in range(_NEVER):
            try:
                if raw and not said:
                    said, raw = raw[: (step := rng.choice((1, 3, 100, 4096, 1 << 20)))], raw[step:]
                if said:
                    said = said[client.send(said) :]
                elif not closed:
                    client.shutdown(socket.SHUT_WR)
                    closed = True
            except BlockingIOError:
                pass
            except OSError:  # it has closed, after telling why
                said = raw = b""
                closed = True
            await asyncio.sleep(0)
            try:
                data = client.recv(1 << 20)
            except BlockingIOError:
                continue
            except ConnectionResetError:
                return answer
            if not data:
                return answer
            answer += data
    raise Found(f"the connection never ends, after {answer[-300:]!r}")


def _object_only(line: bytes, raw: bytes) -> None:
    def constant(word: str) -> None:
        raise Found(f"{word} is no JSON, and came of {raw[:3000]!r}")

    if not isinstance(json.loads(line.decode("utf-8"), parse_constant=constant), dict):
        raise Found(f"{line!r:.300} came of {raw[:3000]!r}")


# MCP

_HELLO = {"hello": 1, "relay": "1", "project": "/p", "cwd": "/p", "name": "fred", "pid": 1, "environment": {"HOME": "/"}}
_CALL = {"jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": {"name": "send", "arguments": {"to_id": "fred"}}}


def relay_lines(home: Path, inputs: Inputs) -> Iterator[None]:
    """The relay between a host and a server that both say anything: what it answers itself is JSON, and what it says to the
    next process can be read there."""
    rng = inputs.rng
    while True:
        relay = Relay(Place(str(home)), "fred")
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        relay._server = ours
        with ours, theirs:
            for _ in range(rng.choice((1, 3, 8))):
                raw = _rpc_lines(inputs)
                for line in relay._host_lines.feed(raw):
                    relay._from_host(line)
                id_in(raw[:1024])
                theirs.sendall(_rpc_lines(inputs)[:100_000] + b"\n")
                with contextlib.suppress(ValueError, KeyError):  # a note that is none ends a relay; its server made it
                    relay._serve_server(select.POLLIN)
                if relay._server is None:
                    raise Found("the relay lost a server that is there")
            relay._exchange.replay()
            relay._to_host.clear()
            relay._fail_all("nobody is there")
            for answer in bytes(relay._to_host).splitlines():
                _object_only(answer, raw)
            yield


def _rpc_lines(inputs: Inputs) -> bytes:
    rng = inputs.rng
    lines = []
    for _ in range(rng.choice((1, 2))):
        message: dict[str, Any] = {**_CALL, "id": rng.choice((1, "a", 2.5, None, inputs.value()))}
        message["method"] = rng.choice(("initialize", "resources/subscribe", "notifications/cancelled", "ping", inputs.value()))
        message["params"] = rng.choice(({"uri": inputs.value()}, {"requestId": inputs.value()}, inputs.value()))
        if rng.random() < 0.3:
            message = {"jsonrpc": "2.0", "id": message["id"], rng.choice(("result", "error")): inputs.value()}
        try:
            line = json.dumps(message).encode()
        except (TypeError, ValueError):
            line = json.dumps(_CALL).encode()
        if rng.random() < 0.03:
            deep = rng.choice((900, 960, 990, 1100, 100_000))
            line = b'{"method":"a","id":' + b"[" * deep + b"]" * deep + b"}"
        lines.append(inputs.spoil(line) if rng.random() < 0.4 else line)
    return b"\n".join(lines) + b"\n"


def rpc(_home: Path, inputs: Inputs) -> Iterator[None]:
    """The shared server's first line and messages: a note, a message of the SDK, or a ValueError."""
    rng = inputs.rng
    while True:
        with contextlib.suppress(ValueError, KeyError, TypeError):
            hello = {**_HELLO, rng.choice(list(_HELLO)): inputs.value(), "state": rng.choice(({}, None, inputs.value()))}
            line = inputs.spoil(NOTE + json.dumps(hello).encode() + b"}")
            Agent.from_hello(read_note(line))
        if rng.random() < 0.02:
            with contextlib.suppress(ValueError, KeyError):
                read_note(NOTE + b"[" * 100_000)
        line = _rpc_lines(inputs).split(b"\n")[0]
        _object_only(json_rpc.refused(line), line)
        message = json_rpc.parsed(line)
        if message is not None:
            known = KnownAnswers({"CLAUDECODE": "1"}).answer(message)
            if known is not None:
                sdk.parse(line)  # what is answered from here is a message for the SDK, too
                _object_only(json_rpc.to_line(known), line)
            json_rpc.cancelled(message)
        yield


def tools(home: Path, inputs: Inputs) -> Iterator[None]:
    """Any arguments to any tool: a result that is JSON, or the SDK's refusal; never an internal error."""
    rng = inputs.rng
    direct = Direct(home)
    server = build()
    light = LightCalls()
    loop = asyncio.new_event_loop()
    tool_list = server._tool_manager.list_tools()
    session = DirectSession(direct, Agent(str(home), str(home), None, "relay"))
    session.log = FaultLog("fuzz")
    CURRENT.set(session)

    async def call(name: str, arguments: dict[str, Any]) -> None:
        session.begin_request(str(rng.random()))
        try:
            result = await server.call_tool(name, arguments)
        except UnexpectedToolError as e:
            raise Found(f"{e.__cause__!r} came of {name} {arguments!r:.1000}") from e
        except ToolError:
            return
        assert isinstance(result, CallToolResult)
        _object_only(result.model_dump_json(by_alias=True).encode(), repr((name, arguments)).encode("utf-8", "replace"))

    try:
        for number in itertools.count():
            if number % 100 == 0:  # its name may have been changed, and its session have ended, since
                loop.run_until_complete(session.register(f"fred{number}"))
            tool = rng.choice(tool_list)
            fields = tool.parameters.get("properties", {})
            wanted = set(tool.parameters.get("required", ()))
            arguments = {n: _argument(inputs, n) for n in fields if n in wanted or rng.random() < 0.4}
            if rng.random() < 0.05:
                arguments[inputs.text()] = inputs.value()
            line = json.dumps({**_CALL, "params": {"name": tool.name, "arguments": arguments}}, default=repr).encode()
            with contextlib.suppress(ValueError):  # what is no message never comes this far
                params = getattr(sdk.parse(line).message, "params", None) or {}
                _called_alike(light, tool, line)
                loop.run_until_complete(call(tool.name, params["arguments"]))
            yield
    finally:
        loop.run_until_complete(session.close(orderly=False))
        loop.close()
        direct.close()


def _called_alike(light: LightCalls, tool: Any, line: bytes) -> None:
    """What is called without the SDK is called with the arguments that the SDK would have called it with."""
    message = json_rpc.parsed(line)
    call = None if message is None else light.call(message)
    if message is None or call is None:
        return
    judged = tool.fn_metadata.validate_arguments(message["params"]["arguments"])
    defaults = {n: p.default for n, p in inspect.signature(tool.fn).parameters.items() if n not in call.arguments}
    if repr(sorted({**defaults, **call.arguments}.items())) != repr(sorted(judged.items())):
        raise Found(f"{call.arguments} and not {judged} came of {line!r:.1000}")


def _argument(inputs: Inputs, name: str) -> Any:
    rng = inputs.rng
    if rng.random() < 0.3:
        return inputs.value()
    if "id" in name or name in ("name", "peer", "thread", "group"):
        return rng.choice(("fred", "claude", "1", "2", inputs.text()))
    if name in ("path", "paths", "file", "file_path"):
        return rng.choice(("x.txt", "../x", "/", inputs.text()))
    return rng.choice((inputs.text(), True, 1, 5, ["1", inputs.text()], {"a": inputs.value()}, "presence", "list", "check"))


# programs that live for one request


def quick(home: Path, inputs: Inputs) -> Iterator[None]:
    """A broker that answers anything: a reply that is an object, or an IpcError; and whoever shows the error can."""
    place = Place(str(home))
    while True:
        ours, theirs = socket.socketpair()
        theirs.sendall(_reply_bytes(inputs))
        theirs.shutdown(socket.SHUT_WR)
        with theirs, QuickConnection(place, autostart=False) as door, contextlib.suppress(IpcError):
            door._socket = ours
            try:
                if not isinstance(door.request({"action": "whoami"}, timeout_s=0.005), dict):
                    raise Found("a reply that is no object")
            except IpcError as e:
                json.dumps(e.to_wire(), ensure_ascii=False, allow_nan=False)
                raise
        yield


def _reply_bytes(inputs: Inputs) -> bytes:
    rng = inputs.rng
    reply: Any = {"status": rng.choice(("ok", "error")), "code": rng.choice(("timeout", inputs.value()))}
    reply |= {"message": inputs.value(), "hint": inputs.value(), "retry_after_s": rng.choice((1, inputs.value()))}
    if rng.random() < 0.3:
        reply = inputs.value()
    try:
        raw = json.dumps(reply).encode()
    except (TypeError, ValueError):
        raw = b"[]"
    if rng.random() < 0.05:
        raw = b"[" * 60_000
    return (inputs.spoil(raw) if rng.random() < 0.5 else raw)[:100_000] + b"\n"


class Door(threading.Thread):
    """A broker at the folder's socket, over the real engine, with mail of anybody's making for whoever asks."""

    def __init__(self, home: Path) -> None:
        super().__init__(daemon=True)
        self._home = home
        self._listening = socket.socket(socket.AF_UNIX)
        path = Path(wire_socket(str(home)))
        path.parent.mkdir(mode=0o700, exist_ok=True)
        self._listening.bind(str(path))
        self._listening.listen()
        self.found: list[BaseException] = []

    def run(self) -> None:
        direct, inputs = Direct(self._home), Inputs("door")
        token = direct.ask({"action": "register", "instance_id": "writer", "id": 1})[0]["session_token"]
        body = {"action": "broadcast", "session_token": token, "id": 1}
        while True:
            with self._listening.accept()[0] as client, client.makefile("rb") as lines:
                for line in lines:
                    if line == b"end\n":
                        direct.close()
                        return
                    try:
                        text = inputs.text().encode("utf-8", "replace").decode()[:5000]
                        direct.ask({**body, "message": {"content": text}, "land": inputs.rng.choice(LANDINGS)})
                        replies = [r for r in direct.ask({"id": 1, **json.loads(line), "wait_s": 0}) if "push" not in r]
                        client.sendall(json.dumps(replies[0]).encode() + b"\n")
                    except OSError:
                        break  # the hook has gone, as they do
                    except (Found, LookupError, TypeError, ValueError) as e:
                        self.found.append(e)
                        break

    def end(self) -> None:
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(self._listening.getsockname())
            s.sendall(b"end\n")
        self.join()
        self._listening.close()


def hooks(home: Path, inputs: Inputs) -> Iterator[None]:
    """What a host describes on standard input: exit status 0, JSON or nothing on standard output, nothing unexpected logged."""
    rng = inputs.rng
    log = home / "logs" / "hooks.log"
    door = Door(home)
    saved = os.dup(0), os.dup(1), os.environ.get("IPC_HOME")
    os.environ["IPC_HOME"] = str(home)
    door.start()
    try:
        while True:
            host = rng.choice(names())
            events = (*hooks_of(host).EVENTS, "nonsense")
            arguments = [host if rng.random() < 0.98 else inputs.text(), rng.choice(events)]
            raw = _event(inputs, home)
            _run_hook(arguments, raw)
            if log.exists():
                failed = [line for line in log.read_text().splitlines() if '"hook_failed"' in line]
                if failed and "is no host that we know" not in failed[0]:
                    raise Found(f"{arguments} {raw[:1000]!r}: {failed[0]}")
                log.unlink()
            if door.found:
                raise Found(f"{arguments} {raw[:1000]!r}: {door.found[0]!r}")
            yield
    finally:
        for fd in (0, 1):
            os.dup2(int(saved[fd] or 0), fd)
            os.close(int(saved[fd] or 0))
        os.environ.pop("IPC_HOME")
        if saved[2] is not None:
            os.environ["IPC_HOME"] = saved[2]
        door.end()


def _event(inputs: Inputs, home: Path) -> bytes:
    rng = inputs.rng
    if rng.random() < 0.03:
        return b'{"session_id":"s1","a":' + b"[" * 100_000
    given = {
        "session_id": rng.choice(("s1", "s1", "s2", inputs.value())),
        "cwd": rng.choice((str(home), inputs.value())),
        "source": inputs.value(),
        "tool_name": rng.choice(("Edit", "Write", "apply_patch", inputs.value())),
        "tool_input": rng.choice(({"file_path": inputs.value()}, {"command": inputs.value()}, inputs.value())),
        "stop_hook_active": inputs.value(),
    }
    try:
        raw = json.dumps(given if rng.random() < 0.9 else inputs.value()).encode()
    except (TypeError, ValueError):
        raw = json.dumps({"session_id": "s1", "cwd": str(home)}).encode()
    return inputs.spoil(raw) if rng.random() < 0.4 else raw


def _run_hook(arguments: list[str], raw: bytes) -> None:
    with open(os.memfd_create("in"), "w+b", buffering=0) as given:
        given.write(raw)
        given.seek(0)
        with open(os.memfd_create("out"), "w+b", buffering=0) as told:
            os.dup2(given.fileno(), 0)
            os.dup2(told.fileno(), 1)
            status = main(arguments)
            told.seek(0)
            out = told.read()
    if status != 0:
        raise Found(f"{arguments}: exit {status}")
    if out.strip() and not (arguments[0] in names() and hooks_of(arguments[0]).context("", "plain") == "plain"):
        _object_only(out, raw)  # one host takes text as it is
