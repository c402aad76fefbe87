"""Answers by link: shown to whoever has the link, decided by a POST alone, once."""

import html
from concurrent.futures import ThreadPoolExecutor

import pytest

from bridges.answer_tokens import mint
from broker.home.files import answer_key
from tests.answers.listening import Listening

PREVIEWS: list[dict[str, str]] = [
    {},
    {"Sec_Purpose": "prefetch"},
    {"Purpose": "prefetch", "X_Moz": "prefetch"},
    {"User_Agent": "Slackbot-LinkExpanding 1.0"},
    {"X_HTTP_Method_Override": "POST", "X_Method_Override": "POST"},
    {"Content_Type": "application/x-www-form-urlencoded"},
]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_looking_at_a_link_never_answers_however_a_preview_looks(listening: Listening, tag: str, method: str) -> None:
    question = listening.question(f"ann{tag}", buttons=["yes", "no"])
    link = f"/a/{listening.token('question', question)}"
    for headers in PREVIEWS:
        for path in (link, f"{link}?button=0", f"{link}?answer=yes&decision=allow"):
            assert listening.http(method, path, **headers).status == 200
    assert listening.answers(f"ann{tag}") == []
    assert question in [q["id"] for q in listening.owner("overview")["questions"]]


def test_a_button_answers_once_and_the_link_is_over_then(listening: Listening, tag: str) -> None:
    question = listening.question(f"ann{tag}", buttons=["yes, go", "no"])
    link = f"/a/{listening.token('question', question)}"
    shown = listening.http("GET", link).text
    assert f"ann{tag} asks you" in shown and ">yes, go</button>" in shown and "<script" not in shown
    assert listening.post_form(link, button="0").status == 200
    for reply in (listening.post_form(link, button="1"), listening.post_form(link, button="0"), listening.http("GET", link)):
        assert reply.status == 410
    assert listening.answers(f"ann{tag}") == ["yes, go"]


def test_a_button_sends_what_stands_on_it_and_no_more(listening: Listening, tag: str) -> None:
    label = f"wait until tomorrow{' ' * 90}and delete the old ones"
    question = listening.question(f"ann{tag}", buttons=[label, *"abcde", "not shown"])
    link = f"/a/{listening.token('question', question)}"
    page = listening.http("GET", link).text
    assert f">{label}</button>" in page and "not shown" not in page
    assert "white-space:pre-wrap" in page.partition("button{min-height")[2].partition("}")[0]
    for number in ("6", "0009", "01", f"{'0' * 5000}1", "-1", "²"):
        assert listening.post_form(link, button=number).status == 400, number
    assert listening.post_form(link, button="0").status == 200
    assert listening.answers(f"ann{tag}") == [label]


def test_a_question_without_buttons_is_answered_in_words(listening: Listening, tag: str) -> None:
    question = listening.question(f"ann{tag}", "which branch?")
    link = f"/a/{listening.token('question', question)}"
    empty = listening.post_form(link, answer="  ")
    assert empty.status == 400 and "<p>The answer is empty. Go back, and write one or press a button.</p>" in empty.text
    assert listening.post_form(link, button="0").status == 400
    assert listening.post_form(link, answer="main, ünd <b>").status == 200
    assert listening.answers(f"ann{tag}") == ["main, ünd <b>"]


def test_of_many_links_pressed_at_once_one_answer_is_taken(listening: Listening, tag: str) -> None:
    question = listening.question(f"ann{tag}")
    links = [f"/a/{listening.token('question', question)}" for _ in range(3)]
    with ThreadPoolExecutor(6) as pool:
        replies = list(pool.map(lambda n: listening.post_form(links[n % 3], answer=f"answer {n}"), range(6)))
    taken = [n for n, reply in enumerate(replies) if reply.status == 200]
    assert len(taken) == 1 and {reply.status for reply in replies} == {200, 410}
    assert listening.answers(f"ann{tag}") == [f"answer {taken[0]}"]


def test_what_was_answered_elsewhere_is_over(listening: Listening, tag: str) -> None:
    question = listening.question(f"ann{tag}")
    with listening.environment():
        person = listening.connect("pat", token=listening.person())
    person.request("reply", to_message=question, message={"content": "by hand"})
    reply = listening.post_form(f"/a/{listening.token('question', question)}", answer="by phone")
    assert (reply.status, listening.answers(f"ann{tag}")) == (410, ["by hand"])


