"""``ipc``: the command line.

Exit status: 0 done; 1 failed; 2 wrong usage; 3 the service is not running or can't be reached; 4 not registered or not
allowed; 5 refused by a limit, try again later; 130 interrupted.
"""

import argparse
import difflib
import importlib
import os
import sys
from collections.abc import Callable
from typing import NoReturn

from bridges.cli.output import complain
from broker.errors import IpcError
from broker.settings import Settings, SettingsError
from broker.version import VERSION

FAILED, USAGE, UNAVAILABLE, NOT_ALLOWED, LIMIT, INTERRUPTED = 1, 2, 3, 4, 5, 130
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


def build() -> argparse.ArgumentParser:
    """All commands. Each names the function that runs it as ``module:function``, imported when it runs."""
    form = argparse.RawDescriptionHelpFormatter
    parser = Parser(prog="ipc", description="Mail between AI agents on this machine.", epilog=_EPILOG, formatter_class=form)
    parser.add_argument("--version", action="version", version=f"agent-ipc {VERSION}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=Parser)

    def add(name: str, run: str, text: str, example: str = "") -> argparse.ArgumentParser:
        epilog = f"example:\n  {example}" if example else None
        command: argparse.ArgumentParser = commands.add_parser(
            name, help=text, description=text, epilog=epilog, formatter_class=form
        )
        command.set_defaults(run=run)
        return command

    _add_service(add)
    _add_mail(add)
    _add_setup(add)
    return parser


Add = Callable[..., argparse.ArgumentParser]


def _add_service(add: Add) -> None:
    command = add("up", "service:up", "start the service, if it does not run", "ipc up")
    how = command.add_mutually_exclusive_group()
    how.add_argument("--detach", action="store_true", help="return when it answers (the default)")
    how.add_argument("--foreground", action="store_true", help="stay in the foreground, for a service manager")
    add("down", "service:down", "stop the service; mail stays")
    command = add("status", "service:status", "what runs, who is registered, how much mail waits")
    command.add_argument("--json", action="store_true", help="as JSON")
    command.add_argument("--config", action="store_true", help="every setting and where its value came from")
    add("doctor", "service:doctor", "check everything and say what to do")


def _add_mail(add: Add) -> None:
    command = add("register", "mail:register", "take a name", "ipc register fred")
    command.add_argument("name", metavar="NAME", help="1-32 letters, digits, hyphens, underscores")
    command = add("send", "mail:send", "send a message", 'ipc send claude "the build is green"\n  git diff | ipc send claude -')
    command.add_argument("to", metavar="TO", help="the recipient's name")
    _add_text(command)
    command = add("broadcast", "mail:broadcast", "send to every registered agent", 'ipc broadcast "lunch at noon"')
    _add_text(command)
    command = add("check", "mail:check", "read new mail", "ipc check --wait 30")
    command.add_argument("--wait", type=_seconds, default=0.0, metavar="S", help="wait up to S seconds for mail")
    command.add_argument("--limit", type=_count, default=100, metavar="N", help="at most N messages (default 100)")
    _add_common(command)
    _add_common(add("list", "mail:list_instances", "who is registered"))
    command = add("rename", "mail:rename", "take another name; the old one forwards for two hours", "ipc rename fred-2")
    command.add_argument("name", metavar="NEW_NAME")
    _add_common(command)
    _add_common(add("whoami", "mail:whoami", "which name this shell has"))


def _add_setup(add: Add) -> None:
    command = add("mcp", "setup:mcp", "MCP server on standard input and output, for an agent's host to start")
    command.add_argument("--name", help="register this name by itself")
    command = add("import-legacy", "legacy:run", "take over unread mail from the seed system's SQLite database")
    command.add_argument("file", metavar="FILE")
    command.add_argument("--json", action="store_true", help="as JSON")
    command = add("install", "install:run", "connect an agent's host to the mail", "ipc install claude --print")
    command.add_argument("host", choices=("claude", "gemini", "codex"))
    command.add_argument("--print", dest="print_only", action="store_true", help="show what would be written")
    command.add_argument("--name", help="register this name by itself in each session")
    command.add_argument("--scope", choices=("user", "project"), default="user", help="whose configuration (default user)")
    add("demo", "demo:run", "two agents exchange messages over three doors, in a temporary home")


def _add_text(command: argparse.ArgumentParser) -> None:
    command.add_argument("text", nargs="*", metavar="TEXT", help="the message, or - for standard input")
    command.add_argument("--file", metavar="FILE", help="take the message from a file")
    command.add_argument("--data", metavar="JSON", help="structured data to go with it")
    command.add_argument("--id", metavar="ID", help="your own message id: sent twice, stored once")
    _add_common(command)


def _add_common(command: argparse.ArgumentParser) -> None:
    command.add_argument("--as", dest="as_", metavar="NAME", help="act as another registered name ($IPC_NAME)")
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


def main(argv: list[str] | None = None) -> int:
    """Run a command and return its exit status."""
    arguments = sys.argv[1:] if argv is None else argv
    parser = build()
    if not arguments:
        parser.print_help()
        return 0
    known = list(parser._subparsers._group_actions[0].choices or ()) if parser._subparsers else []
    if not arguments[0].startswith("-") and arguments[0] not in known:
        close = difflib.get_close_matches(arguments[0], known, n=1)
        complain(f"unknown command {arguments[0]!r}{f'. Did you mean {close[0]}?' if close else ''}", "ipc --help")
        return USAGE
    options = parser.parse_args(arguments)
    try:
        return run(options)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so that the exit does not complain again
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED


def run(options: argparse.Namespace) -> int:
    """Import and run the command's function; errors become a sentence, a next step and a status."""
    from bridges.cli.session import NotRegistered

    module, _, function = options.run.partition(":")
    try:
        settings = Settings.load()
        work = getattr(importlib.import_module(f"bridges.cli.{module}"), function)
        status: int = work(settings, options)
    except SettingsError as e:
        complain(str(e), "correct it, then: ipc status --config")
        return USAGE
    except NotRegistered as e:
        complain(str(e), "ipc register NAME")
        return NOT_ALLOWED
    except IpcError as e:
        complain(e.text, e.hint or "ipc --help")
        return exit_status(e)
    return status


def exit_status(error: IpcError) -> int:
    """The exit status of an error, by its class in the catalogue."""
    if error.code in ("unavailable", "timeout"):
        return UNAVAILABLE
    if error.kind.http in (401, 403):
        return NOT_ALLOWED
    if error.retryable:
        return LIMIT
    return USAGE if error.code == "bad_request" else FAILED


if __name__ == "__main__":
    sys.exit(main())
