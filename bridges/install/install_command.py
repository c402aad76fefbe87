"""``ipc install [HOST]``, ``ipc install [HOST] --check``, ``ipc uninstall [HOST]``. What is put where: bridges.known_hosts.

A file of the host's is replaced whole, after a backup beside it. A second install changes nothing. What was done is kept in
``hosts/installed.json`` of the data folder: uninstall gives back a file byte by byte if nobody changed it since.
"""

import argparse
import os
import sys
from pathlib import Path

from bridges.install import every_host, plugin_command
from bridges.install.check import check
from bridges.install.install_record import InstallRecord
from bridges.install.one_host import Change, place, take_out
from bridges.install.question import agrees
from bridges.known_hosts import allowed_tools
from bridges.known_hosts.catalogue import about
from bridges.known_hosts.host_facts import RUN, HostFacts
from bridges.known_hosts.installation import Options, plan, takes
from bridges.known_hosts.start_command import ipc_command, lasts
from bridges.terminal import complain, say
from broker.home.settings import Settings
from broker.protocol.errors import IpcError

USAGE = 2
_NEVER_RUN = "{} was never run by our tests, so nothing {} written for it"
_LASTING = "install agent-ipc where it stays, such as by uv tool install or pipx install, then ipc install again"


def run(settings: Settings, options: argparse.Namespace) -> int:
    """Exit status 0: installed, printed, or there already. With ``--check`` 1: a piece is missing or wrong."""
    if options.plugin is not None:
        return _plugin(options)
    if options.host is None:
        return _every_host(settings, options)
    record = InstallRecord(settings, options.host, options.scope)
    facts = about(options.host)
    if options.check:
        return check(plan(options.host, options.scope, record.options()), record.options())
    if facts.evidence != RUN and not options.print_only:
        complain(_NEVER_RUN.format(facts.title, "is"), f"ipc install {options.host} --print shows what to write by hand")
        return USAGE
    _refuse_what_it_lacks(options, facts)
    before = record.options()
    allow = _allow(options, facts, before.allow)
    chosen = Options(options.name, options.claims, options.rewake, allow, options.approvals)
    change = Change(record, plan(options.host, options.scope, chosen), chosen)
    if options.print_only:
        if facts.evidence != RUN:
            say(f"# {facts.title}, by its documentation: {facts.source}. Our tests never ran it.")
        change.show()
        if facts.evidence != RUN:
            say(f"# next: {facts.next_in(options.scope)}")
        return 0
    if not change:
        say(f"Already installed in {place(change.wanted)}")
        return 0
    change.make()
    say(f"Installed in {place(change.wanted)}")
    if lost := _lost(before, chosen):
        say(f"no longer: {', '.join(lost)} (ipc install {options.host} goes by the options of that command alone)")
    _warn_of_passing_place()
    say(f"tools    {allowed_tools.sentence(facts.asks_by_tool) if chosen.allow else facts.tools['asked']}")
    if chosen.approvals:
        say(f"prompts  {facts.approvals}")
    say(f"next: {facts.next_in(options.scope)}")
    return 0


_LACKS = {"claims": "no hook that can warn before edits", "rewake": "no background hook that can wake it"}


def _refuse_what_it_lacks(options: argparse.Namespace, facts: HostFacts) -> None:
    if options.approvals and not facts.approvals:
        raise IpcError("bad_request", detail=f"{options.host} has no hook that can answer its permission prompts")
    for word, lacks in _LACKS.items():
        if getattr(options, word) and not takes(options.host, options.scope, word):
            raise IpcError("bad_request", detail=f"{options.host} has {lacks}: leave out --{word}")


def _lost(before: Options, chosen: Options) -> list[str]:
    """What it was set up with, and is not any more. What is allowed stays."""
    name = [f"--name {before.name}"] if before.name and not chosen.name else []
    words = ("claims", "rewake", "approvals")
    return name + [f"--{word}" for word in words if getattr(before, word) and not getattr(chosen, word)]


def _every_host(settings: Settings, options: argparse.Namespace) -> int:
    if options.check:
        return every_host.check_all(settings, options)
    if options.name is not None:
        complain("--name is for one host alone, or sessions of several would want the same", "ipc install HOST --name NAME")
        return USAGE
    status = every_host.install(settings, options)
    if status == every_host.DONE and not options.print_only:
        _warn_of_passing_place()
    return status


def _warn_of_passing_place() -> None:
    if not lasts(ipc_command()):
        complain(f"{ipc_command()[0]} may be removed: it is in a folder that is cleaned now and then", _LASTING)


def _plugin(options: argparse.Namespace) -> int:
    given = [f"--{word}" for word in ("claims", "approvals", "rewake", "allow") if getattr(options, word)]
    if options.host or given:
        more = "names its folder alone" if options.host else f"takes no {given[0]}: its folder has tools and a skill"
        raise IpcError("bad_request", detail=f"--plugin {more}. For a host with all of that: ipc install HOST")
    return plugin_command.write(Path(os.path.abspath(os.path.expanduser(options.plugin))), options.name)


def _allow(options: argparse.Namespace, facts: HostFacts, before: bool) -> bool:
    """Whether the mail tools are allowed: as the flag says, else as the user says at a terminal, else as before."""
    if options.scope == "project" and not facts.projects_allow:
        if options.allow:
            raise IpcError("bad_request", detail=f"{facts.title} takes such rules for the user only: without --scope project")
        return False
    if options.allow is None and not options.print_only and not options.yes and sys.stdin.isatty():
        say(f"{options.host} may call the mail tools {allowed_tools.sentence(facts.asks_by_tool)}")
        return agrees("Allow that?")
    return before if options.allow is None else bool(options.allow)


def remove(settings: Settings, options: argparse.Namespace) -> int:
    """Exit status 0: nothing of ours is left in the host."""
    if options.host is None:
        return every_host.uninstall(settings, options)
    facts = about(options.host)
    if facts.evidence != RUN:
        step = f"take out what you wrote by hand; ipc install {options.host} --print shows it"
        complain(_NEVER_RUN.format(facts.title, "was"), step)
        return USAGE
    record = InstallRecord(settings, options.host, options.scope)
    wanted = plan(options.host, options.scope, record.options())
    done = take_out(record, wanted)
    say(f"{'Removed from' if done else 'Not installed in'} {place(wanted)}")
    return 0
