"""Client processes. Each is a real process that opens its own connection; they start a burst at the same instant.

A job is a generator function: what comes before its ``yield`` is preparation, the value of the ``yield`` is the second
(``time.perf_counter``) at which to begin, and what it returns goes back to the bench.
"""

import multiprocessing
import time
import traceback
from collections.abc import Callable, Generator, Sequence
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Any

from bench.systems import Address, Burst, Skip

Job = Callable[..., Generator[None, float, Any]]
_DEADLINE_S = 60.0
_LEAD_S = 0.02
"""From the order to begin until the beginning: all must have heard it."""
_PRELOADED = ["bench.fleet", "zmq", "msgpack", "broker.client.sync", "redis", "hiredis", "nats"]
"""Imported once, in the process that the clients are forked from; what is missing there is passed over."""


class Fleet:
    """As many client processes as the widest job needs, kept for the whole run."""

    def __init__(self) -> None:
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(_PRELOADED)
        self._workers: list[tuple[BaseProcess, Connection]] = []

    def __enter__(self) -> "Fleet":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._dismiss(2.0)

    def _dismiss(self, patience_s: float) -> None:
        for process, pipe in self._workers:
            pipe.close()
            process.join(patience_s)
            if process.is_alive():
                process.kill()
                process.join()
        self._workers.clear()

    def run(self, *jobs: tuple[Job, tuple[Any, ...]]) -> tuple[float, list[Any]]:
        """Run each job in a process of its own; (when they began, what they returned).

        Raises Skip if one can't be run here, RuntimeError with the traceback of one that failed, TimeoutError.
        """
        while len(self._workers) < len(jobs):
            self._hire()
        try:
            return self._run(jobs)
        except TimeoutError:
            self._dismiss(0.0)  # what they answer later would be taken for the next job's
            raise
        except (EOFError, ConnectionError):
            self._dismiss(0.0)
            raise RuntimeError("a client process has ended") from None

    def _run(self, jobs: Sequence[tuple[Job, tuple[Any, ...]]]) -> tuple[float, list[Any]]:
        pipes = [pipe for _process, pipe in self._workers[: len(jobs)]]
        for pipe, job in zip(pipes, jobs, strict=True):
            pipe.send(job)
        failures = [f for f in map(_receive, pipes) if f is not None]
        begin_s = time.perf_counter() + _LEAD_S + 0.0005 * len(jobs)
        for pipe in pipes:
            pipe.send(None if failures else begin_s)
        results = [_receive(pipe) for pipe in pipes]
        for result in [*failures, *results]:
            if isinstance(result, BaseException):
                raise result
        return begin_s, results

    def _hire(self) -> None:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_work, args=(theirs,), daemon=True)
        process.start()
        theirs.close()
        self._workers.append((process, ours))


def _receive(pipe: Connection) -> Any:
    if not pipe.poll(_DEADLINE_S):
        raise TimeoutError(f"a client process gave no answer in {_DEADLINE_S:g} s")
    return pipe.recv()


def _work(pipe: Connection) -> None:
    """A client process: one job after the other until the pipe closes."""
    while True:
        try:
            job, arguments = pipe.recv()
        except (EOFError, OSError):
            return
        running = job(*arguments)
        pipe.send(_attempt(running.__next__))
        begin_s = pipe.recv()
        if begin_s is None:  # it, or another one, could not prepare
            running.close()
            pipe.send(None)
        else:
            pipe.send(_attempt(running.send, begin_s))


def _attempt(step: Callable[..., Any], *arguments: Any) -> Any:
    """What a step of a job gives, a failure included: whatever a client library raises ends the job, not the process."""
    try:
        return step(*arguments)
    except StopIteration as end:
        return end.value
    except Skip as skip:
        return skip
    except Exception as error:
        return RuntimeError("".join(traceback.format_exception(error)))


def wait_until(begin_s: float) -> None:
    while (left_s := begin_s - time.perf_counter()) > 0:
        time.sleep(left_s)


def burst(address: Address, seconds: float, in_flight: int, size: int, most: int) -> Generator[None, float, tuple[int, Burst]]:
    """Job: one burst of sends. Returns (messages acknowledged before it began, the burst)."""
    sender = address.open()
    try:
        warm = sender.send_for(0.0, 1, size, 1)
        wait_until((yield))
        return warm.acknowledged, sender.send_for(seconds, in_flight, size, most)
    finally:
        sender.close()


def spin(loops: int) -> Generator[None, float, float]:
    """Job: the seconds that a fixed piece of work takes."""
    wait_until((yield))
    began_s = time.perf_counter()
    total = 0
    for n in range(loops):
        total += n
    return time.perf_counter() - began_s


def control(fleet: Fleet, loops: int = 1_000_000) -> float:
    """How much two busy processes slow each other: 1.0 where each has a core of its own, 2.0 where they share one."""
    alone_s = _slowest(fleet.run((spin, (loops,))))
    return _slowest(fleet.run((spin, (loops,)), (spin, (loops,)))) / alone_s


def _slowest(found: tuple[float, Sequence[float]]) -> float:
    return max(found[1])
