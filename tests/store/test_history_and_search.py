"""History, search, and the indexes that follow behind the mail."""

import sqlite3
from pathlib import Path

import peewee
import pytest

from broker.core.state import Moment
from broker.core.storage import NewMessage
from broker.home.logs import Log
from broker.home.settings import Settings
from broker.server.upkeep import Sweeper
from broker.store import open_store
from broker.store.migrations import SCHEMA_VERSION, migrate
from broker.store.schema import MODELS
from tests.engine import Core


@pytest.fixture
def team(core: Core) -> Core:
    core.register("fred", "claude", "bob")
    return core


def history(core: Core, who: str, **fields: object) -> list[tuple[str, str]]:
    rows = core.ask(who, "history", **fields)["messages"]
    return [(m["direction"], m["message"]["content"]) for m in rows]


def test_history_has_both_directions_newest_first_read_or_not(team: Core) -> None:
    team.send("fred", "claude", "one")
    team.ask("claude", "ack", ids=[m["id"] for m in team.check("claude")])
    team.send("claude", "fred", "two")
    team.send("bob", "claude", "three")
    assert history(team, "claude") == [("in", "three"), ("out", "two"), ("in", "one")]
    rows = team.ask("claude", "history")["messages"]
    assert [m.get("read") for m in rows] == [False, None, True]
    assert history(team, "claude", peer="fred") == [("out", "two"), ("in", "one")]
    assert history(team, "bob") == [("out", "three")]


def test_history_is_paged(team: Core) -> None:
    for number in range(5):
        team.send("fred", "claude", str(number))
    first = team.ask("claude", "history", limit=2)
    assert ([m["message"]["content"] for m in first["messages"]], first["more"]) == (["4", "3"], True)
    second = team.ask("claude", "history", limit=3, before=first["messages"][-1]["id"])
    assert ([m["message"]["content"] for m in second["messages"]], second["more"]) == (["2", "1", "0"], False)


def test_history_of_one_message_is_for_its_parties(team: Core) -> None:
    team.send("fred", "claude", "one")
    team.send("fred", "claude", "two")
    wanted = team.check("claude")[0]["id"]
    assert history(team, "claude", history_id=wanted) == [("in", "one")]
    assert history(team, "fred", history_id=wanted) == [("out", "one")]
    assert team.ask("bob", "history", history_id=wanted)["code"] == "unknown_message"


def test_history_of_a_thread_and_from_a_time_on(team: Core) -> None:
    team.send("fred", "claude", "root")
    root = team.check("claude")[0]["id"]
    team.pass_time(100)
    team.ask("claude", "reply", to_message=root, message={"content": "leaf"})
    team.send("fred", "claude", "apart")
    assert history(team, "fred", thread=root) == [("in", "leaf"), ("out", "root")]
    assert history(team, "fred", since_s=team.wall_s - 50) == [("out", "apart"), ("in", "leaf")]


def test_history_leaves_out_what_was_withdrawn_but_for_its_sender(team: Core) -> None:
    team.send("fred", "claude", "oops", message_id="m")
    assert history(team, "claude") == [("in", "oops")]
    team.ask("fred", "withdraw", withdraw_id="m")
    assert (history(team, "claude"), history(team, "fred")) == ([], [("out", "oops")])


def test_search_finds_words_in_ones_own_mail_only(team: Core) -> None:
    team.send("fred", "claude", "the parser eats quotes")
    team.send("bob", "fred", "parser is green")
    found = team.ask("claude", "search", query="parser")["messages"]
    assert [(m["from"], m["snippet"]) for m in found] == [("fred", "the parser eats quotes")]
    assert len(team.ask("fred", "search", query="PARS")["messages"]) == 2
    assert team.ask("fred", "search", query="parser quotes")["messages"][0]["message"]["content"] == "the parser eats quotes"
    assert team.ask("fred", "search", query="nothing")["messages"] == []


@pytest.mark.parametrize("query", ['"', "a OR b", "NEAR(", "* ^ -", "content:x", "'; DROP TABLE message", "\x00", "é🙂"])
def test_no_query_is_syntax(team: Core, query: str) -> None:
    team.send("fred", "claude", "plain")
    answer = team.ask("claude", "search", query=query)
    assert answer["status"] == "ok" or "must hold a word" in answer["message"]


