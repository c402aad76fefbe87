"""What a person sees and does at the page, in a real browser: it is live, it survives the broker's end, and it acts."""

import re
import threading
from typing import TYPE_CHECKING

import pytest

from broker.client import Client
from broker.protocol.errors import RemoteError
from tests.conftest import wait_for
from tests.prompts import Asking
from tests.web.live_page import LivePage

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

SETTLED = """async () => {
  while (performance.now() - live.moved < SETTLE_MS || window.pressed === false) await new Promise((go) => setTimeout(go, 20));
}"""
PRESS_AS_IT_MOVES = """() => {
  window.pressed = false;
  const [card] = [...document.querySelectorAll(".card")].filter((one) => one.textContent.includes("rm -rf /"));
  new MutationObserver(() => {
    if (window.pressed || [...document.querySelectorAll("pre.asked")].some((one) => one.textContent === "ls")) return;
    window.pressed = true;
    card.querySelector("button").click();
  }).observe(document.querySelector("main"), { childList: true, subtree: true });
}"""
AT_ONCE_MS = 10_000


def text_of(one: "Locator") -> str:
    return re.sub(r"\s+", " ", one.inner_text())


def answered(client: Client, message: str) -> str:
    """The text of the answer to a question, which is mail."""

    def look() -> str:
        mail = client.check()
        client.ack(mail)
        return next((m.content for m in mail if m.reply_to == message), "")

    return str(wait_for(f"the answer to {message}", look))


def test_two_agents_chat_and_the_page_shows_it_as_it_happens(live: LivePage, page: "Page") -> None:
    nova, otto = live.connect("chat-nova"), live.connect("chat-otto")
    nova.send("chat-otto", "The parser is ready.\nPlease look.")
    page.goto("/conversations")
    page.get_by_role("link", name="The parser is ready.").click()
    page.get_by_role("heading", name="chat-nova and chat-otto").wait_for()
    assert text_of(page.locator(".words").first) == "The parser is ready. Please look."
    (mail,) = otto.check()
    otto.ack([mail])
    otto.reply(mail, "Looking <b>now</b>.")
    page.get_by_text("Looking <b>now</b>.").wait_for(timeout=AT_ONCE_MS)
    assert page.locator(".bubble").evaluate_all("all => all.map(one => one.classList.contains('right'))") == [False, True]
    nova.ack(nova.check())
    page.locator(".bubble", has_text="Looking").get_by_text("in context").wait_for(timeout=AT_ONCE_MS)


def test_what_is_typed_stays_while_the_page_goes_on(live: LivePage, page: "Page") -> None:
    asker, other = live.connect("typed-nova"), live.connect("typed-otto")
    asker.request("ask", to_id="pat", message={"content": "May I?"}, wait_s=0)
    page.goto("/")
    field = page.get_by_placeholder("Your answer to typed-nova")
    field.fill("Yes, b")
    field.press("End")
    other.request("presence", state="working", note="something quite new")
    page.get_by_text("something quite new").wait_for(timeout=AT_ONCE_MS)
    assert field.input_value() == "Yes, b"
    page.keyboard.type("ut not today")
    assert field.input_value() == "Yes, but not today"
    field.fill("")


def test_a_card_that_is_over_keeps_what_was_typed_and_says_so(live: LivePage, page: "Page") -> None:
    nova = live.connect("over-nova")
    asked = nova.request("ask", to_id="pat", message={"content": "Still there?"}, wait_s=0)
    page.goto("/")
    card = page.locator(".card", has_text="Still there?")
    card.get_by_role("textbox").fill("Half an ans")
    live.post("/act/reply", {"message": asked["number"], "content": "By another window."})
    card.get_by_text("This is over now.").wait_for(timeout=AT_ONCE_MS)
    assert card.get_by_role("textbox").input_value() == "Half an ans"
    page.reload()
    page.get_by_role("heading", name="Agents").wait_for()
    assert card.count() == 0


