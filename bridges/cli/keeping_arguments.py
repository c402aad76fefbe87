"""The arguments of the commands that keep mail, and take it out and in."""

from __future__ import annotations

from bridges.cli import values
from bridges.cli.arguments import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from bridges.cli.parsing import Parser


def keep(command: Parser) -> None:
    of = command.add_mutually_exclusive_group()
    of.add_argument("--group", metavar="NAME", help="read mail of that group, also once nobody is in it")
    of.add_argument("--thread", type=values.message_id, metavar="ID", help="read mail of the thread of that message")
    command.add_argument("time", nargs="?", type=values.kept_s, metavar="TIME", help="such as 12h, 90d, 2y")
    command.add_argument("--drop", action="store_true", help="keep it as long as other mail again")
    json(command)


def import_legacy(command: Parser) -> None:
    command.add_argument("file", metavar="FILE")
    json(command)
