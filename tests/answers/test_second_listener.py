"""The listener beside the page: nothing of the one is reachable at the other, and strangers don't close it."""

from bridges.web.pages import ROUTES
from broker.home.settings import Settings
from broker.service.doors import DOORS
from tests.answers.listening import Listening
from tests.conftest import Service, wait_for

OF_THE_PAGE = [path for path, _show in ROUTES] + [
    "/sign-in",
    "/sign-out",
    "/events",
    "/metrics",
    "/healthz",
    "/readyz",
    "/static/x/y",
]
BROWSER, STRANGER = "127.0.0.3", "127.0.0.2"


def test_nothing_of_the_page_is_served_by_the_listener(listening: Listening) -> None:
    page = wait_for("the page", lambda: listening._read("web.json"))
    assert page["port"] != listening.answers_port()
    answers = {path: listening.http(method, path, source=BROWSER) for path in OF_THE_PAGE for method in ("GET", "POST")}
    nothing = next(iter(answers.values())).text
    assert {
        path for path, one in answers.items() if not (one.status == 404 and one.text == nothing) and one.status != 429
    } == set()


def test_strangers_are_slowed_down_and_who_has_a_link_is_not(listening: Listening, tag: str) -> None:
    question = listening.question(f"ann{tag}")
    statuses = [listening.http("GET", f"/a/guess-{n}", source=STRANGER).status for n in range(30)]
    assert statuses[0] == 404 and statuses[-1] == 429
    assert "retry-after" in listening.http("GET", "/a/guess", source=STRANGER).headers
    link = f"/a/{listening.token('question', question)}"
    assert listening.http("GET", link, source=STRANGER).status == 200, "behind a tunnel all have one address"
    assert listening.post_form(link, answer="yes").status == 200
    assert listening.answers(f"ann{tag}") == ["yes"]


def test_the_listener_is_never_open_by_default(shared: Service) -> None:
    assert Settings.load(env={"IPC_HOME": str(shared.home)}).answers == ""
    assert {row.module: row.setting for row in DOORS}["bridges.answers"] == "answers"
    assert not (shared.home / "run" / "answers.json").exists()