def test_a_query_that_would_read_too_much_is_refused(team: Core, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(300):
        team.send("fred", "claude", "common")
    monkeypatch.setattr("broker.store.index._STEPS", 1)
    monkeypatch.setattr("broker.store.index._STEP_INSTRUCTIONS", 100)
    error = team.ask("claude", "search", query="common")
    assert (error["code"], "too much" in error["message"]) == ("bad_request", True)
    assert team.send("fred", "claude")["status"] == "ok"


def test_the_index_is_written_when_the_broker_is_idle_and_a_query_says_what_is_missing(
    team: Core, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("broker.store.index._CATCH_UP_BYTES", 10 * (64 + len("m0")))
    for number in range(450):
        team.send("fred", "claude", f"m{number}")
    answer = team.ask("claude", "history", limit=50)
    assert (answer["behind"], answer["messages"][0]["message"]["content"]) == (440, "m9")
    sweeper = Sweeper(team.engine, team.store, Log("test"))
    sweeper.step(Moment(team.wall_s, team.mono_s), busy=True)
    assert team.store.archive_behind() == 440
    while team.store.archive_behind():
        team.pass_time(1)
        sweeper.step(Moment(team.wall_s, team.mono_s))
    answer = team.ask("claude", "history", limit=1)
    assert ("behind" in answer, answer["messages"][0]["message"]["content"]) == (False, "m449")


def test_a_rolled_back_index_is_written_again(team: Core) -> None:
    team.send("fred", "claude", "word")
    team.store._sql.execute("PRAGMA query_only = 1")
    assert team.ask("claude", "history")["code"] == "storage_full"
    team.store._sql.execute("PRAGMA query_only = 0")
    assert len(team.ask("claude", "search", query="word")["messages"]) == 1
    team.restart()
    assert len(team.ask("claude", "search", query="word")["messages"]) == 1


def test_swept_mail_leaves_the_indexes_too(team: Core) -> None:
    team.send("fred", "claude", "word", ttl_s=5)
    team.send("fred", "claude", "other word")
    team.ask("claude", "search", query="word")
    sweeper = Sweeper(team.engine, team.store, Log("test"))
    team.pass_time(6)
    sweeper.step(Moment(team.wall_s, team.mono_s))
    assert team.engine.state.mailboxes["claude"].queued == 1
    found = team.ask("fred", "search", query="word")["messages"]
    assert [(m["snippet"], m.get("ending")) for m in found] == [("other word", None), ("word", None)]
    got = team.ask("claude", "history")["messages"]
    assert [(m["read"], m.get("ending")) for m in got] == [(False, None), (False, "expired")]
    for days in (8, 31):
        team.pass_time(days * 86400)
        sweeper = Sweeper(team.engine, team.store, Log("test"))
        while sweeper._sweep(Moment(team.wall_s, team.mono_s)):
            pass
    for table in ("message", "letter", "thread", "question", "queue"):
        assert team.store._sql.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,), table  # noqa: S608
    team.store._sql.execute("INSERT INTO message_text(message_text) VALUES ('integrity-check')")


def test_mail_taken_over_by_a_rename_is_in_its_new_holders_history(team: Core) -> None:
    team.send("fred", "nova", "for nova")
    team.ask("fred", "history")
    team.ask("bob", "rename", new_id="nova")
    assert history(team, "bob", peer="fred") == [("in", "for nova")]
    assert [m["to"] for m in team.ask("fred", "history", peer="nova")["messages"]] == ["nova"]


# migrations


@pytest.mark.parametrize("version", range(SCHEMA_VERSION))
def test_a_database_of_any_earlier_version_becomes_the_present_one(home: Path, version: int) -> None:
    db = peewee.SqliteDatabase(str(home / "ipc.db"))
    db.connect()
    migrate(db, to=version)
    if version:
        db.execute_sql("INSERT INTO mailbox (id, name, claimed, created_s, last_seen_s, renamed_s) VALUES (1,'old',1,0,0,0)")
        columns = "id, sender_id, sender, created_s, expires_s, content, copies"
        db.execute_sql(f"INSERT INTO message ({columns}) VALUES (1,1,'old',0,9e9,'kept',1)")  # noqa: S608
        db.execute_sql("INSERT INTO queue VALUES (1, 1, 0)")
    db.close()
    store = open_store(Settings.load(env={"IPC_HOME": str(home)}))
    state = store.load()
    if version:
        assert (state.mailboxes["old"].queued, state.last_message_id, store.archive_behind()) == (1, 1, 1)
        assert [m.content for m in store.fetch(1, [], 0, 0.0)] == ["kept"]
        store.index()
        assert store.archive_behind() == 0
    store.close()


def test_the_steps_make_the_tables_that_the_models_describe(home: Path) -> None:
    open_store(Settings.load(env={"IPC_HOME": str(home)})).close()
    with sqlite3.connect(home / "ipc.db") as db:
        for model in MODELS:
            columns = [(r[1], r[3]) for r in db.execute(f"PRAGMA table_info({model._meta.table_name})")]
            described = [(f.column_name, int(not f.null)) for f in model._meta.sorted_fields]
            assert columns == described, model
        defaults = {r[1]: r[4] for r in db.execute("PRAGMA table_info(message)")}
    others = {name: value for name, value in NewMessage._field_defaults.items() if name != "copies"}
    assert {name: int(defaults[name]) if defaults[name] else None for name in others} == others


def test_a_page_ends_where_its_texts_are_too_much_for_one_answer(team: Core, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("broker.store.index.PAGE_BYTES", 3000)
    monkeypatch.setattr("broker.store.index._SNIPPETS_BYTES", 2000)
    for number in range(6):
        team.send("fred", "claude", f"word{number} " + "word " * 200)
    for action, fields, at_once in (("history", {}, 3), ("search", {"query": "word"}, 2)):
        seen: list[str] = []
        more, before = True, {}
        while more:
            page = team.ask("claude", action, **fields, **before)
            assert 0 < len(page["messages"]) <= at_once
            seen += [m["message"]["content"].split()[0] for m in page["messages"]]
            more, before = page["more"], {"before": page["messages"][-1]["id"]}
        assert seen == [f"word{number}" for number in reversed(range(6))]


def test_the_index_takes_steps_of_bytes_and_always_one_message(team: Core) -> None:
    for number in range(4):
        team.send("fred", "claude", f"m{number} " + "x" * 1000)
    team.store.index(1)
    assert team.store.archive_behind() == 3
    team.store.index(2 * 1067)
    assert team.store.archive_behind() == 1
    team.store.index()
    assert team.store.archive_behind() == 0


def test_only_the_beginning_of_a_longer_word_finds_it(team: Core) -> None:
    team.send("fred", "claude", "building 日本語")
    found = {q: len(team.ask("claude", "search", query=q)["messages"]) for q in ("b", "bu", "bui", "building", "日")}
    assert found == {"b": 0, "bu": 0, "bui": 1, "building": 1, "日": 1}
