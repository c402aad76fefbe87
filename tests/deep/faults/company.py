"""The model's other half: names and their forwards, sessions, groups, claims, blocks and pairs that take turns."""

from dataclasses import dataclass
from typing import Any

from tests.deep.faults.model import Box, Mail, Wrong

GONE_AFTER_S = 900.0
_PAIR_S = 60.0
_ENDED_KEPT = 16
_NOTICE_LINES = 20
_NOTICE_S = 3600.0
RESOURCES = ("src/a.py", "src/b.py", "src/*.py", "src/**", "docs")
_OVERLAPS = {
    "src/a.py": {"src/a.py", "src/*.py", "src/**"},
    "src/b.py": {"src/b.py", "src/*.py", "src/**"},
    "src/*.py": {"src/a.py", "src/b.py", "src/*.py", "src/**"},
    "src/**": {"src/a.py", "src/b.py", "src/*.py", "src/**"},
    "docs": {"docs"},
}


@dataclass(slots=True, eq=False)
class Session:
    """What a token stands for."""

    box: Box
    seen_s: float
    replaced: bool = False
    route: bytes | None = None
    """The connection that registered it."""
    made_s: float = 0.0


@dataclass(slots=True, eq=False)
class Held:
    """One claim."""

    box: Box
    resource: str
    since_s: float
    until_s: float
    note: str


@dataclass(slots=True)
class Pair:
    last: Box
    since_s: float
    turns: int = 0


