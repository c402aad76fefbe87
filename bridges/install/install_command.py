"""``ipc install HOST``, ``ipc install HOST --check``, ``ipc uninstall HOST``. What is put where: bridges.known_hosts.

A file of the host's is replaced whole, after a backup beside it. A second install changes nothing. What was done is kept in
``hosts/installed.json`` of the data folder: uninstall gives back a file byte by byte if nobody changed it since.
"""

import argparse
import os
import shutil
import sys
from pathlib import Path

from bridges.install import plugin_command
from bridges.install.check import check
from bridges.install.install_record import InstallRecord, replace
from bridges.known_hosts import allowed_tools
from bridges.known_hosts.catalogue import about, names
from bridges.known_hosts.installation import Installation, Options, plan
from bridges.known_hosts.json_entries import read
from bridges.known_hosts.start_command import ipc_command, lasts
from bridges.terminal import complain, say
from broker.home.files import write_private
from broker.home.settings import Settings
from broker.protocol.errors import IpcError


def run(settings: Settings, options: argparse.Namespace) -> int:
    """Exit status 0: installed, printed, or there already. With ``--check`` 1: a piece is missing or wrong."""
    if options.plugin is not None:
        return _plugin(options)
    if options.host is None:
        return _check_all(settings, options)
    record = InstallRecord(settings, options.host, options.scope)
    if options.check:
        return check(plan(options.host, options.scope, record.options()), record.options())
    allow = _allow(options, record.options().allow)
    facts = about(options.host)
    if options.approvals and not facts.approvals:
        raise IpcError("bad_request", detail=f"{options.host} has no hook that can answer its permission prompts")
    chosen = Options(options.name, options.claims, options.rewake, allow, options.approvals)
    wanted = plan(options.host, options.scope, chosen)
    if options.print_only:
        _show(wanted)
        return 0
    changes = [
        (edit, text, after)
        for edit in [*wanted.retired, *wanted.edits]
        if (text := read(edit.path)) != (after := edit.put(text))
    ]
    files = [path for path, text in _files(wanted) if read(path) != text]
    if not changes and not files:
        say(f"Already installed in {_place(wanted)}")
        return 0
    record.begin(chosen)
    for path, text in _files(wanted):
        record.folders_of(path.parent)
        write_private(path, text)
    _remove_strangers(wanted)
    for edit, text, after in changes:
        record.folders_of(edit.path.parent)
        record.edited(edit.path, text, after, replace(edit.path, text, after))
    record.save()
    say(f"Installed in {_place(wanted)}")
    if not lasts(ipc_command()):
        complain(f"{ipc_command()[0]} may be removed: it is in a folder that is cleaned now and then", _LASTING)
    say(f"tools    {allowed_tools.sentence() if chosen.allow else facts.tools['asked']}")
    if chosen.approvals:
        say(f"prompts  {facts.approvals}")
    say(f"next: {facts.next}")
    return 0


def _plugin(options: argparse.Namespace) -> int:
    given = [f"--{word}" for word in ("claims", "approvals", "rewake", "allow") if getattr(options, word)]
    if options.host or given:
        more = "names its folder alone" if options.host else f"takes no {given[0]}: its folder has tools and a skill"
        raise IpcError("bad_request", detail=f"--plugin {more}. For a host with all of that: ipc install HOST")
    return plugin_command.write(Path(os.path.abspath(os.path.expanduser(options.plugin))), options.name)


_LASTING = "install agent-ipc where it stays, such as by uv tool install or pipx install, then ipc install again"


def _allow(options: argparse.Namespace, before: bool) -> bool:
    """Whether the mail tools are allowed: as the flag says, else as the user says at a terminal, else as before."""
    if _is_for_user_only(options):
        if options.allow:
            raise IpcError("bad_request", detail="Gemini CLI takes such rules for the user only: without --scope project")
        return False
    if options.allow is None and not options.print_only and sys.stdin.isatty():
        say(f"{options.host} may call the mail tools {allowed_tools.sentence()}")
        try:
            return str(input("Allow that? [Y/n] ")).strip().lower() in ("", "y", "yes")
        except EOFError:
            return False
    return before if options.allow is None else bool(options.allow)


def _is_for_user_only(options: argparse.Namespace) -> bool:
    return bool(options.host == "gemini" and options.scope == "project")


def remove(settings: Settings, options: argparse.Namespace) -> int:
    """Exit status 0: nothing of ours is left in the host."""
    record = InstallRecord(settings, options.host, options.scope)
    wanted = plan(options.host, options.scope, record.options())
    found = [edit for edit in wanted.edits if (text := read(edit.path)) != edit.take(text)]
    there = wanted.folder is not None and wanted.folder.exists()
    for edit in wanted.edits:
        record.restore(edit)
    for edit in wanted.retired:
        if (after := edit.put(text := read(edit.path))) != text:
            replace(edit.path, text, after)
    if wanted.folder is not None and there:
        shutil.rmtree(wanted.folder)
    record.forget()
    say(f"Removed from {_place(wanted)}" if found or there else f"Not installed in {_place(wanted)}")
    return 0


def _check_all(settings: Settings, options: argparse.Namespace) -> int:
    """Check every host that has something of ours. Exit status 1 if one is not well, or if there is none."""
    if not options.check:
        raise IpcError("bad_request", detail=f"name a host: {', '.join(names())}")
    records = [InstallRecord(settings, host, options.scope) for host in names()]
    wanted = [plan(host, options.scope, record.options()) for host, record in zip(names(), records, strict=True)]
    there = [one for one in wanted if _is_there(one)]
    if not there:
        complain(f"no host has anything of ours ({options.scope})", "ipc install claude")
        return 1
    return max([check(one, r.options()) for one, r in zip(wanted, records, strict=True) if one in there])


def installed(settings: Settings, scope: str) -> list[Installation]:
    """The installation of each host that has something of ours, with the options it was made with."""
    return [
        wanted for host in names() if _is_there(wanted := plan(host, scope, InstallRecord(settings, host, scope).options()))
    ]


def _is_there(wanted: Installation) -> bool:
    if wanted.folder is not None and wanted.folder.exists():
        return True
    return any(edit.take(text := read(edit.path)) != text for edit in wanted.edits)


def _files(wanted: Installation) -> list[tuple[Path, str]]:
    return [(wanted.folder / name, text) for name, text in wanted.files.items()] if wanted.folder else []


def _place(wanted: Installation) -> str:
    edited = [str(e.path) for e in wanted.edits if wanted.folder is None or e.path.exists()]
    return " and ".join([str(wanted.folder), *edited] if wanted.folder else edited)


def _show(wanted: Installation) -> None:
    """Print what would be written, file by file."""
    for path, text in _files(wanted):
        say(f"# {path}")
        say(text.rstrip())
    for edit in [*wanted.retired, *wanted.edits]:
        text = read(edit.path)
        if (after := edit.put(text)) != text:
            say(f"# {edit.path}")
            say(after.rstrip())


def _remove_strangers(wanted: Installation) -> None:
    """Remove files of an earlier version from our own folder. The host would still load them."""
    assert wanted.folder is None or wanted.folder.name == "agent-ipc"
    for path in [p for p in wanted.folder.rglob("*") if p.is_file()] if wanted.folder else []:
        if wanted.folder and str(path.relative_to(wanted.folder)) not in wanted.files:
            path.unlink()
