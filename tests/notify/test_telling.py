"""The person is told what waits, by real processes: once, also after restarts and when a receiver was away."""

import contextlib
import http.client
from pathlib import Path
from urllib.parse import urlencode

from bridges.webhook_signatures import check_generic, secret_bytes
from tests.answers.listening import Prompt
from tests.conftest import Service, wait_for
from tests.notify.receiving import SECRET, TOKEN, Receiver, Telling, config
from tests.shell import Shell

LOST_WORDS = "a secret of <b>ours</b> & \x1b[2J\u202e -- --urgency=low"


def test_a_question_reaches_all_channels_with_its_kind_and_name(receiver: Receiver, telling: Telling, tag: str) -> None:
    name = f"ann{tag}"
    telling.ask(name, LOST_WORDS)
    (ntfy,), (hook,), call = receiver.told("/", name), receiver.told("/hook", name), telling.called(name)
    assert (ntfy.json()["topic"], ntfy.json()["title"]) == ("my-topic", f"{name} asks you something")
    assert ntfy.headers["authorization"] == f"Bearer {TOKEN}"
    assert (hook.json()["type"], hook.json()["data"]["name"]) == ("agent.question", name)
    assert check_generic(secret_bytes(SECRET), hook.headers, hook.body, int(hook.headers["webhook-timestamp"]))
    assert call[:4] == ["--app-name=agent-ipc", "--urgency=critical", "--", f"{name} asks you something"]
    assert "secret of" not in str((hook, call)), "its words go only where body is full"
    assert ntfy.json()["message"] == "a secret of <b>ours</b> & \\x1b[2J\\u202e -- --urgency=low"
    (action,) = ntfy.json()["actions"]
    assert (action["action"], action["label"], action["url"]) == ("view", "Answer", ntfy.json()["click"])


def pressed(telling: Telling, link: str, form: dict[str, str]) -> int:
    """The status of a link that a phone opens, or posts a form to."""
    headers = {"Host": "ipc.example", "Content-Type": "application/x-www-form-urlencoded"}
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", telling.port_of_answers(), timeout=20)) as connection:
        path = link.removeprefix("https://ipc.example")
        connection.request("POST" if form else "GET", path, body=urlencode(form) if form else None, headers=headers)
        return connection.getresponse().status


def test_a_permission_is_told_and_decided_on_the_phone(receiver: Receiver, telling: Telling, tag: str) -> None:
    prompt = Prompt(telling, f"ann{tag}", "rm -rf build")
    ntfy = receiver.told("/", f"ann{tag}")[0].json()
    assert (ntfy["title"], ntfy["priority"]) == (f"ann{tag} wants your permission", 5)
    assert "rm -rf build" in ntfy["message"] and "rm -rf" not in str(receiver.told("/hook", f"ann{tag}")[0].body)
    assert [pressed(telling, ntfy["click"], one) for one in ({}, {"decision": "deny"}, {"decision": "allow"})] == [
        200,
        200,
        410,
    ]
    assert prompt.decision() == "deny"
    prompt.close()


def test_pressed_on_the_phone_the_answer_reaches_who_asked(receiver: Receiver, telling: Telling, tag: str) -> None:
    name = f"ann{tag}"
    telling.ask(name)
    link = str(receiver.told("/", name)[0].json()["click"])
    assert link.startswith("https://ipc.example/a/") and telling.called(name)[4].startswith("https://ipc.example/a/")
    assert [pressed(telling, link, one) for one in ({}, {"answer": "main"}, {"answer": "dev"})] == [200, 200, 410]
    assert [mail.content for mail in telling.connect(name, force=True).check()] == ["main"]


def test_a_dead_letter_is_told_too(receiver: Receiver, telling: Telling, tag: str) -> None:
    telling.connect(f"ann{tag}").send(f"bob{tag}", "hello", ttl_s=1)
    (told,) = receiver.told("/hook", f"of ann{tag}")
    assert told.json()["type"] == "agent.bounce"


def test_a_restart_of_everything_tells_nothing_twice_and_misses_nothing(receiver: Receiver, telling: Telling, tag: str) -> None:
    names = [f"{one}{tag}" for one in ("ann", "bob", "carl")]
    telling.ask(names[0])
    receiver.told("/", names[0]), receiver.told("/hook", names[0]), telling.called(names[0])
    wait_for("the state", lambda: (telling.home / "notify.json").read_text().count(f'"question:{telling.last}"') == 3)
    telling.kill("notify")
    telling.kill("broker")
    telling.ask(names[1])
    receiver.told("/", names[1])
    telling.stop()
    telling.start()
    telling.ask(names[2])
    receiver.told("/", names[2]), receiver.told("/hook", names[2])
    for name in names:
        assert (len(receiver.of("/", name)), len(receiver.of("/hook", name))) == (1, 1), name


