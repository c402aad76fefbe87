"""A mailbox: how much mail it holds, and how it is made, named, counted and dropped.

A mailbox is *claimed* while somebody is registered as it. One that a send has made for a name that nobody has is *unborn*: it
counts against its maker.
"""

from broker.core.batch import Batch
from broker.core.journal import Journal
from broker.core.state import Mailbox, State
from broker.core.storage import Store
from broker.home.settings import Settings
from broker.protocol.addresses import site_of

_NO_LIMIT = 2**62


def room(settings: Settings, mailbox: Mailbox) -> int:
    """Messages that it still takes. It holds ``mailbox_limit`` unread ones (10,000 unless set). The next one is refused as
    ``mailbox_full``; a post to a group or a broadcast passes the mailbox over, and says so (``recipients.with_room``)."""
    limit = settings.mailbox_limit
    return max(0, limit - mailbox.queued) if limit > 0 else _NO_LIMIT


def enter(state: State, mailbox: Mailbox, journal: Journal) -> None:
    """Add a mailbox under a name that had none."""
    journal.put(state.mailboxes, mailbox.name, mailbox)
    journal.put(state.by_id, mailbox.id, mailbox)
    _count(state, mailbox, journal, 1)


def leave(state: State, mailbox: Mailbox, journal: Journal) -> None:
    """Take a mailbox out of the state."""
    _count(state, mailbox, journal, -1)
    journal.drop(state.mailboxes, mailbox.name)
    journal.drop(state.by_id, mailbox.id)


def set_claimed(state: State, mailbox: Mailbox, journal: Journal, *, claimed: bool) -> None:
    """Somebody registers as the mailbox, or its name is freed."""
    if mailbox.claimed != claimed:
        _count(state, mailbox, journal, -1)
        journal.set(mailbox, "claimed", claimed)
        journal.set(mailbox, "maker", 0)
        _count(state, mailbox, journal, 1)


def give_name(state: State, mailbox: Mailbox, name: str, journal: Journal) -> None:
    """Give a registered mailbox another name."""
    _count(state, mailbox, journal, -1)
    journal.drop(state.mailboxes, mailbox.name)
    journal.set(mailbox, "name", name)
    journal.put(state.mailboxes, name, mailbox)
    _count(state, mailbox, journal, 1)


def _count(state: State, mailbox: Mailbox, journal: Journal, by: int) -> None:
    """Count a name of another site, a registered name, which a near-miss may mean, or an unborn mailbox of its maker's."""
    if mailbox.site:
        journal.put(state.link.boxes, mailbox.site, state.link.boxes.get(mailbox.site, 0) + by)
    elif mailbox.claimed:
        journal.set(state, "registered", state.registered + by)
        do, undo = (state.nearby.add, state.nearby.discard) if by > 0 else (state.nearby.discard, state.nearby.add)
        do(mailbox.name)
        journal.on_rollback(undo, mailbox.name)
    elif mailbox.maker:
        left = state.unborn.get(mailbox.maker, 0) + by
        if left > 0:
            journal.put(state.unborn, mailbox.maker, left)
        else:
            journal.drop(state.unborn, mailbox.maker)


def new_mailbox(batch: Batch, name: str, maker: int = 0) -> Mailbox:
    """Make an unclaimed mailbox. ``maker`` is the mailbox of the sender whose message makes it."""
    state = batch.state
    mailbox_id = state.last_mailbox_id + 1
    batch.journal.set(state, "last_mailbox_id", mailbox_id)
    mailbox = Mailbox(mailbox_id, name, claimed=False, created_s=batch.now.wall_s, last_seen_s=batch.now.term_s, maker=maker)
    mailbox.site = site_of(name)
    enter(state, mailbox, batch.journal)
    batch.store.save_mailbox(mailbox)
    return mailbox


def drop_mailbox(state: State, store: Store, mailbox: Mailbox, journal: Journal) -> None:
    """Forget an unclaimed mailbox, and the sessions that it had."""
    for token in mailbox.ended:
        journal.drop(state.sessions, token)
        store.drop_session(token)
    leave(state, mailbox, journal)
    store.drop_mailbox(mailbox.id)


def forget_mail(mailbox: Mailbox, ids: set[int], journal: Journal) -> None:
    """These unread messages leave the mailbox: read, withdrawn or expired."""
    for message_id in ids & mailbox.leased.keys():
        journal.drop(mailbox.leased, message_id)
    if mailbox.returned:
        journal.set(mailbox, "returned", sorted(i for i in mailbox.returned if i not in ids))
    for special in (mailbox.urgent, mailbox.later, mailbox.from_far):
        for message_id in ids & special if special else ():
            journal.discard(special, message_id)
    for message_id in ids & mailbox.quiet.keys() if mailbox.quiet else ():
        journal.drop(mailbox.quiet, message_id)
    if mailbox.notice is not None and mailbox.notice.message_id in ids:
        journal.set(mailbox, "notice", None)
    journal.set(mailbox, "queued", mailbox.queued - len(ids))
