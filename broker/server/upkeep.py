"""What the broker does between batches: expiry in small steps, and noting when agents were last active.

A step touches at most ``_STEP`` rows, so a sweep of any size never holds mail up; while there is more to do the next step
follows after ``_PAUSE_S``. A round looks at every mailbox and then at the read mail; the next follows after a minute, or the
shortest time that mail is kept. Where read mail runs out of its time all along, that is swept each ``_SOON_S``. If a round
does not come to its end, mail comes in faster than it goes: then steps are larger with next to no pause, until it does.
"""

import gc
from math import inf

from broker.core.endings import owe
from broker.core.engine import Engine
from broker.core.far_word import EXPIRED
from broker.core.forwards import drop_forward, forgotten_forwards, leads
from broker.core.groups import drop_member, leave_group
from broker.core.journal import Journal
from broker.core.loop_guard import prune
from broker.core.mailboxes import drop_mailbox, forget_mail
from broker.core.naming import release_name
from broker.core.sessions import drop_session
from broker.core.state import Mailbox, Moment
from broker.core.storage import StoreError
from broker.home.logs import Log
from broker.protocol.spans import span
from broker.store import SqliteStore
from broker.store.expiry import Expired
from broker.store.folding import LONGEST

_STEP = 200
_PAUSE_S = 0.02
_REST_S = 60.0
_SOON_S = 1.0
_PATIENCE_S = 5.0
_HURRY_S, _HURRY_STEP = 0.001, 400
_ACTIVITY_S = 30.0
_LEAST_FOLD = 256
"""Messages that are folded at once while others wait: what has come, and not less than this."""
_WORD_S = 86_400.0
"""Seconds after which no word of a letter is awaited any more of the site that it went to."""
_BRIEF = "unread when the time that its sender gave it was over"
_QUIET_S = 0.1
"""Seconds without requests after which the tail is folded, then the archive indexed, then the WAL's pages moved."""
_YOUNG = 2000
"""Objects more than at the last collection. Requests leave no cycles behind (measured), so fewer are not worth a look."""


