"""docs/many-machines.md works as it stands there: every block of shell is typed, at machines that are folders of this one."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import wait_for
from tests.nats.deployed import fill_in
from tests.nats.typed import PAGE, ROOT, Block, Machine, blocks
from tests.ports import free_port

Machines = dict[str, Machine]
NAMES = ("paris", "rome", "oslo")


def ports(count: int) -> list[int]:
    found: dict[int, None] = {}
    while len(found) < count:
        found[free_port()] = None
    return list(found)


def made(folder: Path) -> Machines:
    """Three machines at 10.0.0.1 to 10.0.0.3, which are ports of loopback here."""
    clients, routes, monitors = (ports(3) for _ in range(3))
    addresses = {f"10.0.0.{i}:4222": f"127.0.0.1:{clients[i - 1]}" for i in (1, 2, 3)}
    machines = {}
    for i, name in enumerate(NAMES):
        hosts = {f"10.0.0.{n}": "127.0.0.1" for n in (1, 2, 3)}
        words = {**addresses, **hosts, "NAME.site": f"{name}.site", "$NODE/n1": f"$NODE/n{i + 1}"}
        machine = machines[name] = Machine(folder / name, words)
        nats = machine.folder / "deploy" / "nats"
        listens = {"0.0.0.0:4222": f"127.0.0.1:{clients[i]}", "127.0.0.1:8222": f"127.0.0.1:{monitors[i]}"}
        fill_in(nats / "common.conf", listens)
        reached = {f"HOST{n}:6222": f"HOST{n}:{routes[n - 1]}" for n in (1, 2, 3)}
        fill_in(nats / "three.conf", {"0.0.0.0:6222": f"127.0.0.1:{routes[i]}", **reached})
    return machines


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    found = made(tmp_path_factory.mktemp("m"))
    yield found
    for machine in found.values():
        machine.stop()


def typed(machines: Machines, part: list[Block]) -> str:
    """What all the blocks of a part print, but for the installation."""
    shown = ""
    for block in part:
        if "pip install" not in block.commands:
            shown += "".join(machines[name].type(block.commands, block.status) for name in block.machines)
    return shown


def test_what_is_installed_are_extras_that_there_are() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    named = [name for group in re.findall(r"'\.\[([\w,-]+)\]'", PAGE) for name in group.split(",")]
    assert named and set(named) <= set(extras)


def arrives(machine: Machine, text: str, since: str = "") -> str:
    """All mail that the machine's agent gets up to the one with this text."""
    came = since

    def here() -> bool:
        nonlocal came
        came += machine.type("ipc check")
        return text in came

    wait_for(f"{text!r} over the nodes", here, 60, lambda: machine.type("ipc sites"))
    return came


@pytest.mark.timeout(400)
def test_from_nothing_to_two_machines_to_three_nodes_and_through_the_days(machines: Machines) -> None:
    paris, rome, oslo = machines.values()
    shown = typed(machines, blocks("From nothing to two machines in ten minutes"))
    assert "is the build green?" in shown
    assert "yes, all 12 jobs" in shown
    rome.type('ipc send ann@paris "before the move"')
    shown = typed(machines, blocks("To three nodes"))
    assert "3 copies" in shown
    rome.type('ipc send ann@paris "after the move"')
    came = arrives(paris, "after the move")
    assert came.count("before the move") == 1
    assert came.index("before the move") < came.index("after the move")

    typed(machines, blocks("Another site"))
    oslo.type('ipc register eve; ipc send ann@paris "from the third"')
    arrives(paris, "from the third")

    backup, restore = blocks("Back up and restore a site")
    typed(machines, [backup])
    rome.type('ipc send ann@paris "after the backup"')
    arrives(paris, "after the backup")
    paris.type('ipc send bob@rome "read before the restore"')
    arrives(rome, "read before the restore")
    typed(machines, [restore])
    rome.type('ipc send ann@paris "from the restored"')
    assert "after the backup" not in arrives(paris, "from the restored")
    arrives(rome, "read before the restore")  # the backup did not have it

    paris.type('ipc send bob@rome "while the keys change"')
    typed(machines, blocks("A stolen site file or key"))
    arrives(rome, "while the keys change")
    rome.type('ipc send ann@paris "with new keys"')
    arrives(paris, "with new keys")

    typed(machines, blocks("Remove a site"))
    assert "no site oslo" in paris.type("ipc send eve@oslo late || true")
