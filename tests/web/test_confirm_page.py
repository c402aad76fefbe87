"""The confirm page of a link, in a real browser: no script, nothing from elsewhere, and it answers by its buttons."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.answers.listening import Listening

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

HOSTILE = "Deploy?\n</pre><script>document.title = 'owned'</script><img src=//evil.example/x>\u202e"


@pytest.fixture(scope="module")
def listening() -> Iterator[Listening]:
    service = Listening(Path(tempfile.mkdtemp(prefix="ipc-")))
    yield service.start()
    service.stop()
    shutil.rmtree(service.home, ignore_errors=True)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_link_is_answered_on_a_phone(
    browser: "Browser", axe: "Callable[[Page], list[str]]", listening: Listening, tag: str, scheme: str
) -> None:
    question = listening.question(f"ann{tag}", HOSTILE, buttons=["yes, go", "not today"])
    context = browser.new_context(viewport={"width": 360, "height": 640}, color_scheme=scheme)  # type: ignore[arg-type]
    page = context.new_page()
    asked: list[str] = []
    said: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    origin = f"http://127.0.0.1:{listening.answers_port()}"
    page.goto(f"{origin}/a/{listening.token('question', question)}")
    assert page.title() == f"ann{tag} asks you" and "</pre><script>" in page.locator("pre").inner_text()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert page.evaluate("getComputedStyle(document.querySelector('button')).fontWeight") == "600", "the style's hash is right"
    assert axe(page) == []
    page.get_by_role("button", name="yes, go").click()
    page.get_by_role("heading", name="Your answer is on its way").wait_for()
    assert axe(page) == []
    assert [url for url in asked if not url.startswith(origin)] == [] and said == []
    context.close()
    assert listening.answers(f"ann{tag}") == ["yes, go"]
