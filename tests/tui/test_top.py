"""``ipc top`` in a real terminal of 80x24, with a real service behind it: what a person sees, and what keys do."""

import os
import re
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from broker.client.sync import Connection
from broker.home.files import owner_key
from broker.protocol.errors import RemoteError
from tests.conftest import Service, wait_for
from tests.prompts import Asking
from tests.screens import Screen
from tests.shell import IPC

pytest.importorskip("textual", reason="the extra tui is not installed")


@pytest.fixture(scope="module")
def house() -> Iterator[Service]:
    """A service of these tests alone: what is on the screen is theirs."""
    service = Service(Path(tempfile.mkdtemp(prefix="ipc-"))).start()
    yield service
    service.stop()
    shutil.rmtree(service.home, ignore_errors=True)


@pytest.fixture(autouse=True)
def emptied(house: Service) -> Iterator[None]:
    yield
    house.close_clients()


def top(house: Service, lines: int = 24, columns: int = 80, **env: str) -> Screen:
    given = {"HOME": str(house.home), "PATH": os.environ["PATH"], "IPC_PERSON": "ada", **house.env, **env}
    return Screen([*IPC, "top"], given, house.home, lines, columns)


def find(screen: Screen, words: str) -> None:
    screen.press("/")
    screen.shows("words that a line must have")
    screen.press(words)
    screen.shows_no("NEEDS YOU")
    screen.press("\r")
    screen.shows(f"only {words}")


def owner(house: Service, action: str, **fields: Any) -> dict[str, Any]:
    connection = Connection(house.settings)
    try:
        return connection.request(action, session_token=owner_key(house.home), **fields)
    finally:
        connection.close()


def test_a_question_comes_first_and_the_asker_gets_the_answer_that_keys_give(house: Service, tag: str) -> None:
    asker = house.connect(f"asker{tag}")
    answers: list[str] = []
    with top(house) as screen:
        screen.shows("AGENTS", f"asker{tag}", "ada")
        text = f"[red]x[/] \x1b]0;a\x07 {tag}?"
        asking = threading.Thread(
            target=lambda: answers.append(asker.ask("ada", text, {"buttons": ["main", "dev"]}, wait=30).content)
        )
        asking.start()
        shown = screen.shows("question", f"[red]x[/] \\x1b]0;a\\x07 {tag}?").splitlines()
        assert shown[1].startswith("NEEDS YOU  1") and "9 min left" in shown[2]
        screen.press("g")
        screen.press("\r")
        screen.shows(f"asker{tag} asks", "stored")
        screen.press("q")
        screen.shows("NEEDS YOU")
        screen.press("a")
        screen.shows(f"Answer asker{tag}", "It proposes: main / dev")
        screen.press("the [b]main[/b] one\r")
        screen.shows("has your answer", "NEEDS YOU  nothing")
        asking.join()
        assert "\x1b]0;" not in screen.output
        screen.press("q")
        assert screen.ended() == 0
    assert answers == ["the [b]main[/b] one"]


def test_reading_takes_nothing_from_anybody_and_shows_all_as_text(house: Service, tag: str) -> None:
    writer, reader = house.connect(f"writer{tag}"), house.connect(f"reader{tag}")
    writer.send(f"reader{tag}", "[link=file:///etc]x[/link]\x1b[2J\u202e\n" + "word " * 30 + "last\n" + "x" * 300)
    with top(house) as screen:
        screen.shows(f"reader{tag}")
        find(screen, f"reader{tag}")
        screen.press("\r")
        shown = screen.shows(f"Mail of reader{tag}", f"writer{tag} → reader{tag}", "last")
        assert "[link=file:///etc]x[/link]\\x1b[2J\\u202e" in shown
        assert max(map(len, shown.splitlines())) <= 80
        assert "\x1b[2J\u202e" not in screen.output
        row = next(row for row in owner(house, "overview")["agents"] if row["id"] == f"reader{tag}")
        assert (row["queued"], row["leased"]) == (1, 0)
    assert [(m.redelivered, m.sender) for m in reader.check()] == [(False, f"writer{tag}")]


def test_mail_to_the_person_is_read_once_it_was_opened(house: Service, tag: str) -> None:
    writer = house.connect(f"writer{tag}")
    with top(house) as screen:
        screen.shows("ada:")
        number = writer.send("ada", f"for your eyes {tag}")["number"]
        screen.shows(f"writer{tag}")
        assert writer.receipts(number)["receipts"][0]["step"] == "stored"
        find(screen, f"writer{tag}")
        screen.press("\r")
        screen.shows(f"for your eyes {tag}")
        wait_for("its receipt", lambda: writer.receipts(number)["receipts"][0]["step"] == "in_context")
        screen.shows("ada: in context")


def test_keys_write_and_mute_and_pause_a_pair(house: Service, tag: str) -> None:
    one, two = house.connect(f"one{tag}"), house.connect(f"two{tag}")
    with top(house) as screen:
        screen.shows(f"one{tag}")
        find(screen, f"one{tag}")
        screen.press("w")
        screen.shows(f"Write to one{tag}")
        screen.press("hello from keys\r")
        screen.shows(f"Sent to one{tag}")
        (mail,) = one.check(wait=20)
        assert (mail.sender, mail.content) == ("ada", "hello from keys")
        screen.press("m")
        screen.shows("wakes paused", "until m again")
        assert {"name": f"one{tag}"}.items() <= owner(house, "overview")["pauses"][0].items()
        screen.press("m")
        screen.shows(f"Mail wakes one{tag} again")
        screen.shows_no("PAUSED")  # what the key did is said before the next look at the broker shows it
        screen.press("p")
        screen.shows("and whom?")
        screen.press(f"two{tag}\r")
        screen.shows("are paused", "write nothing to each other")
        with pytest.raises(RemoteError, match="paused"):
            two.send(f"one{tag}", "refused")
        screen.press("Gp")
        screen.shows("may write to each other again")
        two.send(f"one{tag}", "taken")


