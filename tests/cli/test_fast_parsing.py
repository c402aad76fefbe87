"""Ordinary arguments are read without argparse, to the same values; everything else is argparse's."""

from typing import Any

import pytest

from bridges.cli.commands import COMMANDS, parser_of
from bridges.cli.fast_parsing import NotOrdinary, parsed_fast
from bridges.cli.parsing import parsed

ORDINARY = [
    "send fred hello there",
    "send --as me fred --land tool hello --ttl 60 there",
    "send fred - --json",
    "send fred --data={} x",
    "broadcast lunch",
    "check",
    "check --wait 3 --limit=5",
    "reply #42 done",
    "ask fred which --wait 0",
    "presence",
    "presence working the parser",
    "claims",
    "claims src",
    "autocheck",
    "autocheck start 3",
    "history --peer fred --before #7",
    "group join builders",
    "block fred --mute",
    "receipts 1 #2",
    "list --json",
]
LEFT_TO_ARGPARSE = [
    "send",
    "send --help",
    "send fred -x",
    "send fred -- -x",
    "send fred --lan tool x",
    "send fred --ttl 0 x",
    "send fred --ttl",
    "send fred --ttl -5",
    "send fred --land never x",
    "send fred --json=yes x",
    "check now",
    "check --wait soon",
    "presence asleep",
    "watch --exec echo",
    "keys new fred",
    "install claude --print",
    "search",
]


def fast(line: str) -> dict[str, Any]:
    name, *words = line.split()
    return vars(parsed_fast(COMMANDS[name].arguments, words))


@pytest.mark.parametrize("line", ORDINARY)
def test_both_readers_find_the_same(line: str) -> None:
    name, *words = line.split()
    whole = vars(parsed(parser_of(name), words))
    assert {**fast(line), "run": whole["run"], "quick": whole["quick"], "command": name} == whole


@pytest.mark.parametrize("line", LEFT_TO_ARGPARSE)
def test_what_is_not_ordinary_is_left_to_argparse(line: str) -> None:
    with pytest.raises(NotOrdinary):
        fast(line)
