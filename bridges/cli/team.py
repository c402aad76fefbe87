"""Commands for working together: groups, presence, blocks, claims, automatic checks."""

from __future__ import annotations

from bridges.claim_names import resource_of
from bridges.cli import session
from bridges.terminal import ago, here, say, say_json, say_rows
from broker.home.paths import Place

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any

OK = 0


def _tell(place: Place, options: argparse.Namespace, action: str, **fields: Any) -> int:
    """Make a request and print its answer, a sentence."""
    answer = session.ask_as(place, options, action, **fields)
    if options.json:
        say_json(answer)
    else:
        say(answer["message"])
    return OK


def group(place: Place, options: argparse.Namespace) -> int:
    return _tell(place, options, f"group_{options.what}", group=options.group)


def groups(place: Place, options: argparse.Namespace) -> int:
    rows = session.ask_as(place, options, "groups")["groups"]
    cells = [(r["name"], "yes" if r["mine"] else "", " ".join(r["members"])) for r in rows]
    return say_rows(rows, options.json, ("GROUP", "MINE", "MEMBERS"), cells, "No groups; ipc group create NAME makes one")


def presence(place: Place, options: argparse.Namespace) -> int:
    note = " ".join(options.note) if options.note else None
    found = session.ask_as(place, options, "presence", state=options.state, note=note)
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
    rows = session.ask_as(place, options, "blocks")["blocks"]
    return say_rows(rows, options.json, ("NAME", "MODE"), [(r["name"], r["mode"]) for r in rows], "Nobody is blocked")


def claim(place: Place, options: argparse.Namespace) -> int:
    resource = resource_of(options.resource, here())
    answer = session.ask_as(place, options, "claim", resource=resource, ttl_s=options.ttl, note=options.note)
    claimed = answer["claimed"]
    if options.json:
        say_json({**claimed, "elsewhere": answer["elsewhere"]} if "elsewhere" in answer else claimed)
    else:
        say(f"Claimed {claimed['resource']} until {claimed['until']}")
        from bridges.fence import one_line

        for one in answer.get("elsewhere", ()):
            say(one_line(f"At {one['site']} {one['holder']} has claimed {one['resource']}, {_when(one)[0]}"))
    return OK


def release(place: Place, options: argparse.Namespace) -> int:
    """Exit status 1 if there was no such claim."""
    resource = None if options.resource is None else resource_of(options.resource, here())
    released = session.ask_as(place, options, "claim_release", resource=resource)["released"]
    if options.json:
        say_json({"released": released})
    else:
        say(f"Released {released}" if released else "No such claim of yours; ipc claims lists them")
    return OK if released or resource is None else 1


def _when(row: dict[str, Any]) -> tuple[str, str]:
    """Since when and until when; of a claim at another site when that site told of it."""
    if "age_s" not in row:
        return ago(row["since"]), row["until"]
    from broker.protocol.spans import span

    return f"told {span(row['age_s'])} ago", ""


def claims(place: Place, options: argparse.Namespace) -> int:
    resource = None if options.resource is None else resource_of(options.resource, here())
    rows = session.ask_as(place, options, "claims", resource=resource, **({"all": True} if options.all else {}))["claims"]
    cells = [(r["resource"], r["holder"], *_when(r), r["note"]) for r in rows]
    return say_rows(rows, options.json, ("RESOURCE", "HOLDER", "SINCE", "UNTIL", "NOTE"), cells, "Nothing is claimed")


def every(found: dict[str, Any]) -> str:
    """A sentence about automatic checks. An agent's MCP server makes them; a shell can't."""
    if found["autocheck"] != "on":
        return "Automatic checks are off"
    often = "every minute" if found["minutes"] == 1 else f"every {found['minutes']} minutes"
    return f"An agent of this name is told of its mail {often} by its MCP server; in a shell, ipc watch prints mail as it comes"


def autocheck(place: Place, options: argparse.Namespace) -> int:
    minutes = {"start": options.minutes, "stop": 0, "status": None}[options.what]
    found = session.ask_as(place, options, "autocheck", minutes=minutes)
    if options.json:
        say_json(found)
    else:
        say(every(found))
    return OK
