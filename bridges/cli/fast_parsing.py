"""Ordinary arguments without argparse, which takes 4 ms to import and to build a parser with.

The same functions of ``bridges.cli.arguments`` say what a command takes. Whatever is not quite ordinary (help, an error, an
abbreviation, a group of options) is left to argparse, which has the words for it.
"""

from __future__ import annotations

from types import SimpleNamespace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn


class NotOrdinary(Exception):
    """Argparse must look at these arguments."""


class Arguments:
    """What a command takes, as ``add_argument`` was told: each argument's name and options."""

    def __init__(self) -> None:
        self.positional: list[tuple[str, dict[str, Any]]] = []
        self.options: dict[str, tuple[str, dict[str, Any]]] = {}

    def add_argument(self, name: str, *others: str, **told: Any) -> None:
        if others or told.get("action", "store_true") != "store_true" or told.get("nargs") not in (None, "?", "*", "+"):
            raise NotOrdinary
        if name.startswith("--"):
            self.options[name] = told.get("dest", name[2:].replace("-", "_")), told
        else:
            self.positional.append((name, told))

    def add_mutually_exclusive_group(self) -> NoReturn:
        raise NotOrdinary

    def add_subparsers(self, **_told: Any) -> NoReturn:
        raise NotOrdinary


def parsed_fast(fill: Callable[[Any], None] | None, arguments: list[str]) -> SimpleNamespace:
    """The values by name. Raises NotOrdinary."""
    taken = Arguments()
    if fill is not None:
        fill(taken)
    found: dict[str, Any] = {}
    for dest, told in taken.options.values():
        found[dest] = told.get("default", False if "action" in told else None)
    words: list[str] = []
    rest = iter(arguments)
    for argument in rest:
        if argument[:1] != "-" or argument == "-":
            words.append(argument)
            continue
        name, equals, value = argument.partition("=")
        if name not in taken.options:
            raise NotOrdinary
        dest, told = taken.options[name]
        if "action" not in told:
            given = value if equals else next(rest, "-")
            if given[:1] == "-":
                raise NotOrdinary
            found[dest] = _value(given, told)
        elif equals:
            raise NotOrdinary
        else:
            found[dest] = True
    _place(taken.positional, words, found)
    return SimpleNamespace(**found)


def _place(positional: list[tuple[str, dict[str, Any]]], words: list[str], found: dict[str, Any]) -> None:
    """Give the words to the positional arguments, in their order."""
    for number, (name, told) in enumerate(positional):
        how = told.get("nargs")
        if how in ("*", "+"):
            if number + 1 < len(positional) or (how == "+" and not words):
                raise NotOrdinary
            found[name] = [_value(word, told) for word in words]
            words = []
        elif words:
            found[name] = _value(words[0], told)
            words = words[1:]
        elif how == "?":
            found[name] = told.get("default")
        else:
            raise NotOrdinary
    if words:
        raise NotOrdinary


def _value(word: str, told: dict[str, Any]) -> Any:
    try:
        value = told["type"](word) if "type" in told else word
    except (ValueError, _wrong_value()):
        raise NotOrdinary from None
    if "choices" in told and value not in told["choices"]:
        raise NotOrdinary
    return value


def _wrong_value() -> type[Exception]:
    """What the functions of ``bridges.cli.values`` raise; asked for only where one did."""
    from argparse import ArgumentTypeError

    return ArgumentTypeError
