"""Bounces: a sender is told of its mail that ended unread, or whose reader is away too long.

Theory of operation. What is to be told is in the store's table ``untold``, one row a message and reader. Endings put it there
in their own transaction, ``search`` does for mail of readers who are away. ``tell`` makes a digest of a sender's rows: in one
transaction the notice is written, the rows go, each message gets the step BOUNCED, and the mailbox notes when that was. So a
death at any moment loses nothing and tells nothing twice.

    ended -----------------------------.
                                        +--> untold --tell--> a notice of ``system``, BOUNCED
    unread, its reader away --search---'
    word of another site, in ``far_news``

Mail for a name at another site is overdue while that site does not have it. Once it does, that site looks for its readers, and
says ``away``. So does this one of mail that came from there: the step BOUNCED keeps it from saying so twice.

A sender gets at most one digest an hour; it lands as a digest and wakes nobody. One whose mailbox is full gets none, which is
counted. Who is not registered is told once it is again. Notices are nobody's, so they never bounce.

``search`` reads no mail that can't be overdue: mail comes in the order of its ids, so it goes on from where it stopped, and
each mailbox notes before when nothing more in it is overdue.
"""

import heapq
from math import inf

from broker.core import far_steps
from broker.core.batch import Batch
from broker.core.bodies import alive
from broker.core.chores import ROWS
from broker.core.endings import owe
from broker.core.facts import Mark, Step
from broker.core.far_word import tell_of
from broker.core.mailboxes import room
from broker.core.notices import notify
from broker.core.state import NOT_SEARCHED, Landing, Mailbox, Overdue
from broker.core.storage import Unread, Untold
from broker.core.values import iso_term

HOUR_S = 3600.0
"""Seconds between two digests to a sender."""
COVERED = 500
"""Messages that one digest tells of; the rest is in the next. It takes about 25 ms."""
_NAMED = 20
"""Messages that it names; of the others it says how many they are."""
_WORDS = 60
"""Characters of a message's text by which its sender knows it again."""
_REST_S = 5.0
"""Seconds at least between two searches, unless a setting is shorter."""


def is_away(batch: Batch, mailbox: Mailbox) -> bool:
    """Nobody waits for its mail, and no program that acts for it is known to live. An open terminal is no sign of its user."""
    if mailbox.attended:
        return False
    session = mailbox.session
    if session is not None and session.body is not None and session.body.kind == "terminal":
        return True
    return alive(batch, mailbox) is not True


# what is overdue


def search(batch: Batch) -> float:
    """The chore: look for unread mail whose reader has been away too long since it came."""
    state, now = batch.state, batch.now
    shortest_s = min(batch.settings.bounce_after_s, batch.settings.bounce_interrupt_s)
    todo, left = list(state.searched), ROWS
    if not todo:
        todo = [m.id for m in state.by_id.values() if m.queued and _next_s(m, shortest_s) <= now.due_s]
    while todo and left > 0:
        mailbox = state.by_id.get(todo[-1])
        read, done = (0, True) if mailbox is None else look_into(batch, mailbox, left, shortest_s)
        left -= 1 + read
        if done:
            todo.pop()
    batch.journal.set(state, "searched", todo)
    if todo:
        return now.mono_s
    next_s = min((_next_s(m, shortest_s) for m in state.by_id.values() if m.queued), default=inf)
    rest_s = min(_REST_S, shortest_s)
    return inf if next_s == inf else now.mono_s + max(rest_s, min(next_s - now.due_s, shortest_s))


def _next_s(mailbox: Mailbox, shortest_s: float) -> float:
    """Before then nothing more in the mailbox is overdue."""
    return max(mailbox.overdue.next_s, seen_s(mailbox) + shortest_s)


def seen_s(mailbox: Mailbox) -> float:
    """When its reader was last here. Of a name at another site it says nothing that we write to it."""
    return 0.0 if mailbox.site else mailbox.last_seen_s


