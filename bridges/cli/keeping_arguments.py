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


def export(command: Parser) -> None:
    command.add_argument("-o", "--output", metavar="FILE", help="write it here, for you alone to read")
    command.add_argument("--force", action="store_true", help="replace a file that is there")
    command.add_argument(
        "--format", choices=("jsonl", "mbox", "markdown"), help="default jsonl; of FILE.mbox mbox, of FILE.md markdown"
    )
    command.add_argument("--name", metavar="NAME", help="only mail to and from that name")
    command.add_argument("--peer", metavar="NAME", help="with --name: only what the two wrote to each other")
    command.add_argument("--thread", type=values.message_id, metavar="ID", help="only the thread of that message")
    command.add_argument("--group", metavar="NAME", help="only mail to that group")
    command.add_argument("--since", dest="since_s", type=values.since_s, metavar="TIME", help="such as 2026-11-30 or 7d")
    json(command)


def import_file(command: Parser) -> None:
    command.add_argument("file", metavar="FILE", help="JSON lines of ipc export")
    command.add_argument("--unread", action="store_true", help="what was unread waits to be read; without it, it is history")
    command.add_argument("--skip-bad", action="store_true", help="leave bad lines out; without it they stop the import")
    json(command)
