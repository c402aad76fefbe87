"""What is asked back, how sure an answer is, and where its slots stand."""

import pytest

from nlparse import parse
from nlparse.commands import Send, Unknown

KNOWN = ["claude", "fred", "barney", "wilma"]


def test_a_likely_send_to_a_stranger_asks_back() -> None:
    command = parse("msg nessa welcome", me="claude", known=KNOWN)
    assert isinstance(command, Unknown) and command.question is not None
    assert command.question.text == "nessa isn't registered. Send anyway?"
    assert command.question.would_be.answer() == {"intent": "send", "to": ["nessa"], "content": "welcome"}
    assert command.question.candidates == ()
    assert command.answer() == {"intent": "unknown"}


@pytest.mark.parametrize(
    ("text", "question", "to"),
    [
        ("tell fred and zoe to sync", "zoe isn't registered. Send anyway?", ["fred", "zoe"]),
        ("tell zoe and nessa to sync", "zoe and nessa aren't registered. Send anyway?", ["zoe", "nessa"]),
        ("message nessa: hi", "nessa isn't registered. Send anyway?", ["nessa"]),
        ("mesage nessa: hi", "nessa isn't registered. Send anyway?", ["nessa"]),
        ("send fred hello", "Send this to fred?", ["fred"]),
        ("send hi to fred", "Send this to fred?", ["fred"]),
        ("send the build is green to fred", "Send this to fred?", ["fred"]),
        ("tell fred barney and wilma that X", "Send this to fred and barney and wilma?", ["fred", "barney", "wilma"]),
    ],
)
def test_the_question_comes_with_the_command_that_a_yes_means(text: str, question: str, to: list[str]) -> None:
    asked = parse(text, known=KNOWN).question
    assert asked is not None
    assert (asked.text, asked.would_be.slots()["to"]) == (question, to)


def test_candidates_are_the_nearest_names_and_not_all() -> None:
    asked = parse("msg fxxd welcome", known=[*KNOWN, "alfred", "frieda"]).question
    assert asked is not None
    assert asked.candidates == ("fred",)


@pytest.mark.parametrize("text", ["write a test for send()", "tell me the time", "don't tell nessa hi", "fred", ""])
def test_what_is_no_send_asks_nothing(text: str) -> None:
    assert parse(text, known=KNOWN).question is None


def test_confidence_falls_with_what_had_to_be_guessed() -> None:
    texts = ["msg fred: hi", "msg fred hi", "mgs fred hi", "msg ferd hi", "mgs ferd hi"]
    sure = [parse(text, known=KNOWN).confidence for text in texts]
    assert sure == sorted(sure, reverse=True)
    assert (sure[0], parse("msg nessa hi", known=KNOWN).confidence, parse("rubbish").confidence) == (1.0, 0.4, 0.0)


def test_spans_are_offsets_of_the_text_as_given() -> None:
    text = ' \n tell "fred", barney: “ünï”'
    command = parse(text, known=KNOWN)
    assert isinstance(command, Send)
    assert {slot: text[a:b] for slot, (a, b) in command.spans.items()} == {"to": '"fred", barney', "content": "ünï"}
    start, end = command.byte_spans(text)["content"]
    assert text.encode()[start:end].decode() == "ünï"


def test_a_broadcast_without_a_separator_is_asked_back() -> None:
    asked = parse("broadcast hello", known=KNOWN).question
    assert asked is not None and asked.would_be is not None
    assert (asked.text, asked.would_be.answer()) == ("Send this to everyone?", {"intent": "broadcast", "content": "hello"})


@pytest.mark.parametrize("text", ["tell fred", "msg fred:", "please tell fred.", "let fred know", "send a message to fred"])
def test_a_send_without_a_text_is_asked_for_it(text: str) -> None:
    asked = parse(text, known=KNOWN).question
    assert asked is not None and asked.text == "Tell fred what?" and asked.would_be is None


@pytest.mark.parametrize(("text", "asking"), [("ask fred: why?", True), ("aks fred if X", True), ("tell fred hi", False)])
def test_a_question_is_told_from_a_statement(text: str, asking: bool) -> None:
    command = parse(text, known=KNOWN)
    assert isinstance(command, Send) and command.asking is asking
