"""``ipc install --plugin DIR``: a folder with tools and skill for any program that takes a plugin's folder.

It holds no hooks, so mail arrives when the agent checks. A program that is a host of ours gets more by ``ipc install HOST``.
"""

import json
from pathlib import Path

from bridges.known_hosts import plugin_folder
from bridges.known_hosts.installation import PLUGIN, our_server
from bridges.known_hosts.json_entries import read
from bridges.terminal import say
from broker.home.files import write_private
from broker.protocol.errors import IpcError

_NEXT = "give the folder to a program that takes Agent Plugins or Claude Code's plugins; docs/hosts.md has the commands of some"


def write(folder: Path, name: str | None) -> int:
    """Exit status 0: the folder is there. Raises IpcError for one that holds something else."""
    files = {**plugin_folder.both_forms(our_server(name)), **plugin_folder.marketplaces()}
    if folder.exists() and not _is_ours(folder):
        raise IpcError("bad_request", detail=f"{folder} is not empty and not ours, so nothing was written: name a new folder")
    changed = [path for file, text in files.items() if read(path := folder / file) != text]
    for path in changed:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_private(path, files[str(path.relative_to(folder))])
    say(f"{'Wrote the plugin' if changed else 'The plugin is already there, as this version writes it:'} {folder}")
    say(f"next: {_NEXT}")
    return 0


def _is_ours(folder: Path) -> bool:
    """True for an empty folder, and for one that an earlier run wrote."""
    if not folder.is_dir():
        return False
    try:
        return bool(json.loads(read(folder / "plugin.json"))["name"] == PLUGIN)
    except (ValueError, RecursionError, KeyError, TypeError):
        return not any(folder.iterdir())