class Sweeper:
    """Takes one mailbox's expired mail, or a slice of the read mail, at a time."""

    def __init__(self, engine: Engine, store: SqliteStore, log: Log) -> None:
        self._engine = engine
        self._store = store
        self._log = log
        s = engine.settings
        self._rest_s = max(_SOON_S, min(_REST_S, s.read_ttl_s, s.unread_ttl_s, s.bounce_after_s, s.bounce_interrupt_s))
        self._todo: list[int] | None = None
        self._round_s = 0.0
        """Monotonic seconds at which the present round began. ``_whole_s``: the last round over every mailbox."""
        self._whole_s: float | None = None
        self._steady = False
        """True if the round found a full step of read mail: more will be due soon."""
        self._next_s: float | None = None
        self._activity_s: float | None = None
        self._busy_s = self._fold_s = 0.0
        self._expiry_s: float | None = None

    @property
    def next_s(self) -> float:
        """The monotonic second of the next step."""
        times = [t for t in (self._next_s, self._activity_s, self._expiry_s) if t is not None]
        if self._store.crowded:
            return 0.0
        if self._store.unfolded or self._store.unindexed or self._store.checkpoints.due:
            times.append(self._busy_s + _QUIET_S)
        return min(times, default=0.0)

    def step(self, now: Moment, *, busy: bool = False) -> None:
        """Do what is due. ``busy`` says that requests have just been served."""
        if busy:
            self._busy_s = now.mono_s
        quiet = not busy and now.mono_s >= self._busy_s + _QUIET_S
        behind = self._store.unfolded or self._store.unindexed
        if quiet and behind:
            self._index(now)
        if self._store.unfolded > LONGEST and now.mono_s >= self._fold_s:
            self._fold(now)
        self._checkpoint(quiet=quiet and not behind)
        self._sweep_brief(now)
        if self._store.crowded:
            self._make_room()
        if self._activity_s is not None and now.mono_s >= self._activity_s:
            self.flush_activity()
        if self._engine.state.touched and self._activity_s is None:
            self._activity_s = now.mono_s + _ACTIVITY_S
        if self._next_s is not None and now.mono_s < self._next_s:
            return
        if quiet and gc.get_count()[0] > _YOUNG:
            gc.collect()  # now it holds nobody up (see broker.service.supervised.collect_seldom)
        try:
            more = self._sweep(now)
        except StoreError as e:
            self._store.rollback()
            self._log.warning("sweep_postponed", detail=str(e))
            more = False
        self._next_s = now.mono_s + self._pause_s(now, more=more)

    def _in_a_hurry(self, now: Moment) -> bool:
        return now.mono_s - self._round_s > _PATIENCE_S

    def _pause_s(self, now: Moment, *, more: bool) -> float:
        if more:
            return _HURRY_S if self._in_a_hurry(now) else _PAUSE_S
        return _SOON_S if self._steady else self._rest_s

    def _index(self, now: Moment) -> None:
        try:
            if self._store.unfolded:
                self._store.fold()
            else:
                self._store.index()
        except StoreError as e:
            self._log.warning("index_postponed", detail=str(e))
            self._busy_s = now.mono_s + _REST_S
        else:
            self._busy_s = now.mono_s + _PAUSE_S - _QUIET_S  # what waits goes first

    def _checkpoint(self, *, quiet: bool) -> None:
        try:
            self._store.checkpoint(quiet=quiet)
        except StoreError as e:  # the pages wait in the WAL; the next try follows when more have come
            self._log.warning("checkpoint_postponed", detail=str(e))

    def _fold(self, now: Moment) -> None:
        """The tail is as long as it may be: as much goes as has come."""
        try:
            self._store.fold(max(_LEAST_FOLD, self._store.unfolded - LONGEST))
        except StoreError as e:
            self._log.warning("index_postponed", detail=str(e))
            self._fold_s = now.mono_s + _SOON_S

    def _sweep_brief(self, now: Moment) -> None:
        """Mail whose sender set an expiry of its own."""
        state = self._engine.state
        if state.next_expiry_s is None:
            self._expiry_s = None
            return
        left_s = state.next_expiry_s - now.due_s
        if left_s > 0:
            self._expiry_s = now.mono_s + min(left_s, _REST_S)  # the clock may be set, so look again soon
            return
        try:
            far = {m.id: m.site for m in state.by_id.values() if m.site} if state.link.boxes else {}
            gone, state.next_expiry_s = self._store.sweep_brief(now.due_s, _STEP, _BRIEF, far)
        except StoreError as e:
            self._log.warning("sweep_postponed", detail=str(e))
            self._expiry_s = now.mono_s + _REST_S
            return
        self._expiry_s = now.mono_s + _PAUSE_S
        self._forget(gone, now, _BRIEF)

    def _make_room(self) -> None:
        """The mail has reached its limit on the disk: the oldest dead letters give way."""
        try:
            count = self._store.sweep_dead(_STEP)
        except StoreError as e:
            self._store.crowded = False  # the next refusal tries again
            self._log.warning("sweep_postponed", detail=str(e))
        else:
            self._log.warning("dead_letters_gave_way", count=count)

    def flush_activity(self, *, force: bool = False) -> None:
        """Write when mailboxes were last seen. If the disk refuses, the next flush tries again."""
        self._activity_s = None
        state = self._engine.state
        if not state.touched:
            return
        mailboxes = [state.by_id[i] for i in state.touched if i in state.by_id]
        sessions = [m.session for m in mailboxes if m.session is not None]
        try:
            self._store.touch(mailboxes, sessions)
        except StoreError as e:
            self._log.warning("activity_not_written", detail=str(e), stopping=force)
            return
        state.touched.clear()

    def _sweep(self, now: Moment) -> bool:
        """One step; True while there is more of this round."""
        settings, state = self._engine.settings, self._engine.state
        if self._todo is None:
            self._begin(now)
        assert self._todo is not None
        for _ in range(min(_STEP, len(self._todo))):
            mailbox = state.by_id.get(self._todo[-1])
            if mailbox is not None and mailbox.queued and self._expire(mailbox, now):
                return True
            self._todo.pop()
        if self._todo:
            return True
        most = _HURRY_STEP if self._in_a_hurry(now) else _STEP
        for keep_s in {settings.read_ttl_s, *state.keeps.values()}:
            if self._store.sweep_read(now.due_s, keep_s, most, state.keeps, settings.read_ttl_s) == most:
                self._steady = True
                return True
        self._todo = None
        return False

    def _expire(self, mailbox: Mailbox, now: Moment) -> bool:
        """End some of a mailbox's mail whose time is over; False where there is none."""
        kept_s = self._engine.settings.unread_ttl_s
        if mailbox.site:
            ended = self._store.sweep_far(mailbox.id, mailbox.site, now.due_s, _WORD_S, _STEP)
        else:
            why = f"unread for {span(kept_s)}"
            gone = self._store.sweep_unread(mailbox.id, now.due_s, _STEP, why)
            ended = [(why, gone)] if gone else []
        for why, gone in ended:
            self._forget(gone, now, why)
        return bool(ended)

    def _begin(self, now: Moment) -> None:
        """Begin a round; one of those that follow soon is for read mail alone."""
        self._round_s, self._steady = now.mono_s, False
        if self._whole_s is not None and now.mono_s - self._whole_s < self._rest_s:
            self._todo = []
            return
        self._whole_s = now.mono_s
        if self._engine.state.chores.get("overdue") == inf:  # new mail may have come since it found none
            self._engine.state.chore_at("overdue", now.mono_s)
        self._todo = [m.id for m in self._engine.state.by_id.values()]
        self._retire(now)

    def _forget(self, gone: list[Expired], now: Moment, why: str) -> None:
        """Take expired mail out of memory too; its senders are to be told."""
        state, journal = self._engine.state, Journal()
        by_mailbox: dict[int, set[int]] = {}
        for one in gone:
            by_mailbox.setdefault(one.mailbox_id, set()).add(one.message_id)
        for mailbox_id, ids in by_mailbox.items():
            mailbox = state.by_id.get(mailbox_id)
            if mailbox is not None:
                state.expired_far += [(mailbox_id, i, why) for i in sorted(ids & mailbox.from_far)]
                forget_mail(mailbox, ids, journal)
                self._log.info("mail_expired", mailbox=mailbox.name, count=len(ids))
        here = {one.sender_id for one in gone if (sender := state.by_id.get(one.sender_id)) is None or not sender.site}
        owe(state, here - {0}, now, journal)
        journal.commit()
        if state.expired_far:
            state.chore_at(EXPIRED, now.mono_s)

    def _retire(self, now: Moment) -> None:
        """Names whose sessions have all lapsed are free again; empty mailboxes nobody claims are dropped."""
        state, store, settings = self._engine.state, self._store, self._engine.settings
        oldest_s = now.due_s - settings.session_timeout_s
        lapsed = [s for s in state.sessions.values() if s.last_seen_s < oldest_s]
        held = {s.mailbox.id for s in state.sessions.values() if not s.replaced and s.last_seen_s >= oldest_s}
        freed = [m for m in state.by_id.values() if m.claimed and m.id not in held and m.last_seen_s < oldest_s]
        journal = Journal()
        try:
            for session in lapsed:
                drop_session(state, store, session, journal)
            for mailbox in freed:
                release_name(state, store, mailbox, journal)
            for mailbox in self._nobodys(now):
                for group in [g for g in state.groups.values() if mailbox.site and mailbox.id in g.members]:
                    drop_member(state, store, group, mailbox.id, journal)
                drop_mailbox(state, store, mailbox, journal)
            for name in forgotten_forwards(state, settings.read_ttl_s, settings.name_limit, now.due_s):
                drop_forward(state, store, name, journal)
            for kind, ref in [key for key in state.keeps if key[0] == "thread" and store.is_thread_gone(int(key[1]))]:
                journal.drop(state.keeps, (kind, ref))
                store.save_keep(kind, ref, None)
            for group in [g for g in state.groups.values() if state.by_id.keys().isdisjoint(g.members)]:
                leave_group(state, group, journal)
                store.drop_group(group.id)
            store.commit()
        except StoreError:
            journal.rollback()
            raise
        journal.commit()
        prune(state.pairs, now.mono_s)
        for mailbox in freed:
            self._log.info("name_released", name=mailbox.name)

    def _nobodys(self, now: Moment) -> list[Mailbox]:
        """Empty mailboxes that nobody has and no old name leads to: those that are old, and the oldest beyond the limit."""
        settings, state = self._engine.settings, self._engine.state
        led_to = {forward.mailbox.id for forward in state.forwards.values() if leads(forward, now.due_s)}
        empty = [m for m in state.by_id.values() if not m.claimed and not m.queued and m.id not in led_to]
        far = self._strangers([m for m in empty if m.site], now)
        empty = sorted((m for m in empty if not m.site), key=lambda m: m.last_seen_s)
        over, idle_s = len(empty) - settings.unclaimed_limit, now.due_s - settings.unread_ttl_s
        return far + [m for i, m in enumerate(empty) if i < over or m.last_seen_s < idle_s]

    def _strangers(self, far: list[Mailbox], now: Moment) -> list[Mailbox]:
        """Names of other sites that are forgotten: their mail can be answered for as long as it is kept. Members of groups are
        known as long as agents here; who is blocked, or stands for a site that has made mailboxes, is not forgotten."""
        if not far:
            return far
        settings, state = self._engine.settings, self._engine.state
        kept = {i for m in state.mailboxes.values() for i in m.blocked} | state.unborn.keys()
        members = {i for group in state.groups.values() for i in group.members}
        stranger_s = now.due_s - settings.read_ttl_s
        member_s = min(stranger_s, now.due_s - settings.session_timeout_s)
        return [m for m in far if m.id not in kept and m.last_seen_s < (member_s if m.id in members else stranger_s)]
