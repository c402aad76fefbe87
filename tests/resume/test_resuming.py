"""A closed session is started again by mail: a real service, real hooks, and a program that stands for the host's own."""

from collections.abc import Callable

from tests.conftest import Service, wait_for
from tests.resume.closed_agents import ClosedAgents


def test_mail_of_the_person_starts_a_closed_session_again_in_its_folder_and_mode(make_service: Callable[..., Service]) -> None:
    agents = ClosedAgents(make_service(), 'names = ["web"]').start()
    web = agents.closed("web", "acceptEdits")
    wait_for("that it may be started", lambda: agents.why("web") == "")
    number = agents.write("web", "are you there?")
    wait_for("the mail in its context", lambda: agents.receipt(number)["step"] == "in_context", explain=agents.service.describe)
    (body,) = agents.bodies()
    assert (body["run"], body["folder"]) == (web.session, str(web.project))
    assert agents.saw("are you there?")
    assert body["words"][body["words"].index("--permission-mode") + 1] == "acceptEdits"
    assert "--max-turns" in body["words"] and "--max-budget-usd" not in body["words"]
    assert [step.get("way") for step in agents.receipt(number)["steps"]][1] == "resume"
