"""``ipc install`` and ``ipc uninstall`` without a host: all that this machine has, after one question.

What one host was set up with stays unless an option says otherwise. A host that can't be done does not hold up the others;
it is named at the end, and the exit status is 1.
"""

import argparse
import sys
from dataclasses import replace

from bridges.install.check import check
from bridges.install.found_hosts import FoundHost, found_hosts
from bridges.install.install_record import InstallRecord, installed_in_projects
from bridges.install.one_host import Change, all_of, installed, place, take_out
from bridges.install.question import agrees
from bridges.known_hosts import allowed_tools
from bridges.known_hosts.catalogue import title
from bridges.known_hosts.installation import Installation, Options, plan, takes
from bridges.terminal import complain, say, style
from broker.home.settings import Settings
from broker.protocol.errors import IpcError

DONE, FAILED, USAGE = 0, 1, 2
_BY_HAND = "our tests never ran it, so nothing is written. By hand: ipc install {} --print"
_STILL_ASKS = "ipc install --allow has them call all mail tools but share_file without asking"
_NONE_FOUND = "no agent's host was found: none of their programs is on PATH, and none of their folders is in your home"


class Failures:
    """What could not be done, by host: it is said when all others are done."""

    def __init__(self) -> None:
        self._told: list[str] = []

    def add(self, name: str, error: IpcError | OSError) -> str:
        """The error in words."""
        told = error.text if isinstance(error, IpcError) else str(error)
        self._told.append(f"{title(name)}: {told}")
        return told

    def status(self) -> int:
        for told in self._told:
            complain(f"not done: {told}")
        return FAILED if self._told else DONE


def install(settings: Settings, options: argparse.Namespace) -> int:
    """Exit status 0: all that were found are set up; 1: one is not; 2: nobody could be asked."""
    hosts = found_hosts()
    if not hosts:
        complain(_NONE_FOUND, "ipc install HOST sets one up all the same; ipc install --help names them")
        return FAILED
    asks = sys.stdin.isatty() and not options.yes and not options.print_only
    failures = Failures()
    changes = _changes(settings, options, hosts, asks, failures)
    if options.print_only or not changes:
        for change in changes:
            change.show()
        if not changes:
            say("Nothing to do")
        return failures.status()
    if any(change.chosen.allow for change in changes):
        but = all_of([change.facts.title for change in changes if not change.chosen.allow])
        who = f"They (but not {but})" if but else "They"
        whole = [change.facts.title for change in changes if change.chosen.allow and not change.facts.asks_by_tool]
        told = allowed_tools.sentence() + (f" (left out in {all_of(whole)})" if whole else "")
        say(f"{who} may call the mail tools {told}{' (else: --no-allow)' if options.allow is None else ''}")
    refused = _refusal(f"Set up {_titles([change.wanted for change in changes])}?", options, "install")
    if refused is not None:
        return refused
    for change in changes:
        try:
            change.make()
        except (IpcError, OSError) as e:
            failures.add(change.wanted.host, e)
            continue
        say(f"{change.facts.title}: installed in {place(change.wanted)}")
        say(f"  tools: {change.facts.tools['allowed' if change.chosen.allow else 'asked']}")
        say(f"  next: {change.facts.next_in(options.scope)}")
    if not any(change.chosen.allow for change in changes):
        say(_STILL_ASKS)
    return failures.status()


def _changes(
    settings: Settings, options: argparse.Namespace, hosts: list[FoundHost], asks: bool, failures: Failures
) -> list[Change]:
    """What is to be done, after a line for each host and each place."""
    changes = []
    for host in hosts:
        say(f"{style(host.facts.title, 'bold')} ({host.name}: {host.seen})")
        if not host.written:
            say(f"  {_BY_HAND.format(host.name)}")
            continue
        record = InstallRecord(settings, host.name, options.scope)
        try:
            chosen = _chosen(record, host, options, asks)
            change = Change(record, plan(host.name, options.scope, chosen), chosen)
        except (IpcError, OSError) as e:
            say(f"  can't be set up: {failures.add(host.name, e)}")
            continue
        for line in change.words() or [f"is set up already, in {place(change.wanted)}"]:
            say(f"  {line}")
        if change:
            changes.append(change)
    return changes


