"""What goes wrong between simulated sites, beside what the carrier and the disks do by themselves."""

from collections.abc import Callable

from tests.deep.faults.link_carriers import LogCarrier, Stored
from tests.deep.faults.link_door import Over
from tests.deep.faults.link_world import World

Fault = Callable[[World], None]


def time_passes(world: World) -> None:
    world.network.now_s += world.rng.choice((1.0, 5.0, 40.0, 200.0))


def goes_away(world: World) -> None:
    world.network.away.add(world.rng.choice(world.names))


def comes_back(world: World) -> None:
    world.network.away.discard(world.rng.choice(world.names))


def comes_late(world: World) -> None:
    world.carrier.bring_late()


def door_dies(world: World) -> None:
    world.new_door(world.rng.choice(world.names))


def second_door(world: World) -> None:
    """The old one is stopped, and goes on later."""
    old = world.new_door(world.rng.choice(world.names))
    if old is not None and len(world.old_doors) < 6:
        world.old_doors.append(old)


def broker_dies(world: World) -> None:
    world.sites[world.rng.choice(world.names)].restart()


def copy_made(world: World) -> None:
    name = world.rng.choice(world.names)
    world.copies[name] = [*world.copies[name][-1:], (world.sites[name].copy(), world.judge.snapshot(name))]


def set_back(world: World) -> None:
    """A site's database is an older copy. Its door begins anew; the one before may not have noticed."""
    name = world.rng.choice(world.names)
    if world.copies[name]:
        copy, snapshot = world.rng.choice(world.copies[name])
        world.sites[name].set_back(copy)
        world.judge.set_back(name, snapshot)
        world.forget_marks(name)
        world.new_door(name)
        world.excuse()


def mark_lies(world: World) -> None:
    """A mark that its site signed, and that can't be true of what it was sent: of a life that one of the two has forgotten."""
    receiver, source = world.rng.sample(world.names, 2)
    mark, door = world.doors[receiver].marks.get(source), world.doors[source]
    if mark is not None and door.lease:
        epoch = {"epoch": f"{world.rng.randrange(0, 60):04x}00000000"}
        lie = world.rng.choice((epoch, {"uid": "0" * 12}, {"high": mark["high"] + 1000, "uid": "1" * 12}))
        try:
            door.ask("link_marks", marks={receiver: {**mark, **lie}})
        except Over:
            world.new_door(source)


# of a log


def stream_of(world: World) -> tuple[LogCarrier, str]:
    assert isinstance(world.carrier, LogCarrier)
    return world.carrier, world.rng.choice(sorted(world.carrier.all))


def stream_remade(world: World) -> None:
    carrier, name = stream_of(world)
    carrier.remake(name)
    world.excuse()


def messages_deleted(world: World) -> None:
    carrier, name = stream_of(world)
    stream = carrier.all[name]
    for _ in range(world.rng.choice((1, 1, 5))):
        if stream.messages:
            stream.messages[world.rng.randrange(max(0, len(stream.messages) - 60), len(stream.messages))] = None
    world.excuse()


def tail_lost(world: World) -> None:
    """Of an engine that acknowledges before its disks do."""
    carrier, name = stream_of(world)
    carrier.lose_tail(name, world.rng.choice((1, 5, 40)))
    world.excuse()


def stream_purged(world: World) -> None:
    """Up to where some site has read, as ``ipc nats tidy`` does, or all of it."""
    carrier, name = stream_of(world)
    stream = carrier.all[name]
    read = [place["cursor"] for site in world.sites.values() if (place := site.place(name))["born"] == stream.born]
    carrier.purge(name, world.rng.choice((min(read), max(read), stream.last)) if read else 0)
    world.excuse()


def entry_forged(world: World) -> None:
    """Somebody puts an entry there in another's name, or a real one that is altered."""
    carrier, name = stream_of(world)
    real = [message for message in carrier.all[name].messages if message is not None]
    if real:
        message = world.rng.choice(real)
        body = {"k": "mail", "content": "forged", "to": ["bob"], "from": "ann", "number": 1, "land": "tool", "at": 1.0}
        row = {**message.row, "seq": message.row["seq"] + world.rng.choice((0, 1, 5)), "body": body}
        carrier.put(Stored(message.to, message.source, row, signed=False))


def old_mark(world: World) -> None:
    """One from long ago is put over the newest, as by an old door."""
    carrier, _ = stream_of(world)
    if carrier.old_marks:
        key, mark = world.rng.choice(carrier.old_marks)
        carrier.marks[key] = mark


ALWAYS: tuple[tuple[Fault, float], ...] = (
    (time_passes, 30),
    (goes_away, 10),
    (comes_back, 10),
    (comes_late, 20),
    (door_dies, 8),
    (second_door, 4),
    (broker_dies, 4),
    (copy_made, 1.5),
    (set_back, 0.7),
    (mark_lies, 1),
)
OF_A_LOG: tuple[tuple[Fault, float], ...] = (
    (stream_remade, 1),
    (messages_deleted, 8),
    (stream_purged, 2),
    (tail_lost, 1),
    (entry_forged, 8),
    (old_mark, 8),
)


def draw(world: World) -> None:
    """One fault."""
    rows = ALWAYS + OF_A_LOG if isinstance(world.carrier, LogCarrier) else ALWAYS
    more = 4 if world.restless else 1
    weights = [weight * more if fault in (copy_made, set_back) else weight for fault, weight in rows]
    fault = world.rng.choices([fault for fault, _ in rows], weights)[0]
    world.note(f"--- {fault.__name__}")
    world.network.tried[fault.__name__.replace("_", " ")] += 1
    fault(world)
