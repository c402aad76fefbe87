"""Agents that write and read at random, one thread each, through one door each. What they do goes into the history."""

import contextlib
import json
import os
import random
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from broker.client.sync import Client, Connection, new_message_id
from broker.protocol.errors import IpcError
from tests.deep.faults.history import EVERYONE, History
from tests.fenced import mail_in

PATIENCE_S = 20.0
"""How long a send is tried again before its outcome counts as unknown; far below the time that ids are remembered."""
_RETRY_S = 0.02
_LARGE = "All of this text is checked against its file. " * 300


class Down(Exception):
    """The door gave no answer: what was asked may have happened or not."""


class Door:
    """One way to the mail. ``ask`` returns a reply, also an error, or raises Down."""

    explicit_ack = True
    same_id = True
    """A send can be made again with its id."""

    def ask(self, body: dict[str, Any]) -> dict[str, Any]:
        raise NotImplementedError

    def close(self) -> None:
        """Let go of what is open."""


class ClientDoor(Door):
    """The Python client, over the Unix socket or ZeroMQ, which retries by itself and starts the service where there is none."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def ask(self, body: dict[str, Any]) -> dict[str, Any]:
        try:
            fields = {k: v for k, v in body.items() if k != "action"}
            return self._client.request(body["action"], timeout_s=PATIENCE_S, **fields)
        except IpcError as e:
            if e.code in ("timeout", "unavailable"):
                raise Down(str(e)) from None
            return {**e.to_wire(), **e.data}

    def close(self) -> None:
        self._client.close()


class LineDoor(Door):
    """A lasting TCP connection, a JSON object a line; opened anew when it breaks."""

    def __init__(self, port: Callable[[], int], token: str) -> None:
        self._port, self._token = port, token
        self._file: Any = None

    def ask(self, body: dict[str, Any]) -> dict[str, Any]:
        try:
            if self._file is None:
                with socket.create_connection(("127.0.0.1", self._port()), 5.0) as s:
                    self._file = s.makefile("rwb")
            self._file.write(json.dumps({**body, "session_token": self._token}).encode() + b"\n")
            self._file.flush()
            line = self._file.readline()
            if not line.endswith(b"\n"):
                raise ConnectionResetError("the line broke off")
            reply: dict[str, Any] = json.loads(line)
        except (OSError, OverflowError) as e:
            self.close()
            raise Down(str(e)) from None
        if reply.get("code") == "internal":
            raise Down("internal")
        return reply

    def close(self) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.close()
            self._file = None


class OneShotDoor(Door):
    """The legacy form: connect, one object, one recv, close. The door acknowledges a check when we close."""

    explicit_ack = False

    def __init__(self, port: Callable[[], int], token: str) -> None:
        self._port, self._token = port, token

    def ask(self, body: dict[str, Any]) -> dict[str, Any]:
        try:
            with socket.create_connection(("127.0.0.1", self._port()), 5.0) as s:
                s.settimeout(25.0)
                s.sendall(json.dumps({**body, "session_token": self._token}).encode())
                raw = s.recv(65536)
                reply: dict[str, Any] = json.loads(raw)
        except (OSError, OverflowError, ValueError) as e:
            raise Down(str(e)) from None
        return reply


class CliDoor(Door):
    """``ipc`` as a shell would run it: a process a command."""

    explicit_ack = False

    def __init__(self, environment: dict[str, str], name: str) -> None:
        self._environment, self._name = environment, name

    def ask(self, body: dict[str, Any]) -> dict[str, Any]:
        if body["action"] in ("send", "broadcast"):
            to = [body["to_id"]] if body["action"] == "send" else []
            arguments = [body["action"], "--id", body["message_id"], *to, "-"]
            text = body["message"]["content"]
        else:
            arguments, text = ["check"], ""
        command = [sys.executable, "-m", "bridges.cli", *arguments, "--as", self._name, "--json"]
        done = subprocess.run(command, input=text, capture_output=True, text=True, env=self._environment, timeout=60)
        if done.returncode in (2, 4):
            raise AssertionError(f"ipc {arguments}: {done.stderr}")
        if not done.stdout:
            raise Down(done.stderr)
        reply = json.loads(done.stdout)
        if body["action"] != "check":
            return {"status": "ok", **reply}
        # printed is delivered; acknowledged only if the command then ended well
        messages = [{**m, "message": {"content": m["content"], "data": m["data"]}} for m in reply]
        return {"status": "ok", "messages": messages, "acked": done.returncode == 0}


class McpDoor(Door):
    """``ipc mcp`` as a host runs it: a process, JSON-RPC a line. It acknowledges what it has shown by itself."""

    explicit_ack = False
    same_id = False

    def __init__(self, environment: dict[str, str], name: str) -> None:
        self._environment = {**environment, "CLAUDE_PROJECT_DIR": environment["IPC_HOME"]}
        self._name = name
        self._process: subprocess.Popen[bytes] | None = None
        self._number = 0

    def ask(self, body: dict[str, Any]) -> dict[str, Any]:
        arguments: dict[str, Any] = {}
        if body["action"] in ("send", "broadcast"):
            arguments = {k: body[k] for k in ("to_id",) if k in body} | {"content": body["message"]["content"]}
        try:
            if self._process is None:
                self._start()
            found = self._call("tools/call", {"name": body["action"], "arguments": arguments})
        except (OSError, ValueError) as e:
            self.close()
            raise Down(str(e)) from None
        if found.get("isError"):
            raise Down(str(found))
        if body["action"] != "check":
            return {"status": "ok", **found["structuredContent"]}
        messages = []
        for m in mail_in(found["content"][0]["text"]):
            file = {"path": m["file"]} if m["file"] else None
            message, again = {"content": m["content"]}, m["redelivered"]
            messages.append({"id": m["id"], "from": m["sender"], "message": message, "file": file, "redelivered": again})
        return {"status": "ok", "messages": messages}

    def _start(self) -> None:
        command = [sys.executable, "-m", "bridges.mcp"]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, env=self._environment)
        client = {"name": "faults", "version": "0"}
        self._call("initialize", {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client})
        self._write({"jsonrpc": "2.0", "method": "notifications/initialized"})
        self._call("tools/call", {"name": "register", "arguments": {"instance_id": self._name}})

    def _write(self, message: dict[str, Any]) -> None:
        assert self._process is not None and self._process.stdin is not None
        self._process.stdin.write(json.dumps(message).encode() + b"\n")
        self._process.stdin.flush()

    def _call(self, method: str, parameters: dict[str, Any]) -> dict[str, Any]:
        self._number += 1
        number = self._number
        self._write({"jsonrpc": "2.0", "id": number, "method": method, "params": parameters})
        assert self._process is not None and self._process.stdout is not None
        while line := self._process.stdout.readline():
            answer = json.loads(line)
            if answer.get("id") == number and "method" not in answer:
                if "result" not in answer:
                    raise ValueError(str(answer))
                result: dict[str, Any] = answer["result"]
                return result
        raise ConnectionResetError("the bridge is gone")

    def close(self) -> None:
        if self._process is not None:
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    with contextlib.suppress(OSError):
                        pipe.close()
            self._process.kill()
            self._process.wait()
            self._process = None


class Agent(threading.Thread):
    """Sends, broadcasts, checks and acknowledges until told to stop; then empties its mailbox."""

    def __init__(self, name: str, door: Door, history: History, seed: str, pause_s: float = 0.0) -> None:
        super().__init__(name=name, daemon=True)
        self.door, self.history, self.pause_s = door, history, pause_s
        self.random = random.Random(seed)  # noqa: S311 (a seeded test)
        self.stopping = threading.Event()
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            while not self.stopping.wait(self.pause_s):
                if self.random.random() < 0.55:
                    self.send()
                else:
                    self.check()
        except BaseException as e:  # seen by whoever joins this thread
            self.error = e

    def send(self) -> None:
        others = [n for n in self.history.names if n != self.name]
        to = EVERYONE if self.random.random() < 0.05 else self.random.choice(others)
        padding = _LARGE if self.random.random() < 0.03 else "x" * self.random.randrange(300)
        key, text = self.history.begin(self.name, to, padding)
        body: dict[str, Any] = {"action": "send", "to_id": to, "message": {"content": text}, "message_id": new_message_id()}
        if to == EVERYONE:
            body = {k: v for k, v in body.items() if k != "to_id"} | {"action": "broadcast"}
        self.history.end(key, self._insist(body))

    def _insist(self, body: dict[str, Any]) -> str:
        """Try again with the same id until there is an answer; a refusal after a try without answer proves nothing."""
        end_s, tries = time.monotonic() + PATIENCE_S, 0
        while time.monotonic() < end_s and not (self.stopping.is_set() and tries > 50):
            tries += 1
            try:
                reply = self.door.ask(dict(body))
            except Down:
                if not self.door.same_id:
                    break  # made again it would be another message
                time.sleep(_RETRY_S)
                continue
            if reply["status"] == "ok":
                return "ok"
            if not reply.get("retryable"):
                return "refused" if tries == 1 else "unknown"
            time.sleep(_RETRY_S)
        return "unknown"

    def check(self, limit: int | None = None) -> int | None:
        """Fetch, and mostly acknowledge; how many came, None if the door gave no answer."""
        asked_ns = time.monotonic_ns()
        try:
            reply = self.door.ask({"action": "check", "limit": limit or self.random.randint(1, 50)})
        except Down:
            time.sleep(_RETRY_S)
            return None
        if reply["status"] != "ok":
            return None
        messages = reply["messages"]
        self.history.delivered(self.name, asked_ns, messages)
        ids = [m["id"] for m in messages]
        if reply.get("acked"):
            self.history.acked(self.name, ids)
        elif ids and self.door.explicit_ack and (limit or self.random.random() < 0.85):
            self.ack(ids)
        return len(messages)

    def ack(self, ids: list[str]) -> None:
        with contextlib.suppress(Down):
            reply = self.door.ask({"action": "ack", "ids": ids})
            if reply["status"] == "ok":
                self.history.acked(self.name, ids)

    def drain(self, lease_s: float, deadline_s: float = 60.0) -> None:
        """Read until nothing has come for longer than a lease lasts."""
        end_s = time.monotonic() + deadline_s
        quiet_s = time.monotonic()
        while time.monotonic() - quiet_s < lease_s * 2 + 0.5:
            if self.check(limit=1000) != 0:
                quiet_s = time.monotonic()
            else:
                time.sleep(0.05)
            if time.monotonic() > end_s:
                raise TimeoutError(f"{self.name} could not be emptied")


class Forger(threading.Thread):
    """Tries to write under others' names and with tokens that are none. Everything it writes would be forged mail."""

    def __init__(self, connection: Connection, token: str, names: list[str], seed: str) -> None:
        super().__init__(name="forger", daemon=True)
        self.connection, self.token, self.names = connection, token, names
        self.random = random.Random(seed)  # noqa: S311 (a seeded test)
        self.stopping = threading.Event()
        self.tried = 0
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            while not self.stopping.wait(0.05):
                with contextlib.suppress(IpcError):
                    self.forge()
        except BaseException as e:  # seen by whoever joins this thread
            self.error = e

    def forge(self) -> None:
        victim, to = self.random.sample(self.names, 2)
        token = self.random.choice([self.token, "", "x" * 43, os.urandom(32).hex()])
        body = {
            "action": "send",
            "from_id": victim,
            "to_id": to,
            "message": {"content": f"{victim}-{to}-1. forged"},
            "session_token": token,
        }
        reply = self.connection.request_many([body], timeout_s=PATIENCE_S)[0]
        self.tried += 1
        if reply["status"] == "ok" or reply["code"] not in ("spoofed_sender", "unauthorized"):
            raise AssertionError(f"a forged send was answered {reply}")