def _chosen(record: InstallRecord, host: FoundHost, options: argparse.Namespace, asks: bool) -> Options:
    """What this host was set up with, and what the options add where the host has such a thing."""
    before = record.options()
    allow = options.allow if options.allow is not None else before.allow if record.known else asks
    return replace(
        before,
        claims=before.claims or (options.claims and takes(host.name, options.scope, "claims")),
        rewake=before.rewake or (options.rewake and takes(host.name, options.scope, "rewake")),
        allow=allow and (options.scope == "user" or host.facts.projects_allow),
        approvals=before.approvals or (options.approvals and bool(host.facts.approvals)),
    )


def check_all(settings: Settings, options: argparse.Namespace) -> int:
    """Exit status 0: all that are set up are well; 1: one is not, or none is set up."""
    there = installed(settings, options.scope)
    worst = DONE
    for record, wanted in there:
        say(style(title(wanted.host), "bold"))
        worst = max(worst, check(wanted, record.options()))
    for host in found_hosts():
        if host.name not in {wanted.host for _, wanted in there}:
            way = f"not set up. Next: ipc install {host.name}{_scope(options)}" if host.written else _BY_HAND.format(host.name)
            say(f"{style(host.facts.title, 'bold')} ({host.seen}): {way}")
    if not there:
        complain(f"no host has anything of ours ({options.scope})", f"ipc install{_scope(options)}")
        return FAILED
    return worst


def uninstall(settings: Settings, options: argparse.Namespace) -> int:
    """Exit status 0: no host has anything of ours; 1: one still has; 2: nobody could be asked."""
    there = installed(settings, options.scope)
    for _, wanted in there:
        say(f"{title(wanted.host)}: {place(wanted)}")
    if not there:
        say(f"No host has anything of ours ({options.scope})")
        return _say_projects(settings, options)
    refused = _refusal(f"Take it out of {_titles([wanted for _, wanted in there])}?", options, "uninstall")
    if refused is not None:
        return refused
    failures = Failures()
    for record, wanted in there:
        try:
            take_out(record, wanted)
        except (IpcError, OSError) as e:
            failures.add(wanted.host, e)
        else:
            say(f"Removed from {title(wanted.host)}")
    return failures.status() or _say_projects(settings, options)


def _say_projects(settings: Settings, options: argparse.Namespace) -> int:
    """Name what was installed for projects alone: only there can it be taken out."""
    hosts: dict[str, list[str]] = {}
    for host, folder in installed_in_projects(settings) if options.scope == "user" else ():
        hosts.setdefault(folder, []).append(host)
    for folder, there in hosts.items():
        one = f" {there[0]}" if len(there) == 1 else ""
        have = f"{all_of([title(host) for host in there])} {'has' if one else 'have'}"
        say(f"{have} ours in the project {folder} still. Next: ipc uninstall{one} --scope project, there")
    return DONE


def _refusal(question: str, options: argparse.Namespace, command: str) -> int | None:
    """None if it may be done: by ``--yes``, or since the user says so. Else the exit status. Asked once, for all hosts."""
    if options.yes:
        return None
    if not sys.stdin.isatty():
        complain("nothing was changed: there is no terminal to ask you at", f"ipc {command} --yes{_chosen_words(options)}")
        return USAGE
    if agrees(question):
        return None
    say("Nothing was changed")
    return FAILED


def _scope(options: argparse.Namespace) -> str:
    return " --scope project" if options.scope == "project" else ""


def _chosen_words(options: argparse.Namespace) -> str:
    """The options that were given, to be given again."""
    words = [f" --{word}" for word in ("claims", "approvals", "rewake") if getattr(options, word, False)]
    allow = getattr(options, "allow", None)
    words += [] if allow is None else [" --allow" if allow else " --no-allow"]
    return "".join(words) + _scope(options)


def _titles(wanted: list[Installation]) -> str:
    return all_of([title(one.host) for one in wanted])
