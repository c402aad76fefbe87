"""``ipc completion SHELL``: prints what completes ``ipc`` in a shell. shtab makes it of the parser, so it knows every option.

The script is plain shell, and asks for names alone at a Tab: ``ipc completion --live names``, which answers from the running
service without a parser, and says nothing where none runs. No other command knows of any of this.
"""

from __future__ import annotations

import os

from bridges import log_files
from bridges.terminal import complain, say
from broker.home import environment
from broker.home.paths import Place
from broker.protocol.errors import IpcError
from broker.protocol.names import is_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from bridges.cli.parsing import Parser

OK, FAILED = 0, 1
SHELLS = ("bash", "zsh", "fish")
LIVE_S = 1.0
"""A busy broker must not hold a Tab up."""
_LISTS = {
    "names": {"as_", "peer", "name", "words"},
    "groups": {"group"},
    "both": {"to"},
    "logs": {"names"},
}
"""What an argument is completed with, by its name in the parser."""
_NOT_LIVE = frozenset({"register", "rename", "keys", "nats", "mcp", "install", "hook", "search", "say"})
"""Commands in which these arguments are something else, such as a new name."""
_FUNCTIONS = {
    "bash": 'compgen -W "$(ipc completion --live {list} 2>/dev/null)" -- "$1"',
    "zsh": 'compadd -- ${{(f)"$(ipc completion --live {list} 2>/dev/null)"}}',
}


def completion(place: Place, options: argparse.Namespace) -> int:
    """Exit status 1 where shtab is not installed."""
    if options.live:
        for name in live(place, options.live):
            say(name)
        return OK
    try:
        import shtab
    except ImportError:
        complain("this needs one small package more", "pip install 'agent-ipc[completion]'")
        return FAILED
    from bridges.cli.commands import whole_parser

    shell = options.shell or os.path.basename(os.environ.get("SHELL", ""))
    if shell not in SHELLS:
        raise IpcError("bad_request", detail="Say for which shell: bash, zsh or fish")
    parser = whole_parser()
    _mark(parser, shtab.FILE, shtab.DIRECTORY)
    body = _FUNCTIONS.get(shell, "")
    functions = "\n".join(f"_ipc_{one}() {{ {body.format(list=one)}; }}" for one in _LISTS) if body else ""
    say(shtab.complete(parser, shell=shell, preamble=functions))
    return OK


def live(place: Place, what: str) -> list[str]:
    """Names of agents, of groups, or both, that the running service has; nothing, at once, where none runs."""
    if what == "logs":
        return log_files.names(os.path.join(place.home, "logs"))
    if environment.key_file() or environment.endpoint():
        return []
    from broker.client.json_lines import request
    from broker.home.files import read_private

    try:
        key = read_private(os.path.join(place.home, "owner.key")).strip()
        found = request(place, {"action": "overview", "session_token": key}, autostart=False, timeout_s=LIVE_S)
    except (IpcError, OSError):  # a Tab has nobody to tell
        return []
    names = [row["id"] for row in found["agents"]] if what != "groups" else []
    groups = [row["name"] for row in found["groups"]] if what != "names" else []
    return [name for name in names + groups if is_name(name)]  # a shell reads them: another version might have others


def _mark(parser: Parser, file: object, folder: object) -> None:
    """Say of each argument in the parser what it is completed with."""
    for command, action in _arguments(parser):
        which = next((name for name, those in _LISTS.items() if action.dest in those), "")
        if action.metavar in ("FILE", "DIR"):
            action.complete = file if action.metavar == "FILE" else folder  # type: ignore[attr-defined]
        elif which and not action.choices and command not in _NOT_LIVE:
            action.complete = {  # type: ignore[attr-defined]
                "bash": f"_ipc_{which}",
                "zsh": f"_ipc_{which}",
                "fish": f"(ipc completion --live {which} 2>/dev/null)",
            }


def _arguments(parser: Parser) -> Iterator[tuple[str, argparse.Action]]:
    """(command, argument) of all commands, and of those within them."""
    commands = [action.choices for action in parser._actions if action.dest == "command"]
    waiting = [row for choices in commands if isinstance(choices, dict) for row in choices.items()]
    for name, one in waiting:
        for action in one._actions:
            if action.dest == "what" and isinstance(action.choices, dict):
                waiting += [(name, inner) for inner in action.choices.values()]
            else:
                yield name, action
