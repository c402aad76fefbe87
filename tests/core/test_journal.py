"""The undo log of the memory: what it may set, and that all of it can be taken back."""

from typing import get_args, get_overloads, get_type_hints

from broker.core.journal import Journal
from broker.core.state import Mailbox


def test_each_field_that_may_be_set_is_there_with_that_type() -> None:
    for one in get_overloads(Journal.set):
        said = get_type_hints(one)
        for attribute in get_args(said["attribute"]):
            assert get_type_hints(said["thing"])[attribute] == said["value"], attribute


def test_what_was_done_since_a_mark_is_taken_back_latest_first() -> None:
    journal, mailbox = Journal(), Mailbox(1, "fred", claimed=True, created_s=0.0, last_seen_s=0.0)
    journal.set(mailbox, "queued", 1)
    mark = journal.mark()
    journal.set(mailbox, "queued", 2)
    journal.set(mailbox, "queued", 3)
    journal.add(mailbox.urgent, 7)
    journal.put(mailbox.blocked, 5, "mute")
    journal.drop(mailbox.blocked, 5)
    journal.rollback(mark)
    assert (mailbox.queued, mailbox.urgent, mailbox.blocked) == (1, set(), {})
    journal.rollback()
    assert mailbox.queued == 0
