"""What is told, tried again and given up, by an explicit clock and across restarts."""

from pathlib import Path

from bridges.notify.outbox import MOST_DEAD, TRIES, WAITS_S, DeadNotice, NotifyOutbox
from bridges.view.needs import Need

NOW_S = 1_800_000_000.0
DAY_S = 86_400.0


def need(key: str) -> Need:
    return Need(key, "question", "ann", "which?", "2027-01-01T00:00:00+00:00", id="1")


ONE, TWO = need("question:1"), need("question:2")


def test_what_was_told_is_not_due_again_by_that_channel() -> None:
    outbox = NotifyOutbox()
    outbox.sent("ntfy", [ONE.key], NOW_S)
    assert outbox.due("ntfy", [ONE, TWO], NOW_S) == [TWO]
    assert outbox.due("webhook", [ONE, TWO], NOW_S) == [ONE, TWO]


def test_what_failed_is_due_after_longer_and_longer_waits_and_given_up_at_last() -> None:
    outbox, now_s = NotifyOutbox(), NOW_S
    for wait_s in WAITS_S:
        assert outbox.failed("ntfy", [ONE.key], now_s, "500")
        assert outbox.next_s([ONE]) == now_s + wait_s
        assert outbox.due("ntfy", [ONE], now_s + wait_s - 0.1) == []
        now_s += wait_s
        assert outbox.due("ntfy", [ONE], now_s) == [ONE]
    assert not outbox.failed("ntfy", [ONE.key], now_s, "500")
    assert len(WAITS_S) + 1 == TRIES


def test_a_receiver_may_ask_for_a_longer_wait_within_an_hour() -> None:
    outbox = NotifyOutbox()
    outbox.failed("ntfy", [ONE.key], NOW_S, "429", retry_after_s=77)
    outbox.failed("webhook", [TWO.key], NOW_S, "503", retry_after_s=10**9)
    assert outbox.next_s([ONE]) == NOW_S + 77
    assert outbox.next_s([TWO]) == NOW_S + 3600


def test_what_was_given_up_is_kept_in_bounds_and_not_tried_again() -> None:
    outbox = NotifyOutbox()
    for n in range(MOST_DEAD + 5):
        outbox.give_up(DeadNotice("ntfy", "question", "ann", f"t{n}", NOW_S, "e" * 1000), [f"question:{n}"])
    assert [outbox.dead[0].title, outbox.dead[-1].title, len(outbox.dead)] == ["t5", f"t{MOST_DEAD + 4}", MOST_DEAD]
    assert len(outbox.dead[0].error) == 200
    assert outbox.due("ntfy", [ONE], NOW_S) == []


def test_a_need_that_is_over_is_forgotten_at_once_if_it_waited_and_a_day_later_if_it_was_told() -> None:
    outbox = NotifyOutbox()
    outbox.failed("ntfy", [ONE.key], NOW_S, "500")
    outbox.sent("ntfy", [TWO.key], NOW_S)
    outbox.see([], NOW_S + 1)
    assert outbox.next_s([ONE]) is None
    assert outbox.due("ntfy", [TWO], NOW_S + 2) == [], "a broker that starts shows it late"
    outbox.see([TWO], NOW_S + DAY_S - 1)
    outbox.see([], NOW_S + 2 * DAY_S - 2)
    assert outbox.due("ntfy", [TWO], NOW_S + 2 * DAY_S) == []
    outbox.see([], NOW_S + 3 * DAY_S)
    assert outbox.due("ntfy", [TWO], NOW_S + 3 * DAY_S) == [TWO]


def test_the_state_survives_a_restart_and_is_private(home: Path) -> None:
    outbox = NotifyOutbox()
    outbox.sent("ntfy", [ONE.key], NOW_S)
    outbox.failed("webhook", [ONE.key], NOW_S, "500")
    outbox.give_up(DeadNotice("desktop", "stall", "bob", "bob is stuck", NOW_S, "no bus"), ["stall:1"])
    outbox.write(str(home))
    again = NotifyOutbox.read(str(home))
    assert (again.told, again.waiting, again.dead) == (outbox.told, outbox.waiting, outbox.dead)
    assert (home / "notify.json").stat().st_mode & 0o777 == 0o600


def test_a_file_that_makes_no_sense_counts_as_none(home: Path) -> None:
    for text in ("", "[]", "{}", '{"told": 5}', '{"told": {}, "waiting": {"a": {"b": [1]}}, "dead": []}', "\0"):
        (home / "notify.json").write_text(text)
        (home / "notify.json").chmod(0o600)
        assert NotifyOutbox.read(str(home)).told == {}
