"""The arguments of the commands that start, stop and look at the service."""

from __future__ import annotations

from bridges.cli import values
from bridges.cli.arguments import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from bridges.cli.parsing import Parser


def up(command: Parser) -> None:
    how = command.add_mutually_exclusive_group()
    how.add_argument("--detach", action="store_true", help="return when it answers (the default)")
    how.add_argument("--foreground", action="store_true", help="stay in the foreground, for a service manager")
    how.add_argument("--take-over", action="store_true", help="likewise, in place of one that runs and is no later one")


def status(command: Parser) -> None:
    json(command)
    command.add_argument("--config", action="store_true", help="every setting and where its value came from")


def doctor(command: Parser) -> None:
    command.add_argument(
        "--repair", action="store_true", help="with the service stopped: check thoroughly, save what is readable"
    )


def service(command: Parser) -> None:
    command.add_argument("what", nargs="?", choices=("status", "install", "remove"), default="status")
    json(command)


def log(command: Parser) -> None:
    from bridges.log_files import LEVELS

    command.add_argument("names", nargs="*", metavar="NAME", help="of these processes: broker, supervisor, tcp (default all)")
    command.add_argument("-f", "--follow", action="store_true", help="go on with what comes, also over rotations")
    command.add_argument("--level", choices=LEVELS, default="debug", help="events of this level and worse")
    lines = "the newest N events (default all; with -f 10)"
    command.add_argument("--lines", type=values.lines, metavar="N", help=lines)
    json(command)


def completion(command: Parser) -> None:
    command.add_argument("shell", nargs="?", choices=("bash", "zsh", "fish"), help="for which shell (default yours, of $SHELL)")
    # argparse.SUPPRESS, whose import would be a good part of what a Tab waits for
    command.add_argument("--live", choices=("names", "groups", "both", "logs"), help="==SUPPRESS==")
