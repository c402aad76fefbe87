"""Addresses of other sites on the command line."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Service
from tests.shell import Shell
from tests.sited import Elsewhere, sited_service


@pytest.fixture(scope="module")
def paris() -> Iterator[Service]:
    with sited_service() as service:
        yield service


@pytest.fixture
def elsewhere(paris: Service) -> Iterator[Elsewhere]:
    others = Elsewhere(paris)
    others.exist("rome", "oslo")
    yield others
    others.close()


@pytest.fixture
def fred(home: Path, paris: Service, tag: str, elsewhere: Elsewhere) -> Shell:
    shell = Shell(home, paris.home)
    shell.ok("register", f"fred{tag}")
    return shell


def test_mail_goes_to_an_address_and_waits_with_its_reason(fred: Shell, elsewhere: Elsewhere, tag: str) -> None:
    elsewhere.tell(connected=False, why="Connection refused")
    sent = fred.run("send", f"bob{tag}@rome", "hello")
    assert sent.stdout.startswith("Message on its way to rome (number ")
    assert sent.stderr.startswith(f"ipc: bob{tag}@rome: no connection since 20") and "Connection refused" in sent.stderr
    assert fred.ok("ask", f"bob{tag}@rome", "which branch?", "--wait", "0").startswith("Message on its way to rome (number ")
    assert fred.ok("send", "*@oslo", "lunch").startswith("Message on its way to oslo (number ")
    assert "2 other sites" in fred.ok("send", "*@*", "freeze")
    found = json.loads(fred.ok("sites", "--json"))
    rows = {row["site"]: row for row in found["sites"]}
    assert (found["site"], found["connected"], found["why"]) == ("paris", False, "Connection refused")
    assert rows["rome"]["waiting"] >= 2 and rows["oslo"]["waiting"] >= 1 and "Connection refused" in rows["rome"]["why"]
    first, *lines = fred.ok("sites").splitlines()
    assert first.startswith("site     paris, not connected: Connection refused; ")
    assert f"{rows['rome']['waiting']} messages wait for rome" in first
    assert [line.split()[:2] for line in lines] == [
        ["oslo", str(rows["oslo"]["waiting"])],
        ["rome", str(rows["rome"]["waiting"])],
    ]
    assert all(line.split("  ")[-1].startswith("no connection since") and "refused" not in line for line in lines)
    findings = [line for line in fred.run("doctor").stdout.splitlines() if "paris, not connected" in line]
    assert len(findings) == 1 and findings[0].split()[:2] == ["warn", "sites"] and "Connection refused" in findings[0]
    status = fred.ok("status")
    assert first in status.splitlines() and lines == status.splitlines()[-2:]


def test_all_that_a_message_can_have_goes_to_an_address(fred: Shell, elsewhere: Elsewhere, tag: str) -> None:
    elsewhere.take()
    elsewhere.send("ann@rome", f"fred{tag}", "where are you?", question={"deadline_s": 60.0})
    (mail,) = json.loads(fred.ok("check", "--json"))
    assert (mail["from"], mail["content"]) == ("ann@rome", "where are you?")
    assert fred.ok("reply", mail["id"], "here").endswith("(answers their question)\n")
    fred.ok("forward", mail["id"], "bob@oslo", "--note", "see")
    printed = fred.ok("send", "bob@oslo", "later", "--ttl", "600", "--land", "turn")
    number = printed.partition("(number ")[2].partition(")")[0]
    assert fred.ok("receipts", number).split()[:2] == [number, "bob@oslo"]
    assert "bob@oslo" in fred.ok("show", number)
    assert json.loads(fred.ok("history", "--peer", "ann@rome", "--json"))["messages"][-1]["from"] == "ann@rome"
    sent = fred.run("send", "ann", "without her site")
    assert "did you mean ann@rome? Nothing was sent there" in sent.stderr
    assert "can't be watched" in fred.fails(2, "tell-me", "when", "ann@rome", "is", "idle")
    assert fred.ok("block", "ann@rome") == "Blocked ann@rome\n"
    assert "ann@rome" in fred.ok("blocks")
    fred.ok("unblock", "ann@rome")
    assert fred.ok("withdraw", number) == "Withdrawn (1 unread)\n"


def test_a_large_message_to_an_address_keeps_its_text(fred: Shell, elsewhere: Elsewhere, tag: str) -> None:
    elsewhere.take()
    text = "x" * 300_000
    fred.ok("send", "*@oslo", "-", stdin=text.encode())
    (row,) = [row for row in elsewhere.take() if row["to"] == "oslo" and row["body"]["k"] == "mail"]
    assert row["body"]["content"] == text


def test_a_wrong_address_is_refused_with_what_to_do(fred: Shell, shared_shell: Shell, tag: str) -> None:
    refused = "ipc: bob@example.com is an e-mail address\nnext: An agent at another site is name@site, without a dot.\n"
    assert fred.fails(1, "send", "bob@example.com", "hi") == refused
    assert (
        fred.fails(1, "send", "bob@romee", "hi")
        == "ipc: There is no site romee\nnext: did you mean rome? ipc sites lists them\n"
    )
    for wrong in ("bob@", "@rome", "bob@Rome", "b b@rome", "*@", "bob@rome@oslo"):
        assert "Invalid recipient" in fred.fails(1, "send", wrong, "hi")
    assert "can be no name" in fred.fails(2, "send", "bob@rome", "hi", "--as", "fred@paris")
    assert "Invalid instance ID" in fred.fails(1, "register", "fred@paris")
    shared_shell.ok("register", f"fred{tag}")
    assert "this broker belongs to none" in shared_shell.fails(1, "send", "bob@rome", "hi")
    assert shared_shell.ok("sites").startswith("This broker belongs to no site")


def test_plain_words_reach_addresses_that_are_known(fred: Shell, elsewhere: Elsewhere, tag: str) -> None:
    elsewhere.tell(agents={"rome": [{"name": "maya", "presence": "working", "note": "the parser", "silent_s": 3}]})
    elsewhere.take()
    assert "on its way to rome" in fred.ok("say", "msg maya@rome: the build is green")
    assert "on its way to rome" in fred.ok("say", "tell *@rome lunch")
    assert [row["body"]["to"] for row in elsewhere.take()] == [["maya"], ["*"]]
    assert "bob@oslo isn't registered. Send anyway?" in fred.fails(2, "say", "msg bob@oslo: hi")
    assert "on its way to oslo" in fred.ok("say", "msg bob@oslo: hi", "--yes")
    fred.fails(2, "say", "msg bob@example.com: hi")


def test_claims_at_other_sites_are_shown_with_all_and_hold_nobody_off(fred: Shell, elsewhere: Elsewhere, tag: str) -> None:
    told = [{"resource": f"/src{tag}/**", "holder": "maya", "note": "the \x1b[31mparser"}, {"resource": 5, "holder": "maya"}]
    elsewhere.tell(claims={"rome": [*told, {"resource": "x", "holder": "maya, system", "note": ""}]})
    fred.ok("claim", f"/src{tag}/a.py")
    assert "maya" not in fred.ok("claims", f"/src{tag}/a.py")
    lines = fred.ok("claims", f"/src{tag}/a.py", "--all").splitlines()
    assert [line.split()[:2] for line in lines] == [[f"/src{tag}/**", "maya@rome"], [f"/src{tag}/a.py", f"fred{tag}"]]
    assert "  told " in lines[0] and lines[0].endswith("the \\x1b[31mparser")
    assert "maya@rome" not in fred.ok("claims", "/elsewhere", "--all")
    claimed = fred.ok("claim", f"/src{tag}/b.py").splitlines()
    assert claimed[1].startswith(f"At rome maya@rome has claimed /src{tag}/**, told ")
    elsewhere.tell(claims={"rome": [{**told[0], "resource": f"/src{tag}/\x1b[2J\n*"}]})
    assert "/\\x1b[2J" in fred.ok("claim", f"/src{tag}/**") and "\x1b" not in fred.ok("claim", f"/src{tag}/**")
    elsewhere.tell(claims={"rome": told[:1]})
    assert json.loads(fred.ok("claim", f"/src{tag}/b.py", "--json"))["elsewhere"][0]["holder"] == "maya@rome"
    assert "At rome" not in fred.ok("claim", f"/lib{tag}/a.py")


def test_agents_of_other_sites_are_listed_with_all_and_their_age(fred: Shell, elsewhere: Elsewhere, tag: str) -> None:
    elsewhere.tell(
        sites={"rome": {"age_s": 7000}},
        agents={"rome": [{"name": "maya", "presence": "working", "note": "the \x1b[31mparser", "silent_s": 3}]},
    )
    assert "maya" not in fred.ok("list")
    assert "maya" not in fred.ok("list", "--json")
    _, far = fred.ok("list", "--all").split("\nAt other sites, as they told last:\n")
    (line,) = far.splitlines()
    assert line.split("  ")[0] == "maya@rome" and "working" in line and "the \\x1b[31mparser" in line and " 1 h ago " in line
    (row,) = [row for row in json.loads(fred.ok("list", "--all", "--json")) if row["id"] == "maya@rome"]
    assert row["site"] == "rome" and row["age_s"] >= 0
    heard = next(line for line in fred.ok("sites").splitlines() if line.startswith("rome"))
    assert "  1 h ago, away  " in heard
