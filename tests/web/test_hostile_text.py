"""Text of others stays text, whatever it holds: no script runs, no element is made of it, nothing is hidden or turned round."""

from typing import TYPE_CHECKING

import pytest

from tests.web.live_page import LivePage

if TYPE_CHECKING:
    from playwright.sync_api import Page

MARKUP = """<script>window.harmed = 1</script><img src=x onerror="window.harmed = 1"><b id=evil>bold</b>
</p></article><form action=https://example.org><input name=q></form><a href="javascript:window.harmed=1">go</a>
"><svg onload=window.harmed=1> {{ 7*7 }} {% raw %} &lt;b&gt; <!-- </script> ]]>"""
TURNED = "safe \u202egnp.exe\u2066 zero\u200bwidth \x1b[31mred\x07 \u2028line \ue0041 \U000e0041tag"
LONG = "x" * 1_000_000
MARKDOWN = (
    "# <script>window.harmed = 1</script>\n\n[go](javascript:window.harmed=1) ![pic](https://example.org/x.png) "
    "[data](data:text/html,<script>window.harmed=1</script>) <img src=x onerror=window.harmed=1>\n\n<b id=evil>x</b>\n\n"
    + "word "
    * 4000
)
EVIL_ELEMENTS = "#evil, img, main script, main iframe, a[href^='javascript:'], a[href^='data:'], form[action*='example.org']"


@pytest.fixture(scope="module")
def ids(live: LivePage) -> dict[str, str]:
    eve, otto = live.connect("eve"), live.connect("hurt-otto")
    for text in (MARKUP, TURNED, LONG, MARKDOWN):
        eve.send("hurt-otto", text, data={"note": MARKUP})
    mail = otto.check()
    otto.reply(mail[0], f"quoted: {MARKUP}")
    eve.request("claim", resource=MARKUP[:200], note=TURNED[:100])
    eve.request("presence", state="working", note=MARKUP[:150])
    eve.request("ask", to_id="pat", message={"content": MARKUP + TURNED}, wait_s=0)
    return dict(zip(("markup", "turned", "long", "markdown"), (m.id for m in mail), strict=True))


def pages_of(ids: dict[str, str]) -> list[str]:
    shown = [f"/message/{number}" for number in ids.values()]
    return ["/", "/conversations", "/agent/eve", "/with/eve/hurt-otto", "/search?q=bold", "/claims", "/log", "/traffic", *shown]


def test_no_script_runs_and_no_element_is_made(live: LivePage, ids: dict[str, str], page: "Page") -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    for path in pages_of(ids):
        page.goto(path)
        assert page.evaluate("window.harmed") is None, path
        assert page.locator(EVIL_ELEMENTS).count() == 0, path
    assert [url for url in asked if not url.startswith(live.origin)] == []


def test_markup_is_shown_as_it_was_written(ids: dict[str, str], page: "Page") -> None:
    page.goto(f"/message/{ids['markup']}")
    assert page.locator(".words").first.text_content() == MARKUP


def test_it_stays_text_when_the_page_goes_on(live: LivePage, ids: dict[str, str], page: "Page") -> None:
    page.goto("/with/eve/hurt-otto")
    live.connect("eve-2").send("eve", "x")
    late = live.connect("eve-late")
    late.request("presence", state="working", note=MARKUP[:150])
    page.goto("/")
    late.request("presence", state="working", note=f"late {MARKUP[:140]}")
    page.get_by_text("late <script>").first.wait_for()
    assert page.evaluate("window.harmed") is None
    assert page.locator(EVIL_ELEMENTS).count() == 0


def test_hidden_and_turning_characters_are_written_out(live: LivePage, ids: dict[str, str]) -> None:
    for path in pages_of(ids):
        shown = live.get(path).text
        assert not set("\u202e\u2066\u200b\x1b\x07\u2028\U000e0041") & set(shown), path
    assert "\\u202egnp.exe" in live.get(f"/message/{ids['turned']}").text


def test_a_line_of_a_million_characters_is_cut_with_a_link_to_it_all(live: LivePage, ids: dict[str, str]) -> None:
    page = live.get(f"/message/{ids['long']}")
    assert len(page.text.encode()) < 200_000
    link = f"/message/{ids['long']}/text"
    assert link in page.text
    whole = live.get(link)
    assert whole.text == LONG
    assert (whole.headers["content-type"], whole.headers["x-content-type-options"]) == ("text/plain; charset=utf-8", "nosniff")


def test_a_file_that_was_changed_is_not_shown(live: LivePage) -> None:
    eve = live.connect("eve-file")
    eve.send("hurt-file", "original " * 3000)
    path = next(f for f in (live.home / "large-messages").iterdir() if "hurt-file" in f.name)
    (mail,) = live.connect("hurt-file").check()
    before = live.get(f"/message/{mail.id}").text
    path.write_text(path.read_text().replace("original", "<i>forged</i>"))
    after = live.get(f"/message/{mail.id}").text
    assert before.count("original") > 1000
    assert "forged" not in after and "gone or was changed" in after
