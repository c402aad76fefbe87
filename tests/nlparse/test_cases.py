"""Sentences by the section of RULES.md that decides them. Their answers were derived from the rules, not from the parser."""

import json
from pathlib import Path
from typing import Any

import pytest

from nlparse import parse
from nlparse.score import score

FILES = sorted(Path(__file__).with_name("cases").glob("*.jsonl"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_sentences_are_read_as_their_rule_says(path: Path) -> None:
    total = score([path])
    assert total.cases > 150
    assert [(case["text"], answer, case["expect"]) for case, answer in total.wrong] == []


CASES = [json.loads(line) for path in FILES for line in path.read_text(encoding="utf-8").split("\n") if line]
PLAIN = [
    "check",
    "list",
    "help",
    "whoami",
    "register",
    "rename",
    "forward",
    "share_file",
    "autocheck_start",
    "autocheck_stop",
    "autocheck_status",
]
Case = dict[str, Any]


def answer(case: Case, text: str) -> dict[str, Any]:
    return parse(text, me=case["me"], known=case["known"], last_from=case["last_from"]).answer()


@pytest.mark.deep
@pytest.mark.parametrize("before", ["please ", "Could you ", "hey, ", "I need you to ", "PLEASE, ", "okay bot, "])
def test_politeness_before_changes_nothing(before: str) -> None:
    assert [c["text"] for c in CASES if answer(c, before + c["text"].lstrip()) != c["expect"]] == []


@pytest.mark.parametrize("after", [" please", " now", " for me, please", "!", " thanks", "\n"])
def test_politeness_after_a_command_without_content_changes_nothing(after: str) -> None:
    plain = [c for c in CASES if c["expect"]["intent"] in PLAIN]
    assert [c["text"] for c in plain if answer(c, c["text"].rstrip() + after) != c["expect"]] == []


def test_capitals_change_nothing_but_the_capitals() -> None:
    same = [c for c in CASES if c["text"].isascii()]
    assert [c["text"] for c in same if answer(c, c["text"].upper()) != _upper(c["expect"])] == []


def _upper(expect: dict[str, Any]) -> dict[str, Any]:
    typed = {slot: value.upper() for slot, value in expect.items() if slot in ("content", "name", "path")}
    to = {"to": [name.upper() for name in expect["to"]]} if "to" in expect else {}
    return {**expect, **typed, **to}


TYPES = ["APIClient", "_Backend", "str", "dict[str, Any]", "Plugin | None", "Wire | None, x: int", "a.B.C  # 1"]


@pytest.mark.parametrize("content", TYPES)
def test_a_type_after_a_label_is_code_and_after_a_verb_a_text(content: str) -> None:
    assert parse(f"backend: {content}", known=["backend"]).intent == "unknown"
    assert content in TYPES[:3] or parse(f"broadcast: {content}").intent == "unknown"
    assert parse(f"msg backend: {content}", known=["backend"]).slots() == {"to": ["backend"], "content": content}
