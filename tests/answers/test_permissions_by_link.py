"""Permission prompts by link: shown as the host gave them, decided by a POST, once, and by no silence."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.answers.listening import Listening, Prompt

MakePrompt = Callable[..., Prompt]


@pytest.fixture
def prompt(listening: Listening, tag: str) -> Iterator[MakePrompt]:
    made: list[Prompt] = []

    def make(shown: str = "rm -rf build") -> Prompt:
        made.append(Prompt(listening, f"ann{tag}{len(made)}", shown))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.mark.parametrize("decision", ["allow", "deny"])
def test_a_prompt_is_decided_once_by_its_link(listening: Listening, prompt: MakePrompt, decision: str) -> None:
    asked = prompt("rm -rf build && echo '<b>'\u202e")
    link = f"/a/{listening.token('permission', asked.id)}"
    for method in ("GET", "HEAD", "GET"):
        assert listening.http(method, f"{link}?decision=allow").status == 200
    shown = listening.http("GET", link).text
    assert "rm -rf build &amp;&amp; echo &#x27;&lt;b&gt;&#x27;\\u202e" in shown and "Bash" in shown
    assert asked.waits
    assert listening.post_form(link, decision="maybe").status == 400
    assert listening.post_form(link, decision=decision).status == 200
    assert asked.decision() == decision
    for other in ("allow", "deny"):
        assert listening.post_form(link, decision=other).status == 410


def test_a_question_s_link_decides_no_prompt_and_one_prompt_s_link_no_other(listening: Listening, prompt: MakePrompt) -> None:
    one, other = prompt(), prompt("git push --force")
    crossed = listening.post_form(f"/a/{listening.token('question', one.id)}", decision="allow", answer="allow")
    assert crossed.status == 410
    assert listening.post_form(f"/a/{listening.token('permission', other.id)}", decision="deny").status == 200
    assert other.decision() == "deny" and one.waits


def test_of_many_presses_at_once_one_decides(listening: Listening, prompt: MakePrompt) -> None:
    asked = prompt()
    links = [f"/a/{listening.token('permission', asked.id)}" for _ in range(2)]
    with ThreadPoolExecutor(6) as pool:
        choices = ["allow", "deny"] * 3
        replies = list(pool.map(lambda n: listening.post_form(links[n % 2], decision=choices[n]), range(6)))
    taken = [choices[n] for n, reply in enumerate(replies) if reply.status == 200]
    assert taken == [asked.decision()]


def test_a_killed_broker_has_decided_nothing_and_the_link_is_over(listening: Listening, prompt: MakePrompt) -> None:
    asked = prompt()
    link = f"/a/{listening.token('permission', asked.id)}"
    asked.close()  # a hook says nothing when its connection is lost
    listening.kill("broker")
    assert listening.post_form(link, decision="allow").status == 410
    again = prompt()
    assert listening.post_form(link, decision="allow").status == 410, "its id means nothing to the next broker"
    assert again.waits