def test_an_asker_who_took_its_question_back_is_answered_by_nobody(listening: Listening, tag: str) -> None:
    question = listening.question(f"ann{tag}")
    listening.connect(f"ann{tag}", force=True).request("withdraw", withdraw_id=question)
    assert listening.post_form(f"/a/{listening.token('question', question)}", answer="yes").status == 410


def test_hostile_words_stay_text(listening: Listening, tag: str) -> None:
    text = "</pre><script>alert(1)</script><form action=//evil>\u202e\x1b[2J" + "x" * 20_000
    question = listening.question(f"ann{tag}", text, buttons=['"><img src=x onerror=1>', 5, "", "ok"])
    shown = listening.http("GET", f"/a/{listening.token('question', question)}").text
    assert "<script" not in shown and "<img" not in shown and "evil>" not in shown
    assert html.escape('"><img src=x onerror=1>') in shown and "\\u202e\\x1b[2J" in shown and "\u202e" not in shown
    assert text[-20_000:] in shown, "the whole question is shown, not its first 500 characters"


def test_late_forged_and_crossed_links_decide_nothing(listening: Listening, tag: str) -> None:
    question = listening.question(f"ann{tag}")
    key = answer_key(listening.home)
    late = mint(key, "question", question, 1_700_000_000)
    assert listening.post_form(f"/a/{late}", answer="late").status == 410
    good = listening.token("question", question)
    forged = [
        good[:-1] + ("A" if good[-1] != "A" else "B"),
        good.replace(".", "x"),
        mint("another key", "question", question, 4e9),
        "x",
        "x" * 500,
    ]
    replies = [listening.post_form(f"/a/{token}", answer="forged") for token in forged]
    replies += [listening.http("GET", path) for path in ("/a/", "/a", "/a/x/y", "/b", "/hook/ci")]
    assert {(reply.status, reply.text) for reply in replies} == {(404, replies[0].text)}, "all forged and unknown are alike"
    assert listening.post_form(f"/a/{listening.token('permission', question)}", decision="allow").status == 410
    assert listening.answers(f"ann{tag}") == []


def test_another_name_page_or_method_is_turned_away(listening: Listening, tag: str) -> None:
    question = listening.question(f"ann{tag}")
    link = f"/a/{listening.token('question', question)}"
    for host in ("evil.example", "ipc.example.evil.example", "", "ipc.example@evil", "10.0.0.1"):
        assert listening.http("GET", link, Host=host).status in (400, 421), host
    for host in ("IPC.example:443", "localhost:1", "127.0.0.1", "[::1]:9"):
        assert listening.http("GET", link, Host=host).status == 200, host
    for origin in ("https://evil.example", "null"):
        assert listening.http("POST", link, b"answer=x", Origin=origin).status == 403
    for method in ("PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"):
        assert listening.http(method, link).status == 405
    assert listening.http("POST", link, b"answer=" + b"x" * 70_000).status == 413
    assert listening.http("POST", link, b"&".join(b"a%d=" % n for n in range(50))).status == 400
    assert listening.answers(f"ann{tag}") == []


def test_every_page_forbids_scripts_frames_and_storing(listening: Listening, tag: str) -> None:
    question = listening.question(f"ann{tag}")
    for path in (f"/a/{listening.token('question', question)}", "/", "/a/x"):
        headers = listening.http("GET", path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "script" not in headers["content-security-policy"] and "unsafe" not in headers["content-security-policy"]
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert (headers["cache-control"], headers["x-content-type-options"]) == ("no-store", "nosniff")
        assert "set-cookie" not in headers


def test_a_broker_that_is_killed_in_between_has_one_answer_in_the_end(listening: Listening, tag: str) -> None:
    question = listening.question(f"ann{tag}")
    link = f"/a/{listening.token('question', question)}"
    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(listening.post_form, link, answer="yes")
        listening.kill("broker")
        others = [pool.submit(listening.post_form, link, answer=f"no {n}") for n in range(3)]
        statuses = [one.result().status for one in (first, *others)]
    assert set(statuses) <= {200, 410, 503}, statuses
    if 200 not in statuses:
        assert listening.post_form(link, answer="again").status == 200
    assert listening.post_form(link, answer="once more").status == 410
    assert len(listening.answers(f"ann{tag}")) == 1
