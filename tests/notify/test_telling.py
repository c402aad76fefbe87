"""The person is told what waits, by real processes: once, also after restarts and when a receiver was away."""

from collections.abc import Callable

from bridges.webhook_signatures import check_generic, secret_bytes
from tests.conftest import wait_for
from tests.notify.receiving import SECRET, TOKEN, Receiver, Telling, config

Make = Callable[..., Telling]


def of(receiver: Receiver, path: str) -> list[dict[str, object]]:
    return [one.json() for one in list(receiver.received) if one.path == path]


def told(receiver: Receiver, path: str, number: int) -> list[dict[str, object]]:
    wait_for(f"{number} at {path}", lambda: len(of(receiver, path)) >= number, explain=lambda: str(receiver.received))
    return of(receiver, path)


def test_a_question_reaches_all_channels_with_its_kind_and_name_alone(receiver: Receiver, make_telling: Make) -> None:
    service = make_telling(config(receiver.url, desktop=True))
    service.ask("ann", "a secret of ours")
    (ntfy,), (webhook,) = told(receiver, "/", 1), told(receiver, "/hook", 1)
    call = wait_for("notify-send", service.desktop)[0]
    assert (ntfy["topic"], ntfy["title"], ntfy["message"]) == ("my-topic", "ann asks you something", "ann asks you something")
    assert (webhook["type"], webhook["data"]["name"]) == ("agent.question", "ann")  # type: ignore[index]
    assert call[:4] == ["--app-name=agent-ipc", "--urgency=critical", "--", "ann asks you something"]
    assert "secret of ours" not in str((receiver.received, call))
    by_path = {one.path: one for one in receiver.received}
    assert by_path["/"].headers["authorization"] == f"Bearer {TOKEN}"
    hook = by_path["/hook"]
    assert check_generic(secret_bytes(SECRET), hook.headers, hook.body, int(hook.headers["webhook-timestamp"]))
    (action,) = ntfy["actions"]  # type: ignore[misc]
    assert (action["action"], action["label"], action["url"]) == ("view", "Answer", ntfy["click"])
    assert str(ntfy["click"]).startswith("https://ipc.example/a/")
    assert call[4].startswith("https://ipc.example/a/")


def test_full_bodies_are_opt_in_and_escaped_for_the_desktop(receiver: Receiver, make_telling: Make) -> None:
    service = make_telling(config(receiver.url, desktop=True, more='body = "full"'))
    service.ask("ann", "a<b> & \x1b[2J\u202e -- --urgency=low")
    (ntfy,) = told(receiver, "/", 1)
    assert ntfy["message"] == "a<b> & \\x1b[2J\\u202e -- --urgency=low"
    call = wait_for("notify-send", service.desktop)[0]
    assert call[4].startswith("a&lt;b&gt; &amp; \\x1b[2J\\u202e -- --urgency=low\n")


def test_a_restart_of_everything_tells_nothing_twice_and_misses_nothing(receiver: Receiver, make_telling: Make) -> None:
    service = make_telling(config(receiver.url))
    service.ask("ann")
    told(receiver, "/", 1), told(receiver, "/hook", 1)
    wait_for("the state", lambda: "question:" in (service.home / "notify.json").read_text())
    service.kill("notify")
    service.kill("broker")
    service.ask("bob")
    told(receiver, "/", 2)
    service.stop()
    service.env["IPC_WEB_HOSTS"] = "other.example"
    service.start()
    service.ask("carl")
    assert [str(one["title"]).split()[0] for one in told(receiver, "/", 3)] == ["ann", "bob", "carl"]
    names = [one["data"]["name"] for one in told(receiver, "/hook", 3)]  # type: ignore[index]
    assert sorted(map(str, names)) == ["ann", "bob", "carl"]


def test_a_receiver_that_was_away_is_told_later_under_the_same_id(receiver: Receiver, make_telling: Make) -> None:
    receiver.answers = [(503, {"Retry-After": "1"}), (500, {})]
    service = make_telling(f'[notify]\n[notify.webhook]\nurl = "{receiver.url}/hook"\nsecret = "{SECRET}"\n')
    service.ask("ann")
    wait_for("a first attempt", lambda: receiver.received)
    shell = service.shell()
    wait_for("the attempt in ipc notify", lambda: "tried 1 time" in shell.ok("notify"))
    told(receiver, "/hook", 2)
    ids = {one.headers["webhook-id"] for one in receiver.received}
    assert len(ids) == 1


def test_a_receiver_that_wants_none_has_a_dead_letter_and_is_not_asked_again(receiver: Receiver, make_telling: Make) -> None:
    receiver.answers = [(410, {})]
    service = make_telling(f'[notify]\n[notify.webhook]\nurl = "{receiver.url}/hook"\nsecret = "{SECRET}"\n')
    service.ask("ann")
    shell = service.shell()
    wait_for("the dead letter", lambda: "Given up (1)" in shell.ok("notify"))
    assert "ann asks you something" in shell.ok("notify") and "410" in shell.ok("notify")
    service.ask("bob")
    assert len(told(receiver, "/hook", 2)) == 2


def test_a_question_that_is_answered_before_it_could_be_told_is_not_told(receiver: Receiver, make_telling: Make) -> None:
    receiver.answers = [(503, {"Retry-After": "3600"})]
    service = make_telling(f'[notify]\n[notify.webhook]\nurl = "{receiver.url}/hook"\nsecret = "{SECRET}"\n')
    question = service.ask("ann")
    wait_for("a first attempt", lambda: receiver.received)
    service.connect("pat").request("reply", to_message=question, message={"content": "main"})
    shell = service.shell()
    wait_for("nothing that waits", lambda: "tried" not in shell.ok("notify"))
    assert len(receiver.received) == 1


def test_a_link_leads_to_the_listener_and_answers(receiver: Receiver, make_telling: Make) -> None:
    service = make_telling(config(receiver.url), IPC_WEB_HOSTS="")
    service.connect("pat")
    service.ask("ann")
    (ntfy,) = told(receiver, "/", 1)
    assert str(ntfy["click"]).startswith("http://127.0.0.1:")


def test_notify_test_says_what_became_of_each_channel(receiver: Receiver, make_telling: Make) -> None:
    receiver.answers = [(403, {}), (302, {"Location": f"{receiver.url}/elsewhere"})]
    service = make_telling(config(receiver.url, desktop=True))
    shell = service.shell()
    done = shell.run("notify", "test")
    assert done.returncode == 1
    assert done.stdout.splitlines() == ["desktop  sent", "ntfy     failed: 403", "webhook  failed: 302"]
    assert [one.path for one in receiver.received] == ["/", "/hook"], "no redirect is followed"
    assert shell.ok("notify", "test").splitlines()[1:] == ["ntfy     sent", "webhook  sent"]


def test_without_a_section_nothing_runs_and_the_command_says_so(make_telling: Make) -> None:
    service = make_telling("port = 0\n")
    assert not (service.home / "run" / "notify.json").exists()
    done = service.shell().run("notify")
    assert done.returncode == 1 and "docs/notifications.md" in done.stderr


def test_a_fault_in_the_section_is_named_and_mended_without_a_restart(receiver: Receiver, make_telling: Make) -> None:
    service = make_telling("[notify]\nkinds = ['questions']\n")
    state = wait_for("the fault", lambda: service._read("notify.json"))
    assert "config.toml line 2: notify.kinds knows question" in state["error"]
    (service.home / "config.toml").write_text(config(receiver.url))
    service.ask("ann")
    told(receiver, "/", 1)