def test_whoever_signs_out_is_out(live: LivePage, browser: "Browser") -> None:
    context = browser.new_context()
    tab = context.new_page()
    tab.goto(live.link())
    tab.wait_for_url(f"{live.origin}/")
    tab.get_by_role("button", name="Sign out").click()
    tab.wait_for_url(f"{live.origin}/sign-in")
    tab.goto(f"{live.origin}/claims")
    tab.get_by_role("heading", name="Sign in").wait_for()
    context.close()


def test_a_killed_broker_is_said_at_the_top_and_goes_away_by_itself(live: LivePage, page: "Page") -> None:
    page.goto("/")
    line = page.get_by_text("does not answer")
    assert not line.is_visible()
    live.kill("broker")
    line.wait_for(timeout=AT_ONCE_MS)
    wait_for("the broker", lambda: live.pid("broker"))
    line.wait_for(state="hidden", timeout=2 * AT_ONCE_MS)
    live.connect("after-the-kill")
    page.get_by_role("link", name="after-the-kill").first.wait_for(timeout=AT_ONCE_MS)


def test_a_question_is_answered_by_the_page_and_the_agent_gets_it(live: LivePage, page: "Page") -> None:
    nova = live.connect("asks-nova")
    asked = nova.request("ask", to_id="pat", message={"content": "Shall I delete the old files?"}, wait_s=0)
    page.goto("/")
    card = page.locator(".card", has_text="Shall I delete the old files?")
    card.get_by_role("textbox").fill("No, keep them.")
    card.get_by_role("button", name="Answer").click()
    page.get_by_text("Your answer is on its way.").wait_for()
    assert answered(nova, asked["number"]) == "No, keep them."
    assert card.count() == 0


def test_a_question_is_answered_by_one_of_its_buttons_once(live: LivePage, page: "Page") -> None:
    nova = live.connect("button-nova")
    message = {"content": "Deploy now?", "data": {"buttons": ["Yes, now", "<b>not</b> today"]}}
    asked = nova.request("ask", to_id="pat", message=message, wait_s=0)
    page.goto("/")
    card = page.locator(".card", has_text="Deploy now?")
    card.get_by_role("button", name="<b>not</b> today").click()
    page.get_by_text("Your answer is on its way.").wait_for()
    assert answered(nova, asked["number"]) == "<b>not</b> today"
    assert card.count() == 0


def test_a_question_is_answered_without_scripts(live: LivePage, page: "Page") -> None:
    nova = live.connect("plain-nova")
    asked = nova.request("ask", to_id="pat", message={"content": "Is it so?"}, wait_s=0)
    context = page.context.browser.new_context(java_script_enabled=False, base_url=live.origin)  # type: ignore[union-attr]
    context.add_cookies(page.context.cookies())  # type: ignore[arg-type]
    plain = context.new_page()
    plain.goto("/")
    card = plain.locator(".card", has_text="Is it so?")
    card.get_by_role("textbox").fill("It is.")
    card.get_by_role("button", name="Answer").click()
    plain.get_by_text("Your answer is on its way.").wait_for()
    context.close()
    assert answered(nova, asked["number"]) == "It is."


def test_the_person_writes_to_one_and_to_everyone(live: LivePage, page: "Page") -> None:
    nova, otto = live.connect("told-nova"), live.connect("told-otto")
    page.goto("/write?to=told-nova")
    page.get_by_label("Message").fill("Only you.")
    page.get_by_role("button", name="Send").click()
    page.get_by_text("Sent.").wait_for()
    page.goto("/write?to=everyone")
    page.get_by_label("Message").fill("All of you.")
    page.get_by_role("button", name="Send").click()
    page.get_by_text("Sent.").wait_for()
    assert [(m.sender, m.content) for m in nova.check()] == [("pat", "Only you."), ("pat", "All of you.")]
    assert [m.content for m in otto.check()] == ["All of you."]


def test_mail_to_the_person_is_read_once_it_was_on_the_page(live: LivePage, page: "Page") -> None:
    nova = live.connect("mails-nova")
    sent = nova.send("pat", "For your eyes.")
    page.goto("/with/mails-nova/pat")
    page.get_by_text("For your eyes.").wait_for()

    def step() -> bool:
        (row,) = nova.request("receipts", ids=[sent["message_id"]])["receipts"]
        return bool(row["step"] == "in_context")

    wait_for("the receipt", step)