class Company(Mail):
    """Who there is, and who may what."""

    def __init__(self, settings: Any) -> None:
        super().__init__(settings.lease_s, settings.unread_ttl_s, settings.dedupe_s)
        self.settings = settings
        self.sessions: dict[str, Session] = {}
        self.forwards: dict[str, tuple[Box, float]] = {}
        self.groups: dict[str, list[Box]] = {}
        self.claims: list[Held] = []
        self.pairs: dict[tuple[int, int], Pair] = {}

    # sessions and names

    def refusal(self, token: str | None, wall_s: float) -> str | None:
        """The code with which a token must be refused."""
        session = self.sessions.get(token) if token is not None else None
        if session is None:
            return "unauthorized"
        if session.replaced:
            return "session_replaced" if self.session_of(session.box) is not None else "session_ended"
        return "session_expired" if wall_s - session.seen_s > self.settings.session_timeout_s else None

    def is_held(self, box: Box, route: bytes) -> bool:
        """True if a mailbox is not to be had from that connection without force: somebody else subscribes or waits."""
        session = self.session_of(box)
        waiting = [w.key[0] for w in (*box.waits, *box.asks, *box.watchers, *([box.subscription] if box.subscription else []))]
        if session is None or not waiting or box.presence == "gone":
            return False
        return route not in (session.route, *waiting)

    def registers(self, name: str, token: str, wall_s: float, route: bytes) -> Box:
        box = self.box(name, wall_s)
        self.ends_session(box)
        self.drop_lapsed_forward(name, wall_s)
        self.sessions[token] = Session(box, wall_s, route=route, made_s=wall_s)
        box.claimed, box.seen_s = True, wall_s
        if box.presence == "gone":
            box.presence = box.note = ""
        return box

    def session_of(self, box: Box | None) -> Session | None:
        """The one that may still act for a mailbox, be it expired."""
        return next((s for s in self.sessions.values() if s.box is box and not s.replaced), None)

    def ends_session(self, box: Box) -> None:
        session = self.session_of(box)
        if session is not None:
            session.replaced = True
            box.ended.append(next(token for token, s in self.sessions.items() if s is session))
        box.ended = [token for token in box.ended if token in self.sessions]
        for token in box.ended[:-_ENDED_KEPT]:
            del self.sessions[token]
        box.reach = []
        self.releases(box, None)
        self.claims = [c for c in self.claims if c.box is not box]
        box.waits, box.asks, box.watchers, box.subscription = [], [], [], None

    def drop_lapsed_forward(self, name: str, wall_s: float) -> None:
        if name in self.forwards and self.forwards[name][1] <= wall_s:
            del self.forwards[name]

    def is_own(self, box: Box, name: str, wall_s: float) -> bool:
        return name == box.name or self.leads_to(name, wall_s) is box

    def leads_to(self, name: str, wall_s: float) -> Box | None:
        """Whom an old name means as long as it forwards."""
        box, until_s = self.forwards.get(name, (None, 0.0))
        return box if until_s > wall_s and not (name in self.names and self.names[name].claimed) else None

    def rename_refusal(self, box: Box, new: str, wall_s: float) -> str | None:
        forward = self.forwards.get(new)
        if forward is not None and forward[1] <= wall_s:
            forward = None
        other = self.names.get(new)
        if new in self.groups or (other is not None and other.claimed) or (forward is not None and forward[0] is not box):
            return "name_taken"
        left_s = box.renamed_s + self.settings.rename_interval_s - wall_s if box.renamed_s else 0.0
        return "rename_too_soon" if left_s > 0 else None

    def renames(self, box: Box, new: str, wall_s: float) -> None:
        old, other = box.name, self.names.get(new)
        if other is not None and other is not box:
            self.takes_over(other, box)
            self.forwards = {n: (box if f[0] is other else f[0], f[1]) for n, f in self.forwards.items()}
            for token in other.ended:
                self.sessions[token].box = box
            box.ended = [*other.ended, *box.ended]
        del self.names[old]
        box.name, box.renamed_s = new, wall_s
        self.names[new] = box
        self.forwards.pop(new, None)
        self.forwards[old] = box, wall_s + self.settings.forward_s

    def tell_of_rename(self, about: Box, line: str, wall_s: float) -> None:
        """Who has an unread notice of renames finds it in there, everyone else in a new one."""
        others = [b for b in self.boxes if b.claimed and b is not about]
        fresh = [b for b in others if self.may_grow(b, wall_s)]
        for letter in {b.notice.number: b.notice for b in fresh if b.notice is not None}.values():
            letter.lines.append(line)
            over = len(letter.lines) - _NOTICE_LINES
            head = [f"📝 {over} earlier renames"] if over > 0 else []
            letter.content = "\n".join([*head, *letter.lines[-_NOTICE_LINES:]])
            self.counts["notices grown"] += 1
        told = self.notice([b for b in others if b not in fresh], line, wall_s, self.settings.mailbox_limit)
        if told is not None:
            told.lines = [line]
            for box in told.to:
                box.notice = told

    def may_grow(self, box: Box, wall_s: float) -> bool:
        """Whether the notice is unread and has never been handed out."""
        letter = box.notice
        entry = box.entry(letter.number) if letter is not None else None
        if letter is None or entry is None:
            return False
        return entry.shown is False and entry.held_until_s is None and 0 <= wall_s - letter.created_s < _NOTICE_S

    def find(self, name: str, wall_s: float) -> Box | None:
        """Whom a name means, of those who are or were there."""
        return self.leads_to(name, wall_s) or self.names.get(name)

    def resolve(self, name: str, wall_s: float) -> tuple[list[Box] | None, str | None, str]:
        """(who gets mail for a name, None for a mailbox that is to be made; the group; the reply's sentence)."""
        box = self.names.get(name)
        if box is not None and box.claimed:
            return [box], None, "Message sent"
        forward = self.forwards.get(name)
        if forward is not None and forward[1] > wall_s:
            return [forward[0]], None, f"Message forwarded from {name} to {forward[0].name}"
        if name in self.groups:
            return [b for b in self.groups[name] if b.claimed and b in self.boxes], name, ""
        sentence = f"Message queued for {name} (not yet registered)"
        if forward is not None and forward[0].claimed:
            sentence += f". {name} is now called {forward[0].name}"
        return ([box] if box is not None else None), None, sentence

    # who may write to whom

    def is_full(self, box: Box) -> bool:
        return len(box.unread) >= int(self.settings.mailbox_limit)

    def room(self, sender: Box, boxes: list[Box]) -> tuple[list[Box], list[str]]:
        """Those of many who get it, and the names of the full ones."""
        willing = [b for b in boxes if b is not sender and b.blocked.get(sender) != "block"]
        full = sorted(b.name for b in boxes if b.blocked.get(sender) != "block" and self.is_full(b))
        return [b for b in willing if not self.is_full(b)], full

    def one_refusal(self, sender: Box, box: Box | None, mono_s: float, *, person: bool, turns: bool = True) -> str | None:
        """The code with which mail to one mailbox must be refused."""
        if box is None:
            return None
        if box.blocked.get(sender) == "block":
            return "blocked"
        if self.is_full(box):
            return "mailbox_full"
        pair = self.pairs.get(_key(sender, box))
        if not turns or sender is box or pair is None or person or mono_s - pair.since_s > _PAIR_S:
            return None
        return "slow_down" if pair.turns > self.settings.pair_limit else None

    def take_turn(self, sender: Box, other: Box, wall_s: float, mono_s: float, *, person: bool) -> None:
        """Count who writes after whom; at the limit both are told."""
        if sender is other:
            return
        key = _key(sender, other)
        pair = self.pairs.get(key)
        if pair is None or person or mono_s - pair.since_s > _PAIR_S:
            self.pairs[key] = Pair(sender, mono_s)
            return
        if pair.last is sender:
            return
        pair.last = sender
        pair.turns += 1
        limit = self.settings.pair_limit
        if pair.turns > limit:
            wait_s = pair.since_s + _PAIR_S - mono_s
            for one, two in ((sender, other), (other, sender)):
                text = f"⏳ You and {two.name} have exchanged {limit} messages within a minute without a person: "
                self.notice(
                    [one],
                    f"{text}what you write to each other is refused for {wait_s:.0f} s.",
                    wall_s,
                    self.settings.mailbox_limit,
                )
            self.counts["pairs slowed"] += 1

    # groups

    def group_refusal(self, name: str, wall_s: float) -> str | None:
        """The code with which a new group of this name must be refused."""
        box = self.names.get(name)
        forwards = self.leads_to(name, wall_s) is not None
        taken = name in self.groups or forwards or (box is not None and (box.claimed or box.unread))
        return "name_taken" if taken else None

    def creates(self, name: str, box: Box, wall_s: float) -> None:
        self.drop_lapsed_forward(name, wall_s)
        if name in self.names:  # nobody's, and empty
            free = self.names.pop(name)
            self.boxes.remove(free)
            self.forwards = {n: f for n, f in self.forwards.items() if f[0] is not free}
            self.sessions = {token: s for token, s in self.sessions.items() if s.box is not free}
        self.groups[name] = [box]

    def leaves(self, name: str, box: Box) -> None:
        members = [b for b in self.groups[name] if b is not box]
        if members == self.groups[name]:
            return
        if members:
            self.groups[name] = members
        else:
            del self.groups[name]

    # claims

    def holds(self, held: Held, wall_s: float) -> bool:
        return held.until_s > wall_s and held.box.seen_s >= wall_s - self.settings.session_timeout_s

    def drop_lapsed_claims(self, wall_s: float) -> None:
        self.claims = [c for c in self.claims if self.holds(c, wall_s)]

    def conflicts(self, box: Box, resource: str, wall_s: float) -> list[Held]:
        """Claims of others that overlap."""
        live = (c for c in self.claims if self.holds(c, wall_s))
        return [c for c in live if c.box is not box and c.resource in _OVERLAPS[resource]]

    def overlapping(self, resource: str | None) -> list[Held]:
        return [c for c in self.claims if resource is None or c.resource in _OVERLAPS[resource]]

    # presence

    def presence_of(self, box: Box, wall_s: float) -> str:
        if box.presence == "gone" or (wall_s - box.seen_s > GONE_AFTER_S and not box.awaited):
            return "gone"
        return box.presence or "idle"

    # time

    def restarts(self) -> None:
        super().restarts()
        for session in self.sessions.values():
            session.route = None
        self.pairs.clear()
        self.groups = {name: [b for b in members if b in self.boxes] for name, members in self.groups.items()}
        self.claims = [c for c in self.claims if c.box in self.boxes]
        for box in self.boxes:
            box.blocked = dict(box.blocked)

    def swept(self, state: Any, hashed: Any, wall_s: float) -> None:
        """What a sweep dropped of names, sessions and forwards must have been over."""
        oldest_s = wall_s - self.settings.session_timeout_s
        for token in [t for t in self.sessions if hashed(t) not in state.sessions]:
            if self.sessions.pop(token).seen_s >= oldest_s:
                raise Wrong("a session was dropped that had not expired")
        for name in [n for n in self.forwards if n not in state.forwards]:
            if self.forwards.pop(name)[1] > wall_s:
                raise Wrong(f"{name} forwards no more, too soon")
        for name in [n for n in self.groups if n not in state.groups]:
            if any(b.name in state.mailboxes for b in self.groups.pop(name) if b in self.boxes):
                raise Wrong(f"the group {name} ended with members")
        for box in list(self.boxes):
            mailbox = state.mailboxes.get(box.name)
            if box.claimed and (mailbox is None or not mailbox.claimed):
                if box.seen_s >= oldest_s:
                    raise Wrong(f"{box.name} was freed though it was seen")
                box.claimed = False
            if mailbox is None:
                self.sweeps(box, set(), wall_s)
                self.boxes.remove(box)
                del self.names[box.name]


def _key(one: Box, two: Box) -> tuple[int, int]:
    return (one.uid, two.uid) if one.uid < two.uid else (two.uid, one.uid)
