"""One run: the parts that take turns round after round, then those that are measured once."""

import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial

from bench import floors, machine, sites, soak, targets, web
from bench.cold import Cold
from bench.fairness import Fairness
from bench.fleet import Fleet, control
from bench.latency import Latency
from bench.memory import Memory, installation
from bench.programs import Programs
from bench.report import TARGETS, Results
from bench.scale import Scale, allow_connections
from bench.sends import SHAPES, Sends, Shape
from bench.service import TEMPORARY, Service, running
from bench.stand import RIVALS, standing
from bench.sustained import ENOUGH, Sustained
from bench.systems import FAILURES, Skip, System

OTHER_BOOKS = "Books of the other parts"
TURNS = ("floors", "sends", "latency", "programs")
ONCE = ("sustained", "fairness", "cold", "scale", "memory", "sites", "web")
PARTS = (*TURNS, *ONCE, "soak")
DEFAULT = (*TURNS, *ONCE)
"""What runs when no part is named; a soak takes its minutes only when asked for."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run and how much of it. ``quick`` takes every path with little load: it shows that all works."""

    parts: tuple[str, ...] = DEFAULT
    against: tuple[str, ...] = tuple(RIVALS)
    rounds: int = 5
    minutes: float = 10.0
    quick: bool = False
    full: bool = False
    """Every door with every size, shape and durability."""

    @property
    def burst_s(self) -> float:
        return 0.01 if self.quick else 0.25

    @property
    def shapes(self) -> tuple[Shape, ...]:
        return (Shape(1, 1), Shape(1, 256), Shape(3, 1), Shape(3, 64)) if self.quick else SHAPES


def run(plan: Plan, before: Results | None = None) -> Results:
    """Measure, and compare with an earlier run. The fleet, servers and folders are gone when it returns or raises."""
    allow_connections()
    results = Results(machine.facts(TEMPORARY))
    with Fleet() as fleet:
        if set(plan.parts) & set(TURNS):
            attempt(results, "the parts that take turns", partial(take_turns, plan, results, fleet))
        if "sustained" in plan.parts:
            said("sends without a pause")
            attempt(results, "sustained", partial(without_pause, plan, results, fleet))
        if "fairness" in plan.parts:
            said("fairness")
            attempt(results, "fairness", partial(fairness, plan, results, fleet))
        if "cold" in plan.parts:
            said("cold starts")
            attempt(results, "cold", partial(cold_starts, plan, results))
        if "scale" in plan.parts:
            said("scale curves")
            attempt(results, "scale", partial(scale_curves, plan, results))
        if "memory" in plan.parts:
            said("memory")
            attempt(results, "memory", partial(memory, plan, results))
        if "sites" in plan.parts:
            said("sites")
            measure = partial(sites.measure, results, fleet, said, min(plan.rounds, ENOUGH), quick=plan.quick)
            attempt(results, "sites", measure)
        if "web" in plan.parts:
            said("the page in a browser")
            size = (20, 200) if plan.quick else (web.AGENTS, web.MESSAGES)
            attempt(results, "web", partial(web.measure, results, plan.rounds, *size))
        if "soak" in plan.parts:
            said(f"soak, {plan.minutes:g} minutes")
            attempt(results, "soak", partial(soak.measure, results, fleet, plan.minutes))
        results.control.append(control(fleet))
    results.machine["load at the end"] = machine.load()
    if before is not None:
        results.notes[TARGETS] = targets.compared_with(before)
    results.verdicts = targets.judge(results, before, complete=set(plan.parts) >= set(DEFAULT))
    return results


def attempt(results: Results, part: str, measure: Callable[[], None]) -> bool:
    """Run a part. One that fails leaves what it had found and a line that says how it ended, and False; the others go on."""
    try:
        measure()
    except (Skip, *FAILURES) as error:
        results.failed(part, error)
        return False
    return True


def fairness(plan: Plan, results: Results, fleet: Fleet) -> None:
    part = Fairness(results, fleet, 0.02 if plan.quick else 1.0)
    for number in range(plan.rounds):
        part.round(number)


def without_pause(plan: Plan, results: Results, fleet: Fleet) -> None:
    part = Sustained(results, fleet, plan.against, *((0.05, 0.01) if plan.quick else ()))
    for number in range(min(plan.rounds, ENOUGH)):
        part.round(number)


def cold_starts(plan: Plan, results: Results) -> None:
    part = Cold(results)
    for _ in range(plan.rounds):
        part.round()


def scale_curves(plan: Plan, results: Results) -> None:
    scale = Scale(results, *((200, 1, 0.05) if plan.quick else ()))
    scale.measure()
    results.add("books.scale", OTHER_BOOKS, "scale", "difference", "", float(scale.difference))


def memory(plan: Plan, results: Results) -> None:
    with running(PYTHONDONTWRITEBYTECODE="") as service:
        Memory(results, service, *((0.5, 0.5, 2) if plan.quick else ())).measure()
    installation(results)


def take_turns(plan: Plan, results: Results, fleet: Fleet) -> None:
    """Round after round of everything that can be repeated, so that a change in the machine's mood meets all of it."""
    scale, seconds = (50, 0.02) if plan.quick else (1, 0.7)
    turns: dict[str, Callable[[int], None]] = {}
    books: dict[str, Callable[[], None]] = {}
    with ExitStack() as stack:
        if "floors" in plan.parts:
            turns["floors"] = lambda _number: floors.measure(results, fleet, scale)
        rivals: list[System] = []
        if "sends" in plan.parts:
            said("starting the systems")
            beside = partial(floors.sync, results, fleet, scale, "beside", ", right after the sends in turn")
            sends = Sends(results, fleet, plan.burst_s, plan.shapes, beside, full=plan.full)
            rivals = stack.enter_context(standing(sends, list(plan.against), full=plan.full))
            turns["sends"], books["books of sends"] = sends.round, sends.close_books
        if {"latency", "programs"} & set(plan.parts):
            service = stack.enter_context(running())
            books["books of the others"] = partial(close_books, results, service)
        if "latency" in plan.parts:
            latency = stack.enter_context(closing(Latency(results, fleet, service, seconds, rivals)))
            turns["latency"] = lambda _number: latency.round()
        if "programs" in plan.parts:
            programs = Programs(results, service, 1 if plan.quick else 3)
            turns["programs"] = lambda _number: programs.round()
        for number in range(plan.rounds):
            said(f"round {number + 1} of {plan.rounds}")
            results.control.append(control(fleet))
            for part, measure in list(turns.items()):
                if not attempt(results, part, partial(measure, number)):
                    del turns[part]
        for name, close in books.items():
            attempt(results, name, close)


def close_books(results: Results, service: Service) -> None:
    difference = float(service.stored() - service.acknowledged)
    results.add("books.latency", OTHER_BOOKS, "latency and programs", "difference", "", difference)


_began_s = time.monotonic()


def said(what: str) -> None:
    """Tell a person at the terminal what is going on."""
    sys.stderr.write(f"{time.monotonic() - _began_s:6.1f} s  {what}\n")
