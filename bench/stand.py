"""All systems of a run: started one by one, stopped whatever happens."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

from bench.doors.ways import DOORS, Ipc, Prototype, Zeromq
from bench.rivals.nats import NatsServer
from bench.rivals.percall import PerCallServer
from bench.rivals.redis import RedisServer
from bench.sends import Sends
from bench.systems import FAILURES, Skip, System

OURS: tuple[Callable[[], System], ...] = (Prototype, Ipc)
RIVALS: dict[str, tuple[Callable[[], System], ...]] = {
    "nats": (lambda: NatsServer("always"), lambda: NatsServer("default")),
    "redis": (lambda: RedisServer("always"), lambda: RedisServer("everysec")),
    "percall": (PerCallServer,),
}
"""By the name that ``--against`` knows."""


@contextmanager
def standing(sends: Sends, against: list[str], *, full: bool = False) -> Iterator[list[System]]:
    """Start our systems and the rivals, each entered in ``sends``; one that is absent or fails has a row that says why.

    With durability normal, only the fastest door runs unless ``full``. Yields those that run.
    """
    with ExitStack() as stack:
        makers: list[Callable[[], System]] = [*OURS, partial(Ipc, "normal", DOORS if full else (Zeromq,))]
        makers += [make for name in against for make in RIVALS[name]]
        running: list[System] = []
        for make in makers:
            system = make()
            stack.callback(system.stop)
            try:
                system.start()
                sends.enter(system)
            except (Skip, *FAILURES) as reason:
                for way in system.ways():
                    sends.absent(way, str(reason))
            else:
                running.append(system)
        yield running
