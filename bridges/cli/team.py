"""Commands for working together: groups, presence, blocks, claims, automatic checks."""

from __future__ import annotations

from bridges.claim_names import resource_of
from bridges.cli import session
from bridges.terminal import ago, here, say, say_json, table
from broker.home.paths import Place

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any

OK = 0


def _do(place: Place, options: argparse.Namespace, action: str, **fields: Any) -> dict[str, Any]:
    with session.resume(place, options.as_) as me:
        return me.request(action, **fields)


def _tell(place: Place, options: argparse.Namespace, action: str, **fields: Any) -> int:
    """Make a request and print its answer, a sentence."""
    answer = _do(place, options, action, **fields)
    if options.json:
        say_json(answer)
    else:
        say(answer["message"])
    return OK


def group(place: Place, options: argparse.Namespace) -> int:
    return _tell(place, options, f"group_{options.what}", group=options.group)


def groups(place: Place, options: argparse.Namespace) -> int:
    rows = _do(place, options, "groups")["groups"]
    if options.json:
        say_json(rows)
    elif rows:
        say(
            table(("GROUP", "MINE", "MEMBERS"), [(r["name"], "yes" if r["mine"] else "", " ".join(r["members"])) for r in rows])
        )
    else:
        say("No groups; ipc group create NAME makes one")
    return OK


def presence(place: Place, options: argparse.Namespace) -> int:
    note = " ".join(options.note) if options.note else None
    found = _do(place, options, "presence", state=options.state, note=note)
    if options.json:
        say_json(found)
    else:
        say(f"{found['presence']}{': ' + found['note'] if found['note'] else ''}")
    return OK


def block(place: Place, options: argparse.Namespace) -> int:
    return _tell(place, options, "block", name=options.name, mode="mute" if options.mute else "block")


def unblock(place: Place, options: argparse.Namespace) -> int:
    return _tell(place, options, "unblock", name=options.name)


def blocks(place: Place, options: argparse.Namespace) -> int:
    rows = _do(place, options, "blocks")["blocks"]
    if options.json:
        say_json(rows)
    else:
        say(table(("NAME", "MODE"), [(r["name"], r["mode"]) for r in rows]) if rows else "Nobody is blocked")
    return OK


def claim(place: Place, options: argparse.Namespace) -> int:
    resource = resource_of(options.resource, here())
    claimed = _do(place, options, "claim", resource=resource, ttl_s=options.ttl, note=options.note)["claimed"]
    if options.json:
        say_json(claimed)
    else:
        say(f"Claimed {claimed['resource']} until {claimed['until']}")
    return OK


def release(place: Place, options: argparse.Namespace) -> int:
    """Exit status 1 if there was no such claim."""
    resource = None if options.resource is None else resource_of(options.resource, here())
    released = _do(place, options, "claim_release", resource=resource)["released"]
    if options.json:
        say_json({"released": released})
    else:
        say(f"Released {released}" if released else "No such claim of yours; ipc claims lists them")
    return OK if released or resource is None else 1


def claims(place: Place, options: argparse.Namespace) -> int:
    resource = None if options.resource is None else resource_of(options.resource, here())
    rows = _do(place, options, "claims", resource=resource)["claims"]
    if options.json:
        say_json(rows)
    elif rows:
        head = ("RESOURCE", "HOLDER", "SINCE", "UNTIL", "NOTE")
        say(table(head, [(r["resource"], r["holder"], ago(r["since"]), r["until"], r["note"]) for r in rows]))
    else:
        say("Nothing is claimed")
    return OK


def every(found: dict[str, Any]) -> str:
    """A sentence about automatic checks. An agent's MCP server makes them; a shell can't."""
    if found["autocheck"] != "on":
        return "Automatic checks are off"
    often = "every minute" if found["minutes"] == 1 else f"every {found['minutes']} minutes"
    return f"An agent of this name is told of its mail {often} by its MCP server; in a shell, ipc watch prints mail as it comes"


def autocheck(place: Place, options: argparse.Namespace) -> int:
    minutes = {"start": options.minutes, "stop": 0, "status": None}[options.what]
    found = _do(place, options, "autocheck", minutes=minutes)
    if options.json:
        say_json(found)
    else:
        say(every(found))
    return OK
