"""``ipc install`` without a host on a machine with the real programs: each knows what was put into it, and later no more."""

from collections.abc import Callable

import pytest

from bench.hosts.machine import Machine, missing
from bridges.known_hosts.catalogue import about, names
from bridges.known_hosts.host_facts import RUN
from tests.hosts.real import machine, needs

pytestmark = [pytest.mark.host, pytest.mark.timeout(180)]
__all__ = ["machine"]
LISTS: dict[str, tuple[tuple[str, ...], Callable[[str], bool]]] = {
    "claude": (("plugin", "list"), lambda said: "agent-ipc@skills-dir" in said),
    "codex": (("mcp", "list"), lambda said: "enabled" in said),
    "gemini": (("extensions", "list"), lambda said: "agent-ipc" in said),
    "qwen": (("extensions", "list"), lambda said: "agent-ipc" in said),
}
"""What a program says of what it has, and whether ours is among it."""


@needs(*LISTS)
def test_all_programs_of_a_machine_are_set_up_at_once_and_taken_out_again(machine: Machine) -> None:
    there = [name for name in names() if about(name).evidence == RUN and not missing(about(name).program)]
    said = machine.ipc("install", "--yes", "--allow")
    assert all(f"{about(name).title}: installed in " in said for name in there)
    again = machine.ipc("install")
    assert again.count("is set up already") == len(there) and "Nothing to do" in again
    for name, (command, ours) in LISTS.items():
        assert ours(machine.run(name, *command)), name
    assert "FAIL" not in machine.ipc("install", "--check")
    assert machine.ipc("uninstall", "--yes").count("Removed from ") == len(there)
    for name, (command, ours) in LISTS.items():
        assert not ours(machine.run(name, *command)), name
