"""What must hold for any text."""

import sys
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from nlparse import Unknown, Vocabulary, parse
from nlparse.content import is_code, is_type
from tests.examples import examples

KNOWN = ["claude", "fred", "barney", "wilma", "fred@rome", "*@rome"]
QUOTES = "\"'“”‘’«»"
PAIRS = [('"', '"'), ("'", "'"), ("“", "”"), ("‘", "’"), ("«", "»")]

names = st.from_regex(r"[A-Za-z0-9_-]{1,32}", fullmatch=True)
addresses = st.from_regex(r"([A-Za-z0-9_-]{1,32}|\*)@([a-z0-9-]{1,32}|\*)", fullmatch=True)
contents = st.text(st.characters(codec=None), min_size=1).map(str.strip).filter(bool)
_WORDS = (
    "msg tell ask fred barney ferd nessa everyone all team that saying : - -- — , and & + or then @fred @all 'hi' \"xy\" reply "
    "respond to forward it share send a.txt the file with check messages please now start auto checking every 5 minutes "
    "register as rename call me let know give a heads up don't when if the build is green ? . ! claude, hey you can want I "
    "say write leave drop line note message for broadcast announce stop off on is online who who's am in 10 tomorrow "
    "tel chekc mgs brodcast forwrad fred@rome @fred@rome *@rome frde@rome user@host bob@example.com fred@rome:/x"
)
words = st.sampled_from(_WORDS.split(" "))
sentences = st.lists(words, max_size=12).map(" ".join)


@examples(500)
@given(contents, st.sampled_from(["msg fred: ", "tell fred — ", "let fred know: ", "send a message to fred - ", "@fred: "]))
@example('" a', "msg fred: ")
@example("\ud800\x00\r\n\u2028x", "msg fred: ")
def test_content_after_a_separator_survives_byte_for_byte(content: str, before: str) -> None:
    assume(not (content[0] in QUOTES and content[-1] in QUOTES))
    assume(not (before == "@fred: " and ("\n" in content or is_code(content) or is_type(content, one_word=True))))
    command = parse(before + content, known=KNOWN)
    assert command.answer() == {"intent": "send", "to": ["fred"], "content": content}


@examples(300)
@given(st.text(min_size=1), st.sampled_from(PAIRS))
def test_content_in_quotes_survives_with_the_blanks_at_its_ends(content: str, pair: tuple[str, str]) -> None:
    assume(content.strip() and not set(pair) & set(content))
    command = parse(f"tell fred {pair[0]}{content}{pair[1]}", known=KNOWN)
    assert command.answer() == {"intent": "send", "to": ["fred"], "content": content}


@examples(300)
@given(st.lists(names | addresses, min_size=1, max_size=6), st.sampled_from([", ", ",", " and ", " & ", "+", ", and "]))
def test_names_come_back_as_typed_and_in_their_order(to: list[str], joiner: str) -> None:
    command = parse(f"msg {joiner.join(to)}: hi", known=to)
    assert command.slots() == {"to": to, "content": "hi"}


@examples(1000)
@given(
    st.text(st.characters(codec=None)) | sentences,
    st.none() | names | st.text(),
    st.lists(names | st.text(), max_size=5),
    st.none() | names,
)
def test_no_text_raises(text: str, me: str | None, known: list[str], last_from: str | None) -> None:
    assert isinstance(parse(text, me=me, known=known, last_from=last_from).answer(), dict)


@examples(1500)
@given(sentences, st.text(" \t\n", max_size=3))
def test_recipients_and_slots_were_typed_where_the_spans_say(sentence: str, blanks: str) -> None:
    text = blanks + sentence
    command = parse(text, me="claude", known=KNOWN, last_from="fred")
    for slot, (start, end) in command.spans.items():
        if slot == "to":
            assert all(name in text[start:end] for name in command.slots()["to"])
        else:
            assert text[start:end] == command.slots()[slot]


@examples(1500)
@given(sentences, st.lists(st.sampled_from(KNOWN)))
def test_an_address_that_nobody_is_known_by_gets_nothing(sentence: str, known: list[str]) -> None:
    to = parse(sentence, me="claude", known=known, last_from="fred").slots().get("to", [])
    registered = {name for name in to if "@" not in name or name in known}
    assert all(name == "frde@rome" and "fred@rome" in known for name in set(to) - registered)


@examples(500)
@given(sentences)
def test_the_same_words_always_mean_the_same(sentence: str) -> None:
    first = parse(sentence, me="claude", known=KNOWN, last_from="fred")
    again = parse(f"  {sentence}\n", me="claude", known=iter(KNOWN), last_from="fred")
    assert again.answer() == first.answer()


@examples(500)
@given(contents)
def test_what_is_sent_can_be_typed_again(content: str) -> None:
    """A send written out with a colon is read as the same send."""
    command = parse(f"tell fred {content}", known=KNOWN)
    assume(command.intent == "send")
    slots = command.slots()
    said = slots["content"]
    assume(said.strip() == said and not (said[0] in QUOTES and said[-1] in QUOTES))
    assert parse(f"msg {', '.join(slots['to'])}: {said}", known=KNOWN).slots() == slots


@examples(500)
@given(sentences)
def test_a_negation_is_never_a_command(sentence: str) -> None:
    assert isinstance(parse(f"don't {sentence}", me="claude", known=KNOWN, last_from="fred"), Unknown)


HOSTILE = [
    " " * 65536,
    "tell " * 13000,
    "msg fred " + '"' * 65000,
    "@" * 65536,
    "msg " + "fred and " * 7000,
    "msg " + "fred," * 13000,
    "msg " + "frid," * 13000,
    "say " + "to " * 21000,
    "say hi to " + "fred and " * 7000,
    "msg fred: " + "a\nb: " * 13000,
    "fred: " + "a\nb " * 16000,
    "fred:\n" + "a" * 65000,
    "x" * 65536,
    "please " * 9000,
    "check " * 10000,
    "mesage " * 9000,
    "regsiter as " * 5000,
    "send the file " + "/" * 65000 + " to fred",
    "forward it to " + "fred, " * 10000,
    "msg " + "fred@rome," * 6500,
    "msg " + "frid@rmoe," * 6500,
    "say hi to " + "x@y and " * 7000,
    "*@" * 32768,
    "tell fred" + " " * 65000 + "x",
    "tell fred in " + "5 " * 30000,
    "reply" + " " * 65000 + "with: x",
    "é" * 32768,
    "\x00" * 65536,
    "\ud800" * 65536,
]


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text[:12]))
def test_work_grows_with_the_length_and_not_with_its_square(text: str) -> None:
    """Counted in function calls of the parse, which a backtracking reading would multiply."""
    assert _calls(text, Vocabulary()) < 40_000


def _calls(text: str, vocabulary: Vocabulary) -> int:
    calls = 0

    def count(*_: Any) -> None:
        nonlocal calls
        calls += 1

    for common in ("rubbish", "tell fred hi"):
        parse(common, known=KNOWN, vocabulary=vocabulary)  # makes what all texts share
    sys.setprofile(count)
    try:
        parse(text, me="claude", known=KNOWN, last_from="fred", vocabulary=vocabulary)
    finally:
        sys.setprofile(None)
    return calls
