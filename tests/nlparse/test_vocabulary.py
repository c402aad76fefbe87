"""The table of words: what can be added, and what is refused."""

import tomllib
from dataclasses import fields
from pathlib import Path

import pytest

from nlparse import Vocabulary, parse

KNOWN = ["fred", "barney"]


def test_a_config_file_can_add_verbs_greetings_and_audiences() -> None:
    table = tomllib.loads(
        """
        [nlparse]
        send_verbs = ["holler at", "sag|sage"]
        send_around = ["give NAMES a shout"]
        greetings = ["moin"]
        audiences = ["the gang"]
        joiners = ["und"]
        check = ["was gibt's neues"]
        numbers = ["dozen=12"]
        """
    )
    words = Vocabulary().extend(table["nlparse"])
    to_both = {"intent": "send", "to": ["fred", "barney"], "content": "hi"}
    assert parse("moin, holler at fred und barney hi", known=KNOWN, vocabulary=words).answer() == to_both
    assert parse("give fred and barney a shout: hi", known=KNOWN, vocabulary=words).answer() == to_both
    assert parse("sag fred hi", known=KNOWN, vocabulary=words).intent == "send"
    assert parse("tell the gang hi", known=KNOWN, vocabulary=words).intent == "broadcast"
    assert parse("was gibt's neues?", vocabulary=words).intent == "check"
    assert parse("start autocheck every dozen minutes", vocabulary=words).slots() == {"minutes": 12}
    assert parse("sag fred hi", known=KNOWN).intent == "unknown"


@pytest.mark.parametrize(
    ("additions", "complaint"),
    [
        ({"verbs": ["x"]}, "unknown part of the vocabulary 'verbs'; known: asking, "),
        ({"send_verbs": "holler"}, "send_verbs takes a list of phrases"),
        ({"send_verbs": [5]}, "send_verbs takes a list of phrases, not 5"),
        ({"send_verbs": [" | "]}, "send_verbs takes a list of phrases, not ' | '"),
        ({"send_verbs": 5}, "send_verbs takes a list of phrases"),
        ({"send_around": ["give a shout"]}, "send_around takes phrases with words before and after NAMES"),
        ({"numbers": ["dozen"]}, "numbers takes words such as seventy=70"),
    ],
)
def test_a_mistake_in_the_config_is_named(additions: dict[str, list[str]], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint.replace("|", r"\|")):
        Vocabulary().extend(additions)


def test_every_part_is_described_in_the_documentation() -> None:
    text = (Path(__file__).parents[2] / "docs" / "plain-words.md").read_text(encoding="utf-8")
    assert [f.name for f in fields(Vocabulary) if f"`{f.name}`" not in text] == []
