"""ipc tell-me, watches, unwatch, alarms, and what list and status show of who is stuck."""

import json
from pathlib import Path

import pytest

from bridges.watch_words import fields_of
from broker.protocol.errors import IpcError
from tests.conftest import Service, wait_for
from tests.shell import Shell


@pytest.mark.parametrize(
    ("words", "fields"),
    [
        ("is idle", {"events": ["idle"]}),
        ("is idle or has ended", {"events": ["idle", "ended"]}),
        ("edits src/** each", {"events": ["edits"], "resource": "/r/src/**", "once": False}),
        ("finished wake", {"events": ["idle"], "wake": True}),
        ("", {}),
    ],
)
def test_words_say_what_is_watched(words: str, fields: dict[str, object]) -> None:
    assert fields_of(words.split(), "/r") == fields


@pytest.mark.parametrize("words", ["sleeps", "idle soon", "edits x y"])
def test_a_word_that_is_no_event_is_refused_with_those_there_are(words: str) -> None:
    with pytest.raises(IpcError, match="idle, ended, failed, stuck, edits"):
        fields_of(words.split(), "/r")


def test_a_person_is_told_when_an_agent_is_idle(shared_pair: Shell, tag: str, shared: Service) -> None:
    said = shared_pair.ok("tell-me", "when", f"claude{tag}", "is", "idle")
    assert f"You will be told once, when claude{tag} is idle (watch " in said
    assert f"claude{tag}" in shared_pair.ok("watches")
    again = shared_pair.ok("say", f"tell me when claude{tag} is idle")  # the same wish is one watch
    assert again.splitlines()[-1] == said.strip()
    shared_pair.ok("presence", "working", "--as", f"claude{tag}")
    shared_pair.ok("presence", "idle", "--as", f"claude{tag}")
    assert f"claude{tag} is idle: its turn is over" in shared_pair.ok("check", "--wait", "5")
    assert "You watch nobody" in shared_pair.ok("watches")
    number = json.loads(shared_pair.ok("tell-me", f"claude{tag}", "stuck", "--json"))["id"]
    assert "Dropped 1" in shared_pair.ok("unwatch", str(number))
    assert shared_pair.run("unwatch", str(number)).returncode == 1


def test_list_status_and_alarms_show_who_is_stuck_and_why(service: Service, home: Path) -> None:
    with service.connect("nova") as nova, service.connect("fred") as fred:
        assert fred.alarms()["alarms"] == []
        nova.report("turn_began")
        for _ in range(5):
            nova.report("tool_ended", tool="Bash", digest="same")
        (alarm,) = wait_for("the alarm", lambda: fred.alarms()["alarms"])
        assert (alarm["name"], alarm["kind"]) == ("nova", "repeats")
    shell = Shell(home, service.home)
    shell.ok("register", "bob")
    assert "working, stuck" in shell.ok("list")
    evidence = "made the same call of Bash with the same result 5 times in a row"
    assert evidence in shell.ok("alarms") and f"stuck    nova: {evidence}" in shell.ok("status")
