"""Sentences by the section of RULES.md that decides them. Their answers were derived from the rules, not from the parser."""

from pathlib import Path

import pytest

from nlparse.score import score

FILES = sorted(Path(__file__).with_name("cases").glob("*.jsonl"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_sentences_are_read_as_their_rule_says(path: Path) -> None:
    total = score([path])
    assert total.cases > 150
    assert [(case["text"], answer, case["expect"]) for case, answer in total.wrong] == []
