"""What the SDK would answer to a host's first requests, known before the SDK is there.

The relay and the process behind it answer from here: ``initialize``, the lists of tools and resources, ``ping``. The texts
stand in ``known_answers.jsonl``, a line a method. ``python -m bridges.mcp.sdk_answers`` has the SDK write them, and a test
compares.

Only an ordinary request of a host that shook hands is answered. What differs in anything (a malformed field, the later
protocol, which has no handshake) is the SDK's to judge.
"""

from __future__ import annotations

import os

from bridges.known_hosts.catalogue import of_client
from broker.protocol import plain_json as json
from broker.version import VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

FILE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "known_answers.jsonl")
METHOD_NOT_FOUND = -32601
_ENVELOPE = "io.modelcontextprotocol/protocolVersion"
"""The key in ``_meta`` by which a request is one of the later protocol."""
_CLIENT = "io.modelcontextprotocol/clientInfo"
_CLAUDE_CODE = "claude-code"
_SHAKE_HANDS = (_CLAUDE_CODE, "copilot-cli")
"""Clients that ask ``server/discover`` first, and say ``initialize`` after a refusal."""
_FREE = ("experimental", "extensions")
"""Capabilities of clients that hold objects with anything inside."""
_TYPED = ("sampling", "elicitation", "roots", "tasks")
"""Those whose inside has types. All others may be anything."""
_LISTS = ("tools/list", "resources/list", "resources/templates/list")


def known(method: str) -> Any:
    """The result of a method, read from the file."""
    with open(FILE, "rb") as f:
        start = b'{"method":' + json.dumps(method).encode() + b","
        return next(json.loads(line)["result"] for line in f if line.startswith(start))


class KnownAnswers:
    """The answers that one host gets from here. It is shown every message of the host, in order."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._later_protocol: bool | None = None
        self.shaken = False
        """The host has shaken hands, and had its answer from here."""

    def answer(self, message: dict[str, Any]) -> dict[str, Any] | None:
        """The answer to a request; None if the SDK must see it, or if it is none."""
        method, number = message.get("method"), message.get("id")
        if not _is_request(message):
            return None
        if method == "server/discover" and shakes_hands(message, self._environment):
            return refusal(number)
        params = message.get("params", {})
        later = method != "initialize" and _is_later(params)
        if self._later_protocol is None:
            self._later_protocol = later
        if self._later_protocol or later or not isinstance(params, dict):
            return None
        result = self._result(str(method), params)
        return None if result is None else {"jsonrpc": "2.0", "id": number, "result": result}

    def _result(self, method: str, params: dict[str, Any]) -> Any:
        if not ordinary_meta(params):
            return None
        if method == "initialize":
            return self._handshake(params)
        if method == "ping" and params.keys() <= {"_meta"}:
            return {}
        ordinary = params.keys() <= {"_meta", "cursor"} and isinstance(params.get("cursor", ""), str)
        return known(method) if self.shaken and ordinary and method in _LISTS else None

    def _handshake(self, params: dict[str, Any]) -> Any:
        version, client, can = params.get("protocolVersion"), params.get("clientInfo"), params.get("capabilities")
        if not isinstance(version, str) or not _is_ordinary_client(client) or not _are_ordinary_capabilities(can):
            self.shaken = False
            return None
        found = known("initialize")
        self.shaken = True
        server = {**found["result"]["serverInfo"], "version": VERSION}
        chosen = version if version in found["versions"] else found["versions"][-1]
        offered = dict(found["result"]["capabilities"])
        if of_client(str(params["clientInfo"]["name"])):  # its hooks bring mail; opencode's tools for resources cost 373 tokens
            offered.pop("resources", None)
        return {**found["result"], "capabilities": offered, "protocolVersion": chosen, "serverInfo": server}


def shakes_hands(message: Mapping[str, Any], environment: Mapping[str, str]) -> bool:
    """True if a request comes from a client whose ``server/discover`` is better refused.

    An answer would choose a protocol that can't carry channel messages, and Claude Code would register no channel. Copilot CLI
    waits for it for a moment only. On the same connection it then says ``initialize``, which that protocol does not know, and
    the session has no tools: seen where the service had to start first. Every other client is served as it asks.
    """
    named = (client_of(message) or "").lower().startswith(_SHAKE_HANDS)
    return named or any(name == "CLAUDECODE" or name.startswith("CLAUDE_CODE_") for name in environment)


def refusal(number: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": number, "error": {"code": METHOD_NOT_FOUND, "message": "Method not found"}}


def client_of(message: Mapping[str, Any]) -> str | None:
    """The client's name, if a request tells it: ``initialize`` does, and each request of the later protocol."""
    params = message.get("params")
    if not isinstance(params, dict):
        return None
    meta = params.get("_meta")
    info = params.get("clientInfo") if message.get("method") == "initialize" else None
    client = info or (meta.get(_CLIENT) if isinstance(meta, dict) else None)
    return str(client.get("name", "")) if isinstance(client, dict) else None


def ordinary_meta(params: dict[str, Any]) -> bool:
    """True if ``_meta`` is absent or what every version of the protocol takes."""
    meta = params.get("_meta", {})
    return isinstance(meta, dict) and _ENVELOPE not in meta and _is_id(meta.get("progressToken", 0))


def _is_request(message: dict[str, Any]) -> bool:
    well_formed = message.get("jsonrpc") == "2.0" and message.keys() <= {"jsonrpc", "id", "method", "params"}
    return well_formed and isinstance(message.get("method"), str) and _is_id(message.get("id"))


def _is_id(number: Any) -> bool:
    return isinstance(number, (str, int)) and not isinstance(number, bool)


def _is_later(params: Any) -> bool:
    meta = params.get("_meta") if isinstance(params, dict) else None
    return isinstance(meta, dict) and _ENVELOPE in meta


def _is_ordinary_client(client: Any) -> bool:
    if not isinstance(client, dict) or not client.keys() >= {"name", "version"}:
        return False
    rest = {name: value for name, value in client.items() if name != "icons"}
    return all(isinstance(value, str) for value in rest.values()) and _are_ordinary_icons(client.get("icons", []))


def _are_ordinary_icons(icons: Any) -> bool:
    def texts(one: Any) -> bool:
        sizes = one.get("sizes", [])
        rest = [one["src"], one.get("mimeType", "")]
        return one.keys() <= {"src", "mimeType", "sizes"} and isinstance(sizes, list) and all(map(_is_text, [*rest, *sizes]))

    return isinstance(icons, list) and all(isinstance(one, dict) and "src" in one and texts(one) for one in icons)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _are_ordinary_capabilities(can: Any) -> bool:
    """True if each capability with a known inside is a tree of objects, or ``roots`` with its one switch."""
    if not isinstance(can, dict):
        return False
    switch = isinstance(can.get("roots"), dict) and isinstance(can["roots"].get("listChanged"), bool)
    rest = {**can, "roots": {}} if switch and len(can["roots"]) == 1 else can
    free = [rest[name] for name in _FREE if name in rest]
    ordinary = all(isinstance(one, dict) and all(isinstance(part, dict) for part in one.values()) for one in free)
    return ordinary and all(_is_tree(rest[name]) for name in _TYPED if name in rest)


def _is_tree(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_is_tree, value.values()))
