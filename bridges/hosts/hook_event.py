"""What a host tells a hook: its arguments, its environment and the JSON object on standard input."""

from __future__ import annotations

import json
import os
import select

from bridges.known_hosts.catalogue import hooks_of
from broker.home import environment
from broker.home.paths import working_folder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any

_INPUT_BYTES = 32 * 1024 * 1024
"""The longest input that is kept. It holds a tool's output; the rest of a longer one is read and dropped."""
_SILENCE_S = 2.0


class HookEvent:
    """One event of one session. ``called`` is the host's name for it, ``moment`` ours: empty for one that we don't answer."""

    def __init__(
        self, home: str, host: ModuleType, event: str, name: str | None, given: dict[str, Any], raw: bytes = b""
    ) -> None:
        self.home = home
        self.host = host
        needed = getattr(host, "NEEDS", {}).get(event)
        if needed and not given.get(needed):
            event = ""  # it is not what its name says
        self.called = event
        self.moment: str = host.EVENTS.get(event, "")
        self.ends_step: bool = event == host.STEP
        self.wanted = name or environment.own_name()
        self.given = given
        for ours, theirs in host.FIELDS.items():
            if theirs in given:
                given.setdefault(ours, given[theirs])
        self.raw = raw
        self.session = self.text("session_id") or os.environ.get(environment.HOST_SESSIONS.get(host.NAME, ""), "")
        self.project = os.environ.get(host.PROJECT_VARIABLE) or self.folder() or working_folder()

    def text(self, key: str) -> str:
        """A text field of the input; empty if there is none."""
        value = self.given.get(key)
        return value if isinstance(value, str) else ""

    def exactly(self, key: str) -> str:
        """The JSON text of a field of the input, as the host wrote it. Raises ValueError where there is none.

        Of two fields of one name it is the last, which is also what ``given`` has.
        """
        text, found = self.raw.decode("utf-8"), None
        scan, space = json.JSONDecoder(), json.decoder.WHITESPACE.match  # type: ignore[attr-defined]
        at = space(text, 0).end() + 1  # behind the brace
        while True:
            name, at = scan.raw_decode(text, space(text, at).end())
            began = space(text, space(text, at).end() + 1).end()  # behind the colon
            _value, at = scan.raw_decode(text, began)
            if name == self.host.FIELDS.get(key, key):
                found = text[began:at]
            at = space(text, at).end()
            if text[at : at + 1] != ",":
                break
            at += 1
        if found is None:
            raise ValueError(f"there is no {key}")
        return found

    def tools(self) -> list[str]:
        """The names of the tools that the event is about."""
        calls = self.given.get("tool_calls")
        named = [call.get("tool_name") for call in calls if isinstance(call, dict)] if isinstance(calls, list) else []
        return [name for name in (*named, self.text("tool_name")) if isinstance(name, str) and name]

    def folder(self) -> str:
        """The folder that the host names; empty if no folder can have such a name."""
        path = self.text("cwd")
        try:
            return "" if b"\0" in os.fsencode(path) else path
        except UnicodeEncodeError:  # half a surrogate pair
            return ""


def parsed(arguments: list[str]) -> tuple[ModuleType, str, str | None]:
    """``HOST EVENT [--name NAME]`` as (the host's module, the event, the name). Raises ValueError."""
    words = list(arguments)
    name = None
    if "--name" in words:
        at = words.index("--name")
        name = words[at + 1]
        del words[at : at + 2]
    if len(words) != 2:
        raise ValueError("ipc hook takes a host and an event")
    return hooks_of(words[0]), words[1], name


def read_input(host: ModuleType) -> tuple[dict[str, Any], bytes]:
    """(the JSON object on standard input, its text); both empty if there is none.

    Reads to the end of input, to the end of an object if the host leaves the pipe open, or until nothing came for 2 s.
    """
    parts, size = [], 0
    while select.select([0], [], [], _SILENCE_S)[0]:
        part = os.read(0, 1024 * 1024)
        size += len(part)
        if size <= _INPUT_BYTES:
            parts.append(part)
        whole = part.rstrip().endswith(b"}") and not select.select([0], [], [], 0)[0]
        if not part or (whole and _object(b"".join(parts))):
            break
    raw = b"".join(parts)
    return _object(raw) or (_head(raw, host.FIELDS) if size > _INPUT_BYTES else {}), raw


def _object(raw: bytes) -> dict[str, Any]:
    try:
        given = json.loads(raw)
    except (ValueError, RecursionError):
        return {}
    return given if isinstance(given, dict) else {}


def _head(raw: bytes, fields: dict[str, str]) -> dict[str, Any]:
    """The fields we need, from the beginning of an input that is too long. Hosts write them first."""
    import re

    head = raw[:65536].decode("utf-8", "replace")
    found = {}
    for key in ("session_id", "cwd", "agent_id", "tool_name", "tool_use_id"):
        match = re.search(rf'"{fields.get(key, key)}"\s*:\s*("(?:[^"\\]|\\.)*")', head)
        if match:
            found[key] = json.loads(match[1])
    return found