def test_the_person_stops_a_pair_and_the_wakes_of_an_agent(live: LivePage, page: "Page") -> None:
    nova, otto = live.connect("pair-nova"), live.connect("pair-otto")
    nova.send("pair-otto", "ping")
    page.goto("/agent/pair-nova")
    page.get_by_role("button", name="Stop the two pair-nova and pair-otto").click()
    page.get_by_role("button", name="Let them write again").wait_for()
    with pytest.raises(RemoteError, match="paused"):
        otto.send("pair-nova", "pong")
    page.get_by_role("button", name="Let them write again").click()
    page.get_by_role("button", name="Stop the two").wait_for()
    otto.send("pair-nova", "pong")
    page.get_by_role("button", name="Pause its wakes").click()
    page.get_by_text("Nothing wakes it: you paused that.").wait_for()
    page.get_by_role("button", name="Resume its wakes").click()
    page.get_by_role("button", name="Pause its wakes").wait_for()


def test_a_permission_is_shown_as_the_host_gave_it_and_decided_by_the_page(live: LivePage, page: "Page") -> None:
    nova = live.connect("permit-nova")
    shown = "$ rm -rf build/ <b>\n" + "x" * 9000 + "\nthe end"
    decided: list[str] = []

    def wait() -> None:
        fields = {"call": "call-1", "tool": "Bash", "shown": shown, "wait_s": 30}
        decided.append(nova.request("permission_ask", timeout_s=40, **fields)["decision"])

    hook = threading.Thread(target=wait)
    hook.start()
    page.goto("/")
    card = page.locator(".card", has_text="permit-nova")
    card.locator("pre").wait_for(timeout=AT_ONCE_MS)
    assert card.locator("pre").text_content() == shown
    page.evaluate(SETTLED)
    card.get_by_role("button", name="Deny").click()
    card.wait_for(state="detached")
    hook.join(timeout=10)
    assert decided == ["deny"]


def test_a_press_on_a_card_that_has_just_come_under_the_pointer_decides_nothing(live: LivePage, page: "Page") -> None:
    """An agent may end its harmless prompt as the person is about to allow it: the next one moves up to its place."""
    with Asking(live.settings, live.register("settle-b"), shown="rm -rf /", call="2") as second:
        with Asking(live.settings, live.register("settle-a"), shown="ls", call="1"):
            page.goto("/")
            card = page.locator(".card", has_text="rm -rf /")
            card.wait_for()
            page.locator(".card", has_text="settle-a").wait_for()
            page.evaluate(SETTLED)
            page.evaluate(PRESS_AS_IT_MOVES)
        page.evaluate(SETTLED)
        card.get_by_role("button", name="Deny").click()
        assert second.told() == "deny"


def test_a_dead_letter_is_sent_again(live: LivePage, page: "Page") -> None:
    nova, otto = live.connect("dead-nova"), live.connect("dead-otto")
    nova.send("dead-rex", "Too late for rex.", ttl_s=1)
    page.goto("/dead")
    card = page.locator(".card", has_text="Too late for rex.")
    card.wait_for(timeout=2 * AT_ONCE_MS)
    card.get_by_label("To").fill("dead-otto")
    card.get_by_role("button", name="Send again").click()
    page.get_by_text("Sent again.").wait_for()
    mail = wait_for("the letter", otto.check)
    assert [(m.sender, m.content, m.forwarded["from"]) for m in mail] == [("pat", "Too late for rex.", "dead-nova")]
    assert card.count() == 0


def test_the_colours_are_switched_and_remembered(live: LivePage, page: "Page") -> None:
    page.goto("/groups")
    page.get_by_role("button", name="Colours: auto").click()
    page.goto("/claims")
    assert page.locator("html").get_attribute("data-theme") == "dark"
    page.get_by_role("button", name="Colours: dark").click()
    page.get_by_role("button", name="Colours: light").click()
    page.goto("/claims")
    assert page.locator("html").get_attribute("data-theme") is None
