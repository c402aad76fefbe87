"""Another program holds the database: writes are refused in words and at once, reads go on, and it heals by itself."""

import sqlite3
from contextlib import closing

from tests.conftest import Service


def test_while_another_program_holds_the_database_mail_is_read_and_new_mail_refused(service: Service) -> None:
    fred, claude = service.connect("fred"), service.connect("claude")
    fred.send("claude", "before")
    with closing(sqlite3.connect(service.home / "ipc.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        refused = fred.send_many([("claude", str(number)) for number in range(500)])
        assert {r["code"] for r in refused} == {"storage_locked"}
        assert "fuser" in refused[0]["hint"] and refused[0]["retryable"] is True
        assert [m.content for m in claude.check()] == ["before"]
        assert {i["id"] for i in claude.list()} >= {"fred", "claude"}
        other.execute("ROLLBACK")
    assert fred.send("claude", "after")["status"] == "ok"
    assert [m.content for m in claude.check(wait=10)] == ["after"]
