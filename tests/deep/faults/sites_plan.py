"""Which faults a run over several sites makes, drawn from its seed: the same seed draws the same ones in the same order."""

import random
from dataclasses import dataclass

WEIGHTS = {
    "kill node": 10, "freeze node": 8, "kill leader": 5, "freeze leader": 3, "kill all nodes": 3, "freeze all nodes": 2,
    "kill bridge": 22, "freeze bridge": 14, "kill broker": 20, "freeze broker": 13,
}  # fmt: skip
"""How often each kind is drawn, of 100; each at least once. Elections, of 6 to 9 s each, take about half of a run."""
_LONG = 50
WIPE, BACKUP, RESTORE = "wipe all disks", "back up", "restore"


@dataclass(frozen=True, slots=True)
class Fault:
    """``pause_s`` after the one before it; what was killed or frozen is back after ``away_s``.

    ``victim`` is a node's number or a site's; kinds that need none have one all the same.
    """

    kind: str
    victim: int
    pause_s: float
    away_s: float


def drawn(seed: str, count: int, pace_s: float) -> list[Fault]:
    """``count`` kills and freezes, ``pace_s`` apart in the mean, and among them a wipe, a backup and its restore.

    All disks are wiped in the first half, and the site is restored after that: what a stream lost and what a database lost
    would otherwise be the same mail, which nobody has any more. A short run has its outages of nodes first, in one.
    """
    rng = random.Random(seed)  # noqa: S311 (a seeded test)
    kinds = deck(rng, count)
    if count < _LONG:
        kinds.sort(key=lambda kind: kind.endswith(("bridge", "broker")))
    site = rng.randrange(3)
    faults = [Fault(kind, rng.randrange(3), rng.uniform(0, 2 * pace_s), away_s(rng, kind)) for kind in kinds]
    for share, kind in ((0.75, RESTORE), (0.55, BACKUP), (0.3, WIPE)):
        faults.insert(round(share * count), Fault(kind, site, pace_s, rng.uniform(0.1, 1.0)))
    return faults


def deck(rng: random.Random, count: int) -> list[str]:
    """So many kinds in random order, each as often as its weight says."""
    total = sum(WEIGHTS.values())
    cards = [kind for kind, weight in WEIGHTS.items() for _ in range(max(1, weight * count // total))]
    more = count - len(cards)
    cards += rng.choices(list(WEIGHTS), list(WEIGHTS.values()), k=max(0, more))
    for kind in rng.sample(cards, len(cards)) if more < 0 else ():
        if len(cards) > count and cards.count(kind) > 1:
            cards.remove(kind)
    rng.shuffle(cards)
    return cards


def away_s(rng: random.Random, kind: str) -> float:
    """Nodes are away for up to 3 s; brokers and bridges that were killed come back by themselves."""
    return rng.uniform(0.1, 3.0 if kind.endswith(("node", "nodes", "leader")) else 2.0)
