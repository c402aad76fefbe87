"""The folder of ours among a host's: whether it is ours, and which files in it are. Nothing else in it is ever removed."""

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

from bridges.known_hosts.installation import Installation
from bridges.known_hosts.json_entries import read
from bridges.terminal import say
from broker.protocol.errors import IpcError

_MARKS = {
    "plugin.json": '"name": "agent-ipc"',
    ".claude-plugin/plugin.json": '"name": "agent-ipc"',
    "gemini-extension.json": '"name": "agent-ipc"',
    "qwen-extension.json": '"name": "agent-ipc"',
    "extension.mjs": "ipc monitor",
    "index.js": "ipc monitor",
}
"""Files by one of which a folder is known as ours, and what is in them."""
_EVER = (
    *_MARKS,
    "mcp.json",
    ".mcp.json",
    "hooks/hooks.json",
    "monitors/monitors.json",
    "skills/agent-mail/SKILL.md",
    "AGENT-MAIL.md",
)
"""The files that some version wrote, for installations whose note does not name theirs."""


def is_ours(wanted: Installation, noted: Iterable[Path]) -> bool:
    """Whether we wrote into the folder: a file of it is noted, or is one by which we know it."""
    folder = wanted.folder
    if folder is None or not folder.is_dir():
        return False
    return any(folder in path.parents for path in noted) or any(_holds(folder / name, mark) for name, mark in _MARKS.items())


def refuse_others(wanted: Installation, noted: Iterable[Path]) -> None:
    """Raise IpcError for a folder that is somebody else's, or leads elsewhere."""
    folder = wanted.folder
    if folder is None:
        return
    inner = {folder / parent for name in (*_EVER, *wanted.files) for parent in Path(name).parents}
    for path in sorted(inner):
        if path.is_symlink():
            raise _refusal(path, "is a link")
        if path.exists() and not path.is_dir():
            raise _refusal(path, "is no folder")
    if folder.exists() and any(folder.iterdir()) and not is_ours(wanted, noted):
        raise _refusal(folder, "holds files that are not ours")


def remove(wanted: Installation, noted: list[Path], *, but: Iterable[Path] = ()) -> None:
    """Remove our files from the folder, and what folders are empty then."""
    folder = wanted.folder
    if folder is None or not folder.is_dir():
        return
    kept = set(but)
    mine = [path for path in noted if folder in path.parents] or [folder / name for name in (*_EVER, *wanted.files)]
    gone = [path for path in mine if path not in kept]
    for path in gone:
        path.unlink(missing_ok=True)
    inner = {parent for path in gone for parent in path.parents if parent == folder or folder in parent.parents}
    for one in sorted(inner, key=lambda path: len(path.parts), reverse=True):
        with contextlib.suppress(OSError):  # not empty, or gone
            os.rmdir(one)


def tell_of_rest(folder: Path) -> None:
    """Say so if files of others are left."""
    if folder.is_dir():
        say(f"{folder} stays: it holds files that are not ours")


def _holds(path: Path, mark: str) -> bool:
    try:
        return mark in read(path)
    except IpcError:
        return False


def _refusal(path: Path, why: str) -> IpcError:
    return IpcError("bad_request", detail=f"{path} {why}; it was left as it is. Move it elsewhere, then try again")
