"""The world of the link's simulation: sites, their doors, a carrier, and the judge of what becomes of each letter."""

import random
from collections import deque
from functools import partial
from pathlib import Path
from typing import Any

from tests.deep.faults.link_carriers import DirectCarrier, LogCarrier, Mark, Network
from tests.deep.faults.link_door import Door, Over
from tests.deep.faults.link_judge import Judge, Letter, Snapshot, on_the_way
from tests.deep.faults.link_site import AGENTS, Site
from tests.deep.faults.model import Wrong

SITES = ("paris", "rome", "berlin", "oslo")
_TAIL = 40
"""Lines that are told with a failure."""
_EPISODE = 5000
"""Steps with faults, after which they stop."""
_MOST_ROUNDS = 3000
"""Moves of each door in which everything must have arrived once the faults have stopped."""
_MOODS = ("full", 0.01), ("killed before commit", 0.003), ("killed after commit", 0.003)
_STEP_S = (0.00001, 0.00001, 0.01, 0.1)
_ACTS = (("write", 60), ("read", 14), ("reply", 8), ("withdraw", 3), ("write briefly", 3), ("keep house", 12))


class World:
    """One seed's world. ``step`` does one thing and raises Wrong if what follows can't be."""

    def __init__(self, seed: str, carrier: str, home: Path) -> None:
        self.rng = random.Random(f"{seed} {carrier}")  # noqa: S311 (a seeded test)
        self.names = list(SITES[: self.rng.choice((2, 2, 3, 4))])
        self.restless = self.rng.random() < 0.5
        """Sites are set back often here. Elsewhere letters may be lost by nothing for long, so more of the order is judged."""
        self.network = Network(self.rng, self.names)
        self.carrier = LogCarrier(self.network) if carrier == "log" else DirectCarrier(self.network)
        self.sites = {name: Site(name, home / name, self.network) for name in self.names}
        self.judge = Judge(self.names)
        self.doors: dict[str, Door] = {}
        self.old_doors: list[Door] = []
        self.copies: dict[str, list[tuple[bytes, Snapshot]]] = {name: [] for name in self.names}
        self.tail: deque[str] = deque(maxlen=_TAIL)
        self.steps = 0
        self.fault_now: Any = None
        """Does one of the faults; set by who makes the world."""
        self._calm_at = 0
        self._texts = 0
        self._ids: dict[str, dict[str, str]] = {name: {} for name in self.names}
        """By site and text the client's id of a letter."""
        self._got: dict[str, list[tuple[str, str]]] = {name: [] for name in self.names}
        """(agent, id) of letters of other sites that were read, to be answered."""
        self._said: dict[str, set[tuple[Any, ...]]] = {name: set() for name in self.names}
        """The marks that each site has made since it was set back last."""
        if isinstance(self.carrier, DirectCarrier):
            self.carrier.owed = self._owed
        for name in self.names:
            self.new_door(name)

    def close(self) -> None:
        for site in self.sites.values():
            site.close()

    def note(self, text: str) -> None:
        self.tail.append(text)

    # doors

    def new_door(self, name: str) -> Door | None:
        """Another door opens; the one before, which may go on for a while."""
        if isinstance(self.carrier, DirectCarrier):
            self.carrier.listening.pop(name, None)
        old = self.doors.pop(name, None)
        self.doors[name] = Door(name, partial(self._ask, name), self.carrier, self.network)
        return old

    def _owed(self, receiver: str, source: str) -> Mark | None:
        door = self.doors.get(receiver)
        return door.marks.get(source) if door is not None else None

    def _ask(self, name: str, action: str, **fields: Any) -> dict[str, Any] | None:
        mood = self.network.mood(*_MOODS)
        self.note(f"{name} {action} {mood} {fields}")
        reply = self.sites[name].ask(action, mood, **fields)
        self.note(f"   {reply}")
        if action == "link_arrived":
            for source, text in self.sites[name].arrivals():
                self.judge.arrive(name, source, text)
        if reply is None:
            return None
        self._said[name] |= {_key(source, mark) for source, mark in reply.get("marks", {}).items()}
        for to in reply.get("renewed", ()):
            self.judge.renew(name, to)
        of_a_former_life = action == "link_marks" and any(
            _key(name, mark) not in self._said[site] for site, mark in fields["marks"].items()
        )
        if of_a_former_life or reply.get("renewed"):
            self.excuse()  # what a site confirmed before it was set back, it has forgotten
        return reply

    def move(self, door: Door) -> None:
        before = door.moved
        try:
            door.step()
        except Over:
            self.network.tried["a door ended: another had opened, or the broker was gone"] += 1
            if door in self.old_doors:
                self.old_doors.remove(door)
            else:
                self.new_door(door.site)
        self.steps += 1 + door.moved - before

    # steps

    def step(self) -> None:
        self.network.now_s += self.rng.choice(_STEP_S)
        kind = self.rng.random()
        if kind < 0.72:
            self.move(self.doors[self.rng.choice(self.names)])
        elif kind < 0.74 and self.old_doors:
            self.move(self.rng.choice(self.old_doors))
        elif kind < 0.96:
            self._act()
        else:
            self.steps += 1
            self.fault_now(self)
        if self.steps - self._calm_at > _EPISODE:
            self.settle()

    def _act(self) -> None:
        """An agent of some site does something."""
        self.steps += 1
        source, to = self.rng.sample(self.names, 2)
        agent = self.rng.choice(AGENTS)
        what = self.rng.choices([what for what, _ in _ACTS], [weight for _, weight in _ACTS])[0]
        if what == "read":
            for message in self.sites[source].read(agent, self.rng.choice((1, 20))):
                if message["from"] == "system":
                    self.judge.hear(source, message["message"]["content"])
                else:
                    self.judge.read(source, message["message"]["content"])
                    self._got[source].append((agent, message["id"]))
        elif what == "withdraw":
            self._withdraw(source)
        elif what == "keep house":
            self.sites[source].keep_house()
        elif what == "reply" and self._got[source]:
            agent, number = self._got[source].pop()
            self._write(source, agent, to_message=number, action="reply")
        else:
            more = {"ttl_s": self.rng.choice((1, 30))} if what == "write briefly" else {}
            self._write(source, agent, to_id=f"{self.rng.choice(AGENTS)}@{to}", **more)

    def _write(self, source: str, agent: str, *, action: str = "send", **fields: Any) -> None:
        self._texts += 1
        text = f"{source} {self._texts}"
        mood = self.network.mood(*_MOODS)
        written = {"message": {"content": text}, "message_id": text.replace(" ", "-")}
        reply = self.sites[source].act(agent, action, mood, **written, **fields)
        self.note(f"{source} {action} {mood} {text} {fields}: {reply}")
        if reply.get("code") == "killed":  # as its client does, once the broker is back
            reply = self.sites[source].act(agent, action, **written, **fields)
        if reply["status"] == "ok":
            to = fields.get("to_id") or reply["to"]
            self.judge.accept(text, source, to.partition("@")[2], agent, brief="ttl_s" in fields)
        elif reply["code"] not in ("storage_full", "unknown_message", "mailbox_full"):
            raise Wrong(f"{source}: {action} {fields} was answered {reply}")

    def _withdraw(self, source: str) -> None:
        letters = [one for one in self.judge.accepted[source][-20:] if one in self.judge.open]
        if not letters:
            return
        letter = self.rng.choice(letters)
        reply = self.sites[source].act(letter.writer, "withdraw", withdraw_id=letter.text.replace(" ", "-"))
        self.note(f"{source} withdraws {letter.text}: {reply}")
        if reply.get("withdrawn"):
            self.judge.end(letter)

    # what was lost

    def forget_marks(self, name: str) -> None:
        self._said[name].clear()

    def excuse(self) -> None:
        """Tell the judge what may be lost now, since no copy is left."""
        outbox = {(source, to): self.sites[source].outbox(to) for source in self.names for to in self.names if source != to}
        there: dict[str, set[str]] = {}
        for name, site in self.sites.items():
            there[name] = site.held()
            if isinstance(self.carrier, LogCarrier):
                place = site.place(self.carrier.stream_of(name).name)
                there[name] |= set(on_the_way(self.carrier, name, place["cursor"], place["born"], site.known()))

        def in_outbox(letter: Letter) -> bool:
            return letter.text in outbox[letter.source, letter.to]

        self.judge.excuse(in_outbox, lambda letter: letter.text in there[letter.to])

    # calm

    def settle(self) -> None:
        """The faults stop. Everything arrives or has ended, and nothing waits."""
        self.note("--- calm")
        self.network.calm, self.network.away = True, set()
        for door in self.old_doors * 100:
            self.move(self.doors[door.site])  # one that had not opened yet does so now, and ends the other
            if door in self.old_doors:
                self.move(door)
        if self.old_doors:
            raise Wrong(f"{len(self.old_doors)} doors go on, though others have opened after them")
        while self.carrier.late:
            self.carrier.bring_late()
        for turn in range(_MOST_ROUNDS):
            self.network.now_s += 0.5
            for name in self.names:
                self.move(self.doors[name])
            if turn % 50 == 49 and not any(any(site.waiting()) for site in self.sites.values()):
                break
        waiting = {name: site.waiting() for name, site in self.sites.items()}
        if any(map(any, waiting.values())):
            raise Wrong(f"(in the outbox, held): {waiting}, though all faults are over")
        self._ask_for_ends()
        self._ask_for_reads()
        self.judge.settled()
        self.network.calm = False
        self._calm_at = self.steps

    def _ask_for_ends(self) -> None:
        """Of what did not arrive, its sender must know why."""
        for letter in [*self.judge.open]:
            step = self._receipt(letter)
            if step in ("expired", "refused", "withdrawn", "dead"):
                self.judge.end(letter)
            elif step in ("in_context", "answered"):
                self.judge.forgive(letter)

    def _ask_for_reads(self) -> None:
        for letter in self.judge.known_read():
            step = self._receipt(letter)
            if step not in ("in_context", "answered"):
                raise Wrong(f"{letter} was read, and its sender's receipt says {step}")
            letter.told = True

    def _receipt(self, letter: Letter) -> str:
        reply = self.sites[letter.source].act(letter.writer, "receipts", ids=[letter.text.replace(" ", "-")])
        return str(reply["receipts"][0]["step"])


def _key(source: str, mark: Mark) -> tuple[Any, ...]:
    return source, mark["epoch"], mark["high"], mark["uid"]