def test_a_permission_is_decided_after_all_of_it_was_shown(house: Service, tag: str) -> None:
    token, name = house.register(f"web{tag}"), f"web{tag}"
    given = '{"command": "[b]rm[/b] -rf /tmp/\u202ex' + "".join(f"\n line {n}" for n in range(60)) + '"}'
    with Asking(house.settings, token, shown=given, tool="Ba[red]sh") as hook, top(house) as screen:
        screen.shows("permission", name, "Ba[red]sh:")
        screen.press("gn")
        shown = screen.shows(f"Deny {name}", "to use Ba[red]sh?", "y: yes   n: no")
        assert '{"command": "[b]rm[/b] -rf /tmp/\\u202ex' in shown and "line 59" not in shown
        screen.press("G")
        screen.shows("line 59")
        screen.press("n")
        screen.shows_no("to use Ba[red]sh?")
        screen.press("yy")
        screen.shows(f"{name} may use Ba[red]sh", "NEEDS YOU  nothing")
        assert hook.told() == "allow"


def test_a_dead_letter_is_sent_again_after_a_yes(house: Service, tag: str) -> None:
    writer, reader = house.connect(f"writer{tag}"), house.connect(f"reader{tag}")
    writer.send(f"reader{tag}", f"spoiled {tag}")
    (mail,) = reader.check()
    reader.request("release", ids=[mail.id], failed=True, refuse=True, why="can't [b]parse[/b] it")
    with top(house, columns=132) as screen:
        screen.shows("dead letter", "can't [b]parse[/b] it")
        screen.press("gd")
        screen.shows("again, as ada?")
        screen.press("n")
        screen.shows_no("again, as ada?")
        screen.press("\r")
        screen.shows(f"spoiled {tag}")
        screen.press("qdy")
        screen.shows("is sent again", "NEEDS YOU  nothing")
    assert [m.content for m in reader.check(wait=20)] == [f"spoiled {tag}"]


def test_a_killed_broker_is_said_and_the_view_goes_on_by_itself(house: Service, tag: str) -> None:
    with top(house) as screen:
        screen.shows("AGENTS", "ada:")
        os.kill(house.pid("supervisor"), 19)  # so that it is away for as long as we look
        house.kill("broker")
        screen.shows("AWAY:", "was true before", "AGENTS")
        os.kill(house.pid("supervisor"), 18)
        screen.shows_no("AWAY:")
        wait_for("the broker", lambda: house.pid("broker"))
        house.connect(f"later{tag}")
        screen.shows(f"later{tag}")


@pytest.mark.deep
def test_any_size_of_the_window_is_borne(house: Service, tag: str) -> None:
    house.connect(f"somebody{tag}").presence("working", "on a long thing " * 8)
    with top(house) as screen:
        screen.shows(f"somebody{tag}")
        for keys, lines, columns in (("", 10, 30), ("?", 3, 10), ("", 24, 80), ("q", 5, 200), ("\r", 8, 24), ("", 50, 132)):
            screen.press(keys)
            screen.resize(lines, columns)
        screen.press("q")
        screen.resize(24, 80)
        screen.shows("AGENTS", "reached by", f"somebody{tag}", "q quit")
        screen.press("\x03")
        assert screen.ended() == 130
    assert "Traceback" not in screen.output


def test_without_colour_everything_stands_there_as_a_word(house: Service, tag: str) -> None:
    house.connect(f"busy{tag}").presence("working")

    def colours(output: str) -> set[str]:
        found = re.findall(r"\x1b\[([0-9;]*)m", output)
        return {one for given in found for one in given.split(";") if re.fullmatch(r"3[0-8]|4[0-8]|9\d|10\d", one)}

    with top(house, NO_COLOR="1") as plain, top(house) as coloured:
        for screen in (plain, coloured):
            assert "working" in next(line for line in screen.shows("AGENTS", "you", f"busy{tag}").splitlines() if tag in line)
    assert colours(plain.output) == set() != colours(coloured.output)
    assert not re.search(r"\x1b\[[0-9;]*\b4[0-8]\b", coloured.output)  # the terminal's own background, dark or light


def test_it_needs_a_terminal_and_its_package(house: Service) -> None:
    env = {**house.env, "HOME": str(house.home)}
    piped = subprocess.run([*IPC, "top"], env=env, capture_output=True, timeout=20)
    assert piped.returncode == 2 and b"ipc status tells a pipe" in piped.stderr
    without = "import sys; sys.modules['textual'] = None; import bridges.cli.__main__ as m; sys.exit(m.main(['top']))"
    with Screen([IPC[0], "-c", without], env, house.home) as screen:
        assert screen.ended() == 1
        assert "pip install 'agent-ipc[tui]'" in screen.text() and "Traceback" not in screen.text()
