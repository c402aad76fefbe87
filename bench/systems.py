"""What is measured: systems that keep messages, the ways into them, and what one burst of sends through a way gave."""

import importlib
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from broker.protocol.errors import IpcError

FAILURES = (OSError, RuntimeError, IpcError)
"""What ends a measurement: a server or client that is gone, does not answer in time, refuses, or stores wrongly."""


class Skip(Exception):
    """Something that can't be measured here; the text says why."""


@dataclass(slots=True)
class Burst:
    """What one client did: messages acknowledged as stored, and for each the µs from its sending to that answer.

    ``ended_s`` is when the last answer came (``time.perf_counter``, which all processes of a machine share).
    """

    acknowledged: int = 0
    ended_s: float = 0.0
    latencies_us: "array[float]" = field(default_factory=lambda: array("d"))


class Sender(Protocol):
    """A client of one system, in its own process."""

    def send_for(self, seconds: float, in_flight: int, size: int, most: int) -> Burst:
        """Send bodies of ``size`` bytes, at most ``in_flight`` without an answer, until the time is over or ``most`` are
        sent, then wait for the answers. At least one is sent. Raises RuntimeError with an answer that is a refusal."""

    def close(self) -> None: ...


class Poster(Protocol):
    """A client that need not wait for answers; they come in the order of what was sent."""

    def post(self, text: str) -> None: ...

    def answered(self, seconds: float) -> int:
        """How many more are acknowledged, waiting so long for one. Raises RuntimeError with an answer that is a refusal."""

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Address:
    """What a client process needs: the class that sends, as ``module:Class``, and its arguments."""

    opener: str
    arguments: tuple[Any, ...]

    def open(self) -> Any:
        """A ``Sender``; those of lasting connections are each a ``Poster``, too."""
        module, _, name = self.opener.partition(":")
        return getattr(importlib.import_module(module), name)(*self.arguments)


class System:
    """A server that the bench starts and stops. ``acknowledged`` counts what it has said it stored."""

    key = ""

    def __init__(self) -> None:
        self.acknowledged = 0

    def start(self) -> None:
        """Return once it answers. Raises Skip if it isn't installed."""
        raise NotImplementedError

    def stop(self) -> None:
        """End its processes and remove its folder; harmless if it never started."""
        raise NotImplementedError

    def stored(self) -> int:
        """Messages that it holds, by its own books."""
        raise NotImplementedError

    def ways(self) -> "list[Way]":
        raise NotImplementedError

    def pid(self) -> int:
        """The process that stores."""
        raise NotImplementedError

    def push(self, count: int) -> "tuple[Callable[..., Any], tuple[Any, ...]] | None":
        """A job (see bench.fleet) that hands ``count`` messages, one after the other, to a receiver that waits in the same
        process, and returns the µs of each; None where there is none."""
        return None


class Way:
    """One way into a system: a door and a client for it."""

    key = ""
    title = ""
    pipelines = True
    """False where a client must wait for each answer."""

    def __init__(self, system: System) -> None:
        self.system = system

    def address(self, number: int) -> Address:
        """For client ``number``, from 0. Raises Skip where the way isn't there."""
        raise NotImplementedError


def refused(answer: Any) -> RuntimeError:
    return RuntimeError(f"a send was refused: {str(answer)[:300]}")
