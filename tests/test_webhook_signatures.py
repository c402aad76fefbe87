"""Signatures of webhooks, by the published examples of both forms, and against all that is not signed so."""

import pytest

from bridges.webhook_signatures import WINDOW_S, WrongSignature, check_generic, check_github, secret_bytes, sign

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # noqa: S105
ID, TIME_S, BODY = "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
SIGNED = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
GENERIC = {"webhook-id": ID, "webhook-timestamp": str(TIME_S), "webhook-signature": SIGNED}
GITHUB_SECRET = b"It's a Secret to Everybody"
GITHUB = {
    "x-hub-signature-256": "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
    "x-github-delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958",
}


def test_the_generic_form_signs_as_its_libraries_do() -> None:
    assert sign(secret_bytes(SECRET), ID, TIME_S, BODY) == SIGNED
    assert check_generic(secret_bytes(SECRET), GENERIC, BODY, TIME_S) == ID


def test_a_signature_stands_for_one_id_time_and_body() -> None:
    """What is signed has full stops between: an id without one can't be taken apart otherwise."""
    secret = secret_bytes(SECRET)
    signed = sign(secret, "evt", TIME_S - 3600, f"{TIME_S}.x".encode())
    split = {"webhook-id": f"evt.{TIME_S - 3600}", "webhook-timestamp": str(TIME_S), "webhook-signature": signed}
    with pytest.raises(WrongSignature, match="full stop"):
        check_generic(secret, split, b"x", TIME_S)


@pytest.mark.parametrize("several", [f"v1,AAAA {SIGNED}", f"v1a,zzzz {SIGNED}", f"{SIGNED} v1,AAAA"])
def test_one_of_several_signatures_is_enough_while_a_secret_is_changed(several: str) -> None:
    assert check_generic(secret_bytes(SECRET), {**GENERIC, "webhook-signature": several}, BODY, TIME_S) == ID


@pytest.mark.parametrize(
    "changed",
    [
        {"webhook-id": "msg_other"},
        {"webhook-id": ""},
        {"webhook-timestamp": str(TIME_S + 1)},
        {"webhook-timestamp": "soon"},
        {"webhook-timestamp": "²"},
        {"webhook-timestamp": "9" * 400},
        {"webhook-signature": ""},
        {"webhook-signature": SIGNED.removeprefix("v1,")},
        {"webhook-signature": SIGNED.lower()},
        {"webhook-signature": "v1,x " * 1000 + SIGNED},
        {"webhook-signature": "\udcff"},
    ],
)
def test_a_changed_generic_webhook_is_refused(changed: dict[str, str]) -> None:
    with pytest.raises(WrongSignature):
        check_generic(secret_bytes(SECRET), {**GENERIC, **changed}, BODY, TIME_S)


def test_a_generic_webhook_is_refused_outside_its_five_minutes_and_with_another_body_or_secret() -> None:
    secret = secret_bytes(SECRET)
    for off_s in (-WINDOW_S, WINDOW_S):
        assert check_generic(secret, GENERIC, BODY, TIME_S + off_s) == ID
    for off_s in (-WINDOW_S - 1, WINDOW_S + 1):
        with pytest.raises(WrongSignature, match="off by more"):
            check_generic(secret, GENERIC, BODY, TIME_S + off_s)
    for key, body in ((secret, BODY + b" "), (secret_bytes("whsec_" + "AAAA" * 8), BODY)):
        with pytest.raises(WrongSignature):
            check_generic(key, GENERIC, body, TIME_S)


def test_github_is_believed_by_its_own_example_and_by_nothing_else() -> None:
    assert check_github(GITHUB_SECRET, GITHUB, b"Hello, World!") == GITHUB["x-github-delivery"]
    wrong = [
        {**GITHUB, "x-hub-signature-256": GITHUB["x-hub-signature-256"].removeprefix("sha256=")},
        {**GITHUB, "x-hub-signature-256": "sha256=" + "0" * 64},
        {"x-github-delivery": GITHUB["x-github-delivery"], "x-hub-signature": "sha1=d03207e4b030cf234e3447bac4d93add4c6643d8"},
        {**GITHUB, "x-github-delivery": ""},
    ]
    for headers in wrong:
        with pytest.raises(WrongSignature):
            check_github(GITHUB_SECRET, headers, b"Hello, World!")
    with pytest.raises(WrongSignature):
        check_github(GITHUB_SECRET, GITHUB, b"Hello, World?")


@pytest.mark.parametrize("secret", ["", "short", "whsec_", "whsec_AAAA", "whsec_not base64 at all, is it?"])
def test_a_secret_that_is_too_short_or_broken_is_named_so(secret: str) -> None:
    with pytest.raises(ValueError):
        secret_bytes(secret)
