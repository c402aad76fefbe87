"""Sentences by rule, and what must hold for any text."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nlparse import Unknown, Vocabulary, parse

KNOWN = ["claude", "fred", "barney", "wilma"]
CASES = [json.loads(line) for line in Path(__file__).with_name("cases.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["text"][:50])
def test_a_sentence_is_read_as_its_rule_says(case: dict[str, Any]) -> None:
    command = parse(case["text"], me=case["me"], known=case["known"], last_from=case["last_from"])
    assert command.answer() == case["expect"]


names = st.from_regex(r"[A-Za-z0-9_-]{1,32}", fullmatch=True)
contents = st.text(min_size=1).map(str.strip).filter(bool)
QUOTES = "\"'“”‘’«»"


@settings(max_examples=300, deadline=None)
@given(contents)
def test_content_after_a_colon_survives_byte_for_byte(content: str) -> None:
    command = parse(f"msg fred: {content}", known=KNOWN)
    if content[0] in QUOTES and content[-1] in QUOTES:
        return  # a wrapping pair may be dropped; the cases say when
    assert command.answer() == {"intent": "send", "to": ["fred"], "content": content}
    start, end = command.spans["content"]
    assert f"msg fred: {content}"[start:end] == content


@settings(max_examples=300, deadline=None)
@given(names)
def test_a_name_is_kept_as_typed(name: str) -> None:
    command = parse(f"msg {name}: hi", known=[name])
    assert command.slots() == {"to": [name], "content": "hi"}


@settings(max_examples=1000, deadline=None)
@given(st.text(), st.none() | names, st.lists(names, max_size=5), st.none() | names)
def test_no_text_raises(text: str, me: str | None, known: list[str], last_from: str | None) -> None:
    assert isinstance(parse(text, me=me, known=known, last_from=last_from).answer(), dict)


WORDS = st.sampled_from(
    [
        "msg",
        "tell",
        "fred",
        "barney",
        "nessa",
        "everyone",
        "all",
        "that",
        "saying",
        ":",
        "-",
        ",",
        "and",
        "&",
        "@fred",
        '"hi"',
        "reply",
        "to",
        "forward",
        "it",
        "share",
        "a.txt",
        "with",
        "check",
        "messages",
        "please",
        "now",
        "start",
        "auto",
        "checking",
        "every",
        "5",
        "minutes",
        "register",
        "as",
        "rename",
        "call",
        "me",
        "let",
        "know",
        "give",
        "a",
        "heads",
        "up",
        "don't",
        "when",
        "the",
        "build",
        "is",
        "green",
        "?",
        ".",
        "'x'",
        "claude,",
        "hey",
        "you",
        "can",
        "want",
        "I",
    ]
)


@settings(max_examples=1500, deadline=None)
@given(st.lists(WORDS, max_size=12).map(" ".join))
def test_sentences_made_of_command_words_never_raise_and_recipients_were_typed(text: str) -> None:
    command = parse(text, me="claude", known=KNOWN, last_from="fred")
    for name in command.slots().get("to", ()):
        assert name in text


@pytest.mark.parametrize(
    "text",
    [
        " " * 65536,
        "tell " * 13000,
        "msg fred " + '"' * 65000,
        "@" * 65536,
        "msg " + "fred and " * 7000,
        "msg " + "fred," * 13000,
        "say " + "to " * 21000,
        "msg fred: " + "a\nb: " * 13000,
        "x" * 65536,
        "please " * 9000,
        "check " * 10000,
        "send the file " + "/" * 65000 + " to fred",
        "é" * 32768,
    ],
    ids=lambda t: t[:12],
)
def test_work_grows_with_the_length_and_not_with_its_square(text: str) -> None:
    """Counted in function calls of the parse, which a backtracking reading would multiply."""
    calls = 0

    def count(*_: Any) -> None:
        nonlocal calls
        calls += 1

    sys.setprofile(count)
    try:
        parse(text, me="claude", known=KNOWN, last_from="fred")
    finally:
        sys.setprofile(None)
    assert calls < 60_000


def test_a_likely_send_to_a_stranger_asks_back() -> None:
    command = parse("msg nessa welcome", me="claude", known=KNOWN)
    assert isinstance(command, Unknown)
    assert command.question is not None
    assert command.question.text == "nessa isn't registered. Send anyway?"
    assert command.question.would_be.answer() == {"intent": "send", "to": ["nessa"], "content": "welcome"}


def test_the_vocabulary_can_be_extended_and_refuses_what_it_does_not_know() -> None:
    words = Vocabulary().extend({"send_verbs": ["holler_at"]})
    assert parse("holler at fred hi", known=KNOWN, vocabulary=words).intent == "send"
    with pytest.raises(ValueError, match="unknown part of the vocabulary 'verbs'"):
        Vocabulary().extend({"verbs": ["x"]})
    with pytest.raises(ValueError, match="takes a list of phrases"):
        Vocabulary().extend({"send_verbs": "holler"})


def test_the_batch_answers_every_line_in_order() -> None:
    lines = ['{"text": "check messages"}', "rubbish", "[]", '{"text": 5}', '{"text": "msg fred: ü", "known": ["fred"]}', "\xff"]
    done = subprocess.run(
        [sys.executable, "-m", "nlparse", "--batch"],
        input="\n".join(lines).encode("latin-1") + b"\n",
        capture_output=True,
        check=True,
    )
    answers = [json.loads(line)["intent"] for line in done.stdout.splitlines()]
    assert answers == ["check", "unknown", "unknown", "unknown", "send", "unknown"]


def test_a_parse_is_explained_to_a_person() -> None:
    done = subprocess.run([sys.executable, "-m", "nlparse", "msg nessa hi"], capture_output=True, text=True)
    assert (done.returncode, "Send anyway?" in done.stdout) == (2, True)


def test_the_package_stands_alone() -> None:
    import ast

    import nlparse

    for path in Path(nlparse.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            module = node.module if isinstance(node, ast.ImportFrom) else None
            assert not (module or "").startswith(("broker", "bridges"))
