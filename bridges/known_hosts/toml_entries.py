"""Our server in Codex CLI's ``config.toml``: the table ``[mcp_servers.ipc]``, added at the end and taken out again.

tomlkit reads and writes it, so comments, order and every other table stay byte for byte.
"""

import re
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit import TOMLDocument
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import InlineTable, Table

from bridges.known_hosts.json_entries import is_our_server, not_ours
from broker.protocol.errors import IpcError

_SECTION, _NAME = "mcp_servers", "ipc"
_MARK = "of agent-ipc: ipc install codex writes this table, ipc uninstall codex removes it"
_BLOCK = re.compile(r"\n?# >>> agent-ipc >>>\n.*?# <<< agent-ipc <<<\n", re.DOTALL)
"""What versions before 0.4 put around the table."""
_EMPTIED = "emptied by agent-ipc"
_HEADER = re.compile(rf"(?:(?<=\n)\r?\n)?[^\n]*\n# {_EMPTIED}\r?\n")
"""The header of a table with nothing of its own in it, and the blank line before."""


def with_server(text: str, path: Path, entry: dict[str, Any]) -> str:
    """The configuration with our server; the same text if it is there already. Raises IpcError."""
    wanted = {key: value for key, value in entry.items() if value}
    known = _server(_parsed(text, path))
    if known == wanted:
        return text
    if known is not None and not is_our_server(known) and not _BLOCK.search(text):
        raise IpcError("bad_request", detail=not_ours(path))
    kept = without_server(text, path)
    ends = "\r\n" if "\r\n" in text else "\n"
    gap = "" if not kept else ends if kept.endswith("\n") else 2 * ends
    after = kept + gap + _table(wanted).replace("\n", ends)
    try:
        found = _server(tomlkit.parse(after))
    except TOMLKitError:
        found = None
    if found != wanted:
        raise IpcError(
            "bad_request", detail=f"{path} defines {_SECTION}.{_NAME} in a way that can't be replaced; edit it by hand"
        )
    return after


def without_server(text: str, path: Path) -> str:
    """The configuration without our server; the same text if it is not there. Raises IpcError."""
    if _BLOCK.search(text):
        return _BLOCK.sub("", text, count=1)
    document = _parsed(text, path)
    server = _server(document)
    if not is_our_server(server):
        return text
    table = document[_SECTION][_NAME]
    if not isinstance(table, Table) or table.is_super_table():
        return text  # with_server says so
    behind = _behind(table)
    table.value.body[:] = [(None, tomlkit.comment(_EMPTIED)), *behind]
    return _HEADER.sub("", document.as_string(), count=1)


def _behind(table: Table) -> list[Any]:
    """Comments and blank lines behind the table's last entry. They belong to what follows, so they stay."""
    body = table.value.body
    last = max((number for number, (key, _item) in enumerate(body) if key is not None), default=-1)
    inner = body[last][1] if last >= 0 else None
    return [*(_behind(inner) if isinstance(inner, Table) else []), *body[last + 1 :]]


def _parsed(text: str, path: Path) -> TOMLDocument:
    try:
        return tomlkit.parse(text)
    except (TOMLKitError, RecursionError) as e:
        raise IpcError("bad_request", detail=f"{path} is not valid TOML ({e}); it was left as it is") from None


def _server(document: TOMLDocument) -> Any:
    servers = document.unwrap().get(_SECTION)
    return servers.get(_NAME) if isinstance(servers, dict) else None


def _table(entry: dict[str, Any]) -> str:
    """The text of our table, one line for each value."""
    table = tomlkit.table()
    table.add(tomlkit.comment(_MARK))
    for key, value in entry.items():
        table.add(key, _inline(value) if isinstance(value, dict) else value)
    return tomlkit.document().append(_SECTION, tomlkit.table(is_super_table=True).append(_NAME, table)).as_string()


def _inline(values: dict[str, Any]) -> InlineTable:
    table = tomlkit.inline_table()
    for key, value in values.items():
        table.append(key, _inline(value) if isinstance(value, dict) else value)
    return table