def look_into(batch: Batch, mailbox: Mailbox, limit: int, shortest_s: float) -> tuple[int, bool]:
    """Note the mailbox's overdue mail, of at most ``limit`` messages; (how many were read, whether that was all)."""
    known, due_s, settings = mailbox.overdue, batch.now.due_s, batch.settings
    if not mailbox.site and not is_away(batch, mailbox):
        batch.journal.set(mailbox, "overdue", known._replace(next_s=due_s + shortest_s))
        return 0, True
    urgent = sorted(i for i in mailbox.urgent if i > known.urgent_upto)[:limit]
    rows = batch.store.unread_of(mailbox.id, urgent)
    late, next_s = overdue_of(batch, mailbox, rows, settings.bounce_interrupt_s)
    urgent_upto, done = (late[-1].message_id if late else known.urgent_upto), len(urgent) < limit or next_s < inf
    note_overdue(batch, mailbox, late)
    read, upto, away_s = len(rows), known.upto, seen_s(mailbox) + settings.bounce_after_s
    if away_s > due_s:
        next_s = min(next_s, away_s)
    else:
        rows = batch.store.unread_after(mailbox.id, known.upto, limit)
        late, later_s = overdue_of(batch, mailbox, rows, settings.bounce_after_s)
        upto, done = (late[-1].message_id if late else upto), done and (len(rows) < limit or later_s < inf)
        note_overdue(batch, mailbox, late)
        read, next_s = read + len(rows), min(next_s, later_s)
    next_s = min(next_s, due_s + shortest_s) if done else 0.0  # what comes from now on is overdue then at the earliest
    batch.journal.set(mailbox, "overdue", Overdue(upto, urgent_upto, next_s))
    return read, done


def overdue_of(batch: Batch, mailbox: Mailbox, rows: list[Unread], after_s: float) -> tuple[list[Unread], float]:
    """The first of these messages, as far as they are overdue, and when the next one is."""
    for position, row in enumerate(rows):
        came_s = row.created_s - batch.now.ahead_s if row.brief or mailbox.site else row.expires_s - batch.settings.unread_ttl_s
        late_s = max(came_s, seen_s(mailbox)) + after_s
        if late_s > batch.now.due_s:
            return rows[:position], late_s
    return rows, inf


def note_overdue(batch: Batch, mailbox: Mailbox, late: list[Unread]) -> None:
    """Put it among what is to be told. Of those who are gone the mail is told of when it ends, if they are back by then."""
    state = batch.state
    owed = []
    for row in late:
        sender = state.by_id.get(row.sender_id)
        if sender is None or sender is mailbox or row.told:
            continue
        if sender.site:
            tell_site(batch, mailbox, row.message_id)
        elif sender.claimed and (not mailbox.site or far_steps.row_of(batch, mailbox, row.message_id) is not None):
            owed.append((row.sender_id, row.message_id, mailbox.id))
    if owed:
        batch.store.add_untold(owed)
        owe(state, {sender_id for sender_id, *_ in owed}, batch.now, batch.journal)


def tell_site(batch: Batch, mailbox: Mailbox, message_id: int) -> None:
    """A letter of another site waits for somebody who is away: that site is told, once."""
    letter = batch.store.find_letter(message_id)
    if letter is not None and not mailbox.site:
        tell_of(batch, mailbox, letter, "away", **({} if mailbox.claimed else {"nobody": True}))
        batch.store.add_steps([Step(message_id, mailbox.id, Mark.BOUNCED, "away", batch.now.term_s)])


# what is told


def tell(batch: Batch) -> float:
    """The chore: a digest for each sender whose time has come."""
    waiting, now, left = batch.state.digests, batch.now, ROWS
    while waiting and waiting[0][0] <= now.due_s and left > 0:
        entry = heapq.heappop(waiting)
        batch.journal.on_rollback(heapq.heappush, waiting, entry)
        left -= 1 + tell_sender(batch, entry[1])
    return now.mono_s + max(0.0, waiting[0][0] - now.due_s) if waiting else inf


