"""What a system is to this bench: a driver is one file of at most 100 lines with one subclass of Driver.

A driver says which commands a person or an agent would type; the bench runs them, in the folder of the agent that acts, and
counts. Whatever a system does not have, its driver leaves out, or raises ``Absent`` with the reason: the table then says "does
not have it", which is no failure.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

TOKEN = re.compile(r"\bt[0-9a-f]{8}-\d{4}\b")
"""What the bench finds its messages by: each text has one, whatever a system prints around it."""


class Absent(Exception):
    """A capability that a system does not have; the text says why, and what it has in its place."""


@dataclass(frozen=True, slots=True)
class Command:
    """A program and its arguments, as a person would type them."""

    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)


class Runs(Protocol):
    """The fresh home that a driver works in. See bench.peers.place."""

    def write(self, name: str, text: str) -> str:
        """A file that a person would write first, by its path in the home; counts as one command."""
        ...

    def out(self, command: Command, agent: str = "") -> str:
        """The standard output of a command that is run to its end, in the agent's folder. Raises Failed."""
        ...

    def stand_in(self, name: str) -> str:
        """A program on PATH that does nothing until it is killed, in place of an agent's host that can't run here."""
        ...


class Driver:
    """One system. ``Command`` texts are for the door that its authors mean agents and scripts to use at a shell."""

    title = ""
    install = ""
    """What pip installs: a requirement, or a path."""
    program = ""
    """The command by which one sees that it is installed."""
    note = ""
    """How it was driven, for the reader of the tables."""
    ids = False
    """True if ``send`` makes use of ``message_id``, so that a repeated send can be told from a new one."""
    calls_out = ""
    """Whom it calls over the network when it starts; it is then measured only where the network can be taken away."""
    environment: Mapping[str, str] = {}
    """Added to HOME, PATH and the like, for all commands."""
    host_speaks_mcp = True
    """False where ``host`` is no MCP server; it is then run in a terminal."""
    first_call: tuple[str, dict[str, Any]] = ("", {})
    """The tool, with its arguments, that an agent's model calls first: from then on the system knows the agent."""

    def __init__(self, place: Runs) -> None:
        self.place = place

    def prepare(self) -> None:
        """What comes before the first name is taken: files, settings. Each file and command counts as one that is typed."""

    def register(self, name: str) -> Command | None:
        """Take a name. None where nothing is to be done."""
        return None

    def send(self, sender: str, to: str, text: str, message_id: str = "") -> Command:
        """Exit status 0 says that the message is stored. ``message_id`` is 1 to 9 digits, or empty; see ``ids``."""
        raise NotImplementedError

    def take(self, name: str) -> Command:
        """Print the new mail of a name, and end; at once if there is none."""
        raise NotImplementedError

    def done(self, name: str, output: str) -> None:
        """What an agent does after it has read ``output`` of ``take``: acknowledge, or remember where it was."""

    def texts(self, output: str) -> list[str]:
        """The tokens of the messages in an output, in their order, one that is there twice twice."""
        return TOKEN.findall(output)

    def waiting(self, name: str) -> Command:
        """Wait for new mail, and print it when it comes; may end then, or go on."""
        raise Absent("no command waits for mail")

    def working(self, name: str) -> Command:
        """Take new mail, and acknowledge none of it before it is dealt with: what a reader types that must not lose any."""
        raise Absent("mail is read once it is printed")

    def host(self, name: str) -> Command:
        """The process that the host of an agent (Claude Code and the like) keeps for it."""
        raise Absent("nothing of it runs beside an agent's host")

    def told(self) -> str:
        """The text that it puts into a model's context. Only asked for if its host does not speak MCP."""
        raise Absent("it tells a model nothing by itself")
