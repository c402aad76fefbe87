"""The one table of commands: what runs each, what it says of itself, its arguments.

Only the parser of the command that was typed is built: fifteen of them cost as much as the request.
"""

from __future__ import annotations

import argparse
import os
import sys

from bridges.cli.output import complain
from broker.version import VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

USAGE = 2
_EPILOG = """\
first steps:
  ipc demo                        two agents talk over three doors, in a temporary home
  ipc register fred               take a name; the service starts by itself
  ipc send claude "hello"         write to anyone, born or not
  ipc check --wait 30             read your mail
  ipc install claude              connect Claude Code (or gemini, codex)

exit status: 0 done, 1 failed, 2 usage, 3 service not reachable, 4 not registered or not allowed,
5 refused by a limit (try again later), 130 interrupted
"""


class Parser(argparse.ArgumentParser):
    """Argparse whose errors say what to type next."""

    def error(self, message: str) -> NoReturn:
        complain(message, f"{self.prog} --help")
        sys.exit(USAGE)


class Command:
    """One row. ``run`` is ``module:function``, imported when it runs; the functions of ``quick`` modules take a
    ``broker.place.Place`` and read no settings, the others take Settings."""

    __slots__ = ("arguments", "example", "quick", "run", "text")

    def __init__(self, run: str, text: str, example: str = "", arguments: Callable[[Parser], None] | None = None) -> None:
        self.run = run
        self.text = text
        self.example = example
        self.arguments = arguments
        self.quick = run.partition(":")[0] in QUICK_MODULES

    def options(self) -> dict[str, Any]:
        """What the parser is made with."""
        epilog = f"example:\n  {self.example}" if self.example else None
        return {"description": self.text, "epilog": epilog, "formatter_class": _form}

    def fill(self, parser: Parser) -> None:
        parser.set_defaults(run=self.run, quick=self.quick)
        if self.arguments is not None:
            self.arguments(parser)


QUICK_MODULES = frozenset({"mail"})


def _form(prog: str) -> argparse.HelpFormatter:
    """Help that keeps line ends. The width is found here because argparse would import shutil for it (4 ms), in each parse."""
    try:
        width = int(os.environ.get("COLUMNS") or os.get_terminal_size(1).columns)
    except (OSError, ValueError):
        width = 80
    return argparse.RawDescriptionHelpFormatter(prog, width=max(20, width - 2))


def _up(command: Parser) -> None:
    how = command.add_mutually_exclusive_group()
    how.add_argument("--detach", action="store_true", help="return when it answers (the default)")
    how.add_argument("--foreground", action="store_true", help="stay in the foreground, for a service manager")


def _status(command: Parser) -> None:
    _json(command)
    command.add_argument("--config", action="store_true", help="every setting and where its value came from")


def _register(command: Parser) -> None:
    command.add_argument("name", metavar="NAME", help="1-32 letters, digits, hyphens, underscores")


def _send(command: Parser) -> None:
    command.add_argument("to", metavar="TO", help="the recipient's name")
    _text(command)


def _check(command: Parser) -> None:
    command.add_argument("--wait", type=_seconds, default=0.0, metavar="S", help="wait up to S seconds for mail")
    command.add_argument("--limit", type=_count, default=100, metavar="N", help="at most N messages (default 100)")
    _common(command)


def _rename(command: Parser) -> None:
    command.add_argument("name", metavar="NEW_NAME")
    _common(command)


def _mcp(command: Parser) -> None:
    command.add_argument("--name", help="register this name by itself")


def _import_legacy(command: Parser) -> None:
    command.add_argument("file", metavar="FILE")
    _json(command)


def _install(command: Parser) -> None:
    command.add_argument("host", choices=("claude", "gemini", "codex"))
    command.add_argument("--print", dest="print_only", action="store_true", help="show what would be written")
    command.add_argument("--name", help="register this name by itself in each session")
    command.add_argument("--scope", choices=("user", "project"), default="user", help="whose configuration (default user)")


def _text(command: Parser) -> None:
    command.add_argument("text", nargs="*", metavar="TEXT", help="the message, or - for standard input")
    command.add_argument("--file", metavar="FILE", help="take the message from a file")
    command.add_argument("--data", metavar="JSON", help="structured data to go with it")
    command.add_argument("--id", metavar="ID", help="your own message id: sent twice, stored once")
    _common(command)


def _common(command: Parser) -> None:
    command.add_argument("--as", dest="as_", metavar="NAME", help="act as another registered name ($IPC_NAME)")
    _json(command)


def _json(command: Parser) -> None:
    command.add_argument("--json", action="store_true", help="as JSON")


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 3600:
        raise argparse.ArgumentTypeError("must be from 0 to 3600 seconds")
    return value


def _count(text: str) -> int:
    value = int(text)
    if not 1 <= value <= 10_000:
        raise argparse.ArgumentTypeError("must be from 1 to 10000")
    return value


COMMANDS = {
    "up": Command("service:up", "start the service, if it does not run", "ipc up", _up),
    "down": Command("service:down", "stop the service; mail stays"),
    "status": Command("service:status", "what runs, who is registered, how much mail waits", "", _status),
    "doctor": Command("service:doctor", "check everything and say what to do"),
    "register": Command("mail:register", "take a name", "ipc register fred", _register),
    "send": Command(
        "mail:send", "send a message", 'ipc send claude "the build is green"\n  git diff | ipc send claude -', _send
    ),
    "broadcast": Command("mail:broadcast", "send to every registered agent", 'ipc broadcast "lunch at noon"', _text),
    "check": Command("mail:check", "read new mail", "ipc check --wait 30", _check),
    "list": Command("mail:list_instances", "who is registered", "", _common),
    "rename": Command("mail:rename", "take another name; the old one forwards for two hours", "ipc rename fred-2", _rename),
    "whoami": Command("mail:whoami", "which name this shell has", "", _common),
    "mcp": Command("setup:mcp", "MCP server on standard input and output, for an agent's host to start", "", _mcp),
    "import-legacy": Command("legacy:run", "take over unread mail from the seed system's SQLite database", "", _import_legacy),
    "install": Command("install:run", "connect an agent's host to the mail", "ipc install claude --print", _install),
    "demo": Command("demo:run", "two agents exchange messages over three doors, in a temporary home"),
}


def parser_of(name: str) -> Parser:
    """The parser of one command alone."""
    command = COMMANDS[name]
    parser = Parser(prog=f"ipc {name}", **command.options())
    command.fill(parser)
    return parser


def whole_parser() -> Parser:
    """The parser of ``ipc`` with all its commands, for its help."""
    parser = Parser(prog="ipc", description="Mail between AI agents on this machine.", epilog=_EPILOG, formatter_class=_form)
    parser.add_argument("--version", action="version", version=f"agent-ipc {VERSION}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=Parser, required=True)
    for name, command in COMMANDS.items():
        command.fill(commands.add_parser(name, help=command.text, **command.options()))
    return parser