def tell_sender(batch: Batch, sender_id: int) -> int:
    """Tell one sender, unless it is told already, is not registered, or was told within the hour; how many rows were read."""
    state, due_s = batch.state, batch.now.due_s
    sender = state.by_id.get(sender_id)
    if sender_id not in state.untold or sender is None:
        batch.journal.discard(state.untold, sender_id)
        return 0
    if not sender.claimed:
        return 0
    again_s = min(sender.bounced_s, due_s) + HOUR_S
    if again_s > due_s:
        heapq.heappush(state.digests, (again_s, sender_id))
        return 0
    rows = batch.store.untold_of(sender_id, COVERED + 1)
    news = [row for row in rows[:COVERED] if is_news(batch, row)]
    told = write_digest(batch, sender, news)
    batch.store.drop_untold(sender_id, rows[:COVERED], [*steps_of_bounce(batch, news, told=told)])
    if len(rows) > COVERED:
        heapq.heappush(state.digests, (due_s + HOUR_S if news else due_s, sender_id))
    else:
        batch.journal.discard(state.untold, sender_id)
    return len(rows)


def is_news(batch: Batch, row: Untold) -> bool:
    """False if it was read since it was noted, or its reader is back; then it is looked for again."""
    if row.ending is not None:
        return True
    reader = batch.state.by_id.get(row.mailbox_id)
    if reader is None or not row.waits:
        return False
    if reader.site:
        waits_here = far_steps.row_of(batch, reader, row.message_id) is not None
        return waits_here or bool(far_steps.said_away(batch, reader, row.message_id))
    if not is_away(batch, reader):
        batch.journal.set(reader, "overdue", NOT_SEARCHED)
        return False
    return True


def steps_of_bounce(batch: Batch, news: list[Untold], *, told: bool) -> list[Step]:
    ways = [(row.ending or "away") if told else "dropped" for row in news]
    now_s = batch.now.term_s
    return [Step(r.message_id, r.mailbox_id, Mark.BOUNCED, way, now_s) for r, way in zip(news, ways, strict=True)]


def write_digest(batch: Batch, sender: Mailbox, news: list[Untold]) -> bool:
    """Write the notice; False if the sender's mailbox is full, so that it is dropped and counted."""
    if not news:
        return False
    batch.journal.set(sender, "bounced_s", batch.now.term_s)
    batch.store.save_mailbox(sender)
    if not room(batch.settings, sender):
        batch.journal.set(batch.state, "dropped_bounces", batch.state.dropped_bounces + 1)
        return False
    notify(batch, [sender], text_of_digest(batch, news), land=Landing.AS_DIGEST)
    return True


def text_of_digest(batch: Batch, news: list[Untold]) -> str:
    lines = [f"{len(news)} of your messages {'was' if len(news) == 1 else 'were'} not read:"]
    lines += [line_of(batch, row) for row in news[:_NAMED]]
    if len(news) > _NAMED:
        lines.append(f"and {len(news) - _NAMED} more")
    if any(row.ending is not None for row in news):
        lines.append("To send one that ended again: ipc dead send N, or the tool manage with dead_send. ipc dead lists them.")
    if any(row.ending is None for row in news):
        lines.append("What waits still arrives when its reader is back; ipc withdraw N takes it back.")
    return "\n".join(lines)


def line_of(batch: Batch, row: Untold) -> str:
    """Which message, to whom, why, and how it begins."""
    letter = batch.store.find_letter(row.message_id)
    words = " ".join(letter.content[: 4 * _WORDS].split()) if letter is not None else ""
    beginning = words if len(words) <= _WORDS else f"{words[:_WORDS]}…"
    reader = batch.state.by_id.get(row.mailbox_id)
    name = reader.name if reader is not None else row.name or "?"
    if row.ending is not None:
        why = f"{row.ending}: {row.why}"
    elif reader is not None and reader.site:
        why = f"waits: {far_steps.why_away(batch, reader, row.message_id)}"
    elif reader is None or not reader.claimed:
        why = "waits: nobody has this name yet"
    else:
        why = f"waits: {name} is away since {iso_term(batch, reader.last_seen_s)[:16]}Z"
    return f"#{row.message_id} to {name}, {why}. It begins: {beginning}"


def resume(batch: Batch, mailbox: Mailbox) -> None:
    """A sender is registered again: tell it what has waited for that."""
    if mailbox.id in batch.state.untold:
        heapq.heappush(batch.state.digests, (batch.now.due_s, mailbox.id))
        batch.chore_at("bounces", batch.now.mono_s)
