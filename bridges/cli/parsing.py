"""Argparse for people: errors say what to type, and options may stand anywhere."""

from __future__ import annotations

import argparse
import os
import sys

from bridges.terminal import complain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

USAGE = 2
_BEHIND_HYPHENS = ", or put a text that begins with a hyphen behind --"


class Parser(argparse.ArgumentParser):
    """Argparse whose errors say what to type next."""

    def error(self, message: str) -> NoReturn:
        complain(message, f"{self.prog} --help{_BEHIND_HYPHENS if message.startswith('unrecognized') else ''}")
        sys.exit(USAGE)


def form(prog: str) -> argparse.HelpFormatter:
    """Help that keeps line ends. The width is found here: argparse would import shutil for it (4 ms) in each parse."""
    try:
        width = int(os.environ.get("COLUMNS") or os.get_terminal_size(1).columns)
    except (OSError, ValueError):
        width = 80
    return argparse.RawDescriptionHelpFormatter(prog, width=max(20, width - 2))


def parsed(parser: Parser, arguments: list[str]) -> argparse.Namespace:
    """The arguments of one command. Options may stand anywhere, also between a recipient and the text."""
    mixed = any(action.nargs in ("*", "+") for action in parser._get_positional_actions())
    return parser.parse_intermixed_args(arguments) if mixed else parser.parse_args(arguments)