def test_a_receiver_that_was_away_is_told_later_under_the_same_id(receiver: Receiver, telling: Telling, tag: str) -> None:
    name = f"ann{tag}"
    receiver.answers[name] = [(503, {"Retry-After": "1"}), (503, {}), (500, {})]
    telling.ask(name)
    wait_for("the attempt in ipc notify", lambda: "tried 1 time" in telling.shell().ok("notify"))
    first, second = receiver.told("/hook", name, 2)[:2]
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert {one.json()["sequence_id"] for one in receiver.told("/", name, 2)} == {first.headers["webhook-id"]}


def test_a_receiver_that_wants_none_has_a_dead_letter_and_is_not_asked_again(
    receiver: Receiver, telling: Telling, tag: str
) -> None:
    name = f"ann{tag}"
    receiver.answers[name] = [(410, {}), (410, {})]
    telling.ask(name)
    shown = wait_for("the dead letter", lambda: name in (said := telling.shell().ok("notify")) and said)
    assert "Given up" in shown and "410" in shown
    telling.ask(f"bob{tag}")
    receiver.told("/hook", f"bob{tag}")
    assert len(receiver.of("/hook", name)) == 1


def test_what_is_answered_before_it_could_be_told_is_not_told(receiver: Receiver, telling: Telling, tag: str) -> None:
    name = f"ann{tag}"
    receiver.answers[name] = [(503, {"Retry-After": "3600"}), (503, {"Retry-After": "3600"})]
    question = telling.ask(name)
    receiver.told("/hook", name), receiver.told("/", name)
    telling.connect(name, force=True).request("withdraw", withdraw_id=question)
    wait_for("nothing that waits", lambda: "tried 1 time" not in telling.shell().ok("notify"))
    assert (len(receiver.of("/hook", name)), len(receiver.of("/", name))) == (1, 1)


def test_status_says_where_links_lead_and_which_channels_there_are(telling: Telling) -> None:
    said = telling.shell().ok("status")
    assert "links lead to https://ipc.example" in said and "desktop, ntfy, webhook; ipc notify shows" in said


def test_notify_test_says_what_became_of_each_channel(receiver: Receiver, telling: Telling) -> None:
    receiver.answers['can reach you", "message": "A'] = [(403, {})]
    receiver.answers["/hook"] = [(302, {"Location": f"{receiver.url}/elsewhere"})]
    done = telling.shell().run("notify", "test")
    assert done.returncode == 1
    assert done.stdout.splitlines() == ["desktop  sent", "ntfy     failed: 403", "webhook  failed: 302"]
    assert not [one for one in receiver.received if one.path == "/elsewhere"], "no redirect is followed"
    assert telling.shell().ok("notify", "test").splitlines() == ["desktop  sent", "ntfy     sent", "webhook  sent"]


def test_without_a_section_nothing_runs_and_the_command_says_so(shared: Service) -> None:
    assert not (shared.home / "run" / "notify.json").exists()
    done = Shell(shared.home, shared.home).run("notify")
    assert done.returncode == 1 and "docs/notifications.md" in done.stderr


def test_a_topic_without_a_token_is_said_to_hear_of_no_permission(home: Path) -> None:
    (home / "config.toml").write_text('[notify.ntfy]\nurl = "https://ntfy.example/topic"\n')
    said = Shell(home, home).ok("notify")
    assert "  question, stall, bounce  " in said and "ntfy is not told of permissions" in said


def test_a_fault_in_the_section_is_named_and_mended_without_a_restart(receiver: Receiver, home: Path, tag: str) -> None:
    service = Telling(home, "[notify]\nkinds = ['questions']\n")
    try:
        service.start()
        state = wait_for("the fault", lambda: service._read("notify.json"))
        fault = "config.toml line 2: notify.kinds knows question"
        assert fault in state["error"]
        doctor = service.shell().run("doctor")
        assert doctor.returncode == 1 and fault in doctor.stdout
        (home / "config.toml").write_text(config(receiver.url))
        service.ask(f"ann{tag}")
        receiver.told("/", f"ann{tag}")
    finally:
        service.stop()
