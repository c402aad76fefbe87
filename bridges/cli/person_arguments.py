"""Arguments of the commands by which a person sees, is told and decides."""

from __future__ import annotations

from bridges.cli.arguments import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from bridges.cli.parsing import Parser


def web(command: Parser) -> None:
    how = command.add_mutually_exclusive_group()
    how.add_argument("--open", action="store_true", help="open the link in the browser, too")
    how.add_argument("--sign-out", action="store_true", help="sign every browser out instead")
    how.add_argument("--metrics-token", action="store_true", help="print the bearer token of /metrics instead")


def notify(command: Parser) -> None:
    what = "test: send one over each channel now, and say how it went (default: channels, what is tried again or given up)"
    command.add_argument("what", nargs="?", choices=("test",), help=what)
    json(command)


def permission(command: Parser) -> None:
    command.add_argument("permission", metavar="ID", help="as ipc permissions shows it")
    json(command)
