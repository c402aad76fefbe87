"""Links by which a person answers: nobody without the key makes, changes, lengthens or turns one."""

import base64
import random
import string
from pathlib import Path

import pytest

from bridges.answer_tokens import KINDS, LIFE_S, AnswerToken, TokenForged, TokenLate, answer_id, mint, read
from broker.home.files import answer_key
from broker.protocol.mail_rows import MAIL_ROWS

KEY, NOW_S = "the key of the data folder", 1_800_000_000.0
DIGITS = string.ascii_letters + string.digits + "-_"


def taken(token: str, key: str = KEY, now_s: float = NOW_S) -> AnswerToken | None:
    try:
        return read(key, token, now_s)
    except (TokenForged, TokenLate):
        return None


@pytest.mark.parametrize("kind", KINDS)
def test_a_token_says_what_may_be_answered_and_until_when(kind: str) -> None:
    found = read(KEY, mint(KEY, kind, "42", NOW_S, 60), NOW_S + 59)
    assert found[:3] == (kind, "42", int(NOW_S) + 60)
    assert mint(KEY, kind, "42", NOW_S) != mint(KEY, kind, "42", NOW_S)


def test_a_token_lives_four_hours_at_most_and_is_late_afterwards() -> None:
    token = mint(KEY, "question", "42", NOW_S, 10 * LIFE_S)
    assert taken(token, now_s=NOW_S + LIFE_S - 1) is not None
    with pytest.raises(TokenLate):
        read(KEY, token, NOW_S + LIFE_S)


def forgeries(rng: random.Random) -> list[str]:
    """Some of each kind of what an attacker without the key can make of a token that it has seen."""
    kind = rng.choice(KINDS)
    token = mint(KEY, kind, str(rng.randrange(1, 10**6)), NOW_S, rng.randrange(1, LIFE_S))
    payload, mac = token.split(".")
    other = mint(KEY, rng.choice(KINDS), str(rng.randrange(1, 10**6)), NOW_S)
    fields = base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)).decode().split("\n")
    crossed = ["permission" if kind == "question" else "question", *fields[1:]]
    longer = [*fields[:2], str(int(fields[2]) + LIFE_S), fields[3]]
    another = [fields[0], str(int(fields[1]) + 1), *fields[2:]]
    changed = [base64.urlsafe_b64encode("\n".join(one).encode()).rstrip(b"=").decode() for one in (crossed, longer, another)]
    at = rng.randrange(len(token))
    # flips one of the six bits of a digit, the two of the last that no byte needs among them
    flipped = DIGITS[DIGITS.index(token[at]) ^ 1 << rng.randrange(6)] if token[at] in DIGITS else "_"
    return [
        *(f"{one}.{mac}" for one in changed),
        f"{payload}.{other.split('.')[1]}",
        token[:at] + flipped + token[at + 1 :],
        token[:at],
        token + rng.choice(DIGITS + ".= \n"),
        "".join(rng.choices(DIGITS + ".", k=rng.randrange(200))),
        mint(KEY + "?", kind, "42", NOW_S),
        f"{payload}.",
    ]


def test_of_ten_thousand_forged_changed_and_crossed_tokens_none_is_taken() -> None:
    rng = random.Random(16)  # noqa: S311
    tried = [one for _ in range(1000) for one in forgeries(rng)]
    assert len(tried) >= 10_000
    assert [one for one in tried if taken(one) is not None] == []


def test_of_ten_thousand_late_tokens_none_is_taken() -> None:
    rng = random.Random(17)  # noqa: S311
    for _ in range(10_000):
        token = mint(KEY, rng.choice(KINDS), "7", NOW_S, life := rng.uniform(1, 2 * LIFE_S))
        assert taken(token, now_s=NOW_S + min(life, LIFE_S) + rng.uniform(0, 10**6)) is None


@pytest.mark.parametrize("token", ["", ".", "..", "a", "ü.ß", "\ud800.\udfff", "a" * 10_000, "=.=", "\n", "\0.\0"])
def test_what_is_no_token_at_all_is_forged(token: str) -> None:
    with pytest.raises(TokenForged):
        read(KEY, token, NOW_S)


def test_every_token_of_a_question_stands_for_the_same_answer() -> None:
    """So the broker takes one of them, however many links were sent."""
    assert answer_id("42") == answer_id("42") != answer_id("43")
    longest = next(row for row in MAIL_ROWS if row.name == "reply").field("message_id").most
    assert len(answer_id(str(2**63))) <= longest


def test_the_key_is_made_once_and_is_private(home: Path) -> None:
    key = answer_key(home)
    assert answer_key(home) == key and len(key) > 40
    assert (home / "answers.key").stat().st_mode & 0o777 == 0o600
