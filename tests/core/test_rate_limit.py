"""The rate limit."""

from pathlib import Path

from tests.engine import Core


def test_the_rate_limit_says_when_to_retry_and_can_be_set_by_instance(home: Path) -> None:
    (home / "config.toml").write_text("rate_limit = 10\nrate_burst = 2\n[instances.bulk]\nrate_limit = 0\n")
    core = Core(home)
    core.register("fred", "bulk")
    assert [core.send("fred", "x")["status"] for _ in range(3)] == ["ok", "ok", "error"]
    reply = core.send("fred", "x")
    assert (reply["code"], reply["retryable"], reply["retry_after_s"]) == ("rate_limited", True, 0.1)
    core.pass_time(0.11)
    assert core.send("fred", "x")["status"] == "ok"
    assert all(core.send("bulk", "x")["status"] == "ok" for _ in range(20))
    core.store.close()
