"""Results of the long runs, one key a run, and the page that is filled from them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parents[3] / "docs" / "reliability.json"
_BEGIN, _END = "<!-- filled by python -m tests.deep.faults --report -->\n", "<!-- end of what is filled -->\n"


def keep(path: Path, name: str, found: dict[str, Any]) -> None:
    """Put one run's result beside the others."""
    try:
        results = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        results = {}
    results[name] = found
    path.write_text(json.dumps(results, indent=1, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")


def fill(page: Path, results: Path = RESULTS) -> None:
    """Write the tables of ``results`` between the marks of the page."""
    text = page.read_text(encoding="utf-8")
    before, _, rest = text.partition(_BEGIN)
    _old, _, after = rest.partition(_END)
    tables = "\n".join(_tables(json.loads(results.read_text(encoding="utf-8"))))
    page.write_text(before + _BEGIN + "\n" + tables + "\n" + _END + after, encoding="utf-8")


def _tables(results: dict[str, Any]) -> Iterator[str]:
    makers = {"crash": _crash, "simulation": _simulation, "fuzz": _fuzz, "soak": _soak, "fairness": _fairness, "sites": _sites}
    for name in sorted(results):
        if name.startswith("crash"):
            yield from _crash(results[name], name.removeprefix("crash"))
    powers = [results[k] for k in ("power full", "power normal") if k in results]
    if powers:
        yield from _power(powers)
    for name, make in makers.items():
        if name != "crash" and name in results:
            yield from make(results[name])


def _row(*cells: object) -> str:
    return "| " + " | ".join(f"{c:,}" if isinstance(c, int) else str(c) for c in cells) + " |"


def _head(*cells: str) -> Iterator[str]:
    yield _row(*cells)
    yield "|" + "---|" * len(cells)


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f} s"


def _crash(found: dict[str, Any], how: str = "") -> Iterator[str]:
    counts, broken = found["counts"], found["problems"]
    yield f"### Killed under load{how}\n"
    yield f"`python -m tests.deep.faults --cycles {found['cycles']} --seed {found['seed']}`:"
    told = ("sends ok", "sends acknowledged"), ("deliveries", "deliveries"), ("redeliveries", "of them again")
    told += ("acknowledged", "acknowledgements confirmed"), ("forgeries refused", "forgeries refused")
    yield ", ".join(f"{counts.get(name, 0):,} {words}" for name, words in told) + "."
    yield ""
    yield from _head("rule", "times broken")
    for rule in ("lost", "duplicate", "after_ack", "order", "wrong_box", "forged", "refused", "corrupt", "exception", "stuck"):
        yield _row(rule, broken.get(rule, 0))
    yield ""
    yield from _head("fault", "times tried", "lost", "duplicated", "recovery, median", "recovery, max")
    for row in found["faults"]:
        times = _seconds(row["median_s"]), _seconds(row["max_s"])
        lost, doubled = ("see above" if broken.get(rule) else 0 for rule in ("lost", "duplicate"))
        yield _row(row["fault"], row["tried"], lost, doubled, *times)
    yield ""


def _power(runs: list[dict[str, Any]]) -> Iterator[str]:
    yield "### Loss of power\n"
    yield from _head(
        "durability", "changes recorded", "syncs", "disks built and opened", "acknowledged", "promises broken", "seed"
    )
    for run in runs:
        states = sum(run["states"].values())
        yield _row(run["durability"], run["changes"], run["syncs"], states, run["acknowledged"], run["problems"], run["seed"])
    yield ""


def _simulation(found: dict[str, Any]) -> Iterator[str]:
    yield "### Simulation\n"
    verdict = found["problem"] or "every reply agreed with the model"
    yield f"`python -m tests.deep.faults.simulation --steps {found['steps']} --seed {found['seed']}`:"
    yield f"{found['steps']:,} steps, {verdict}.\n"
    yield from _head("what the seed did", "times")
    for name, times in found["faults"].items():
        yield _row(name, times)
    yield ""


def _fuzz(found: dict[str, Any]) -> Iterator[str]:
    yield "### Hostile input\n"
    yield f"`python -m tests.deep.fuzz --inputs {found['inputs']} --seed {found['seed']}`:"
    yield f"{len(found['problems'])} got out what they must not.\n"
    yield from _head("parser", "inputs")
    for name, inputs in found["by_parser"].items():
        yield _row(name, inputs)
    yield ""


def _soak(found: dict[str, Any]) -> Iterator[str]:
    yield "### Soak\n"
    yield f"{found['messages']:,} messages sent, read in order and acknowledged in {found['seconds']:,.0f} s."
    yield "Largest samples:\n"
    yield from _head("what", "first half", "second half")
    for name, first in found["first_half"].items():
        yield _row(name, f"{first:g}", f"{found['second_half'][name]:g}")
    yield ""
    if "parts" in found:
        yield "The same by tenths of the way:\n"
        yield from _head("what", *(str(number) for number in range(1, len(found["parts"]) + 1)))
        for name in found["parts"][-1]:
            yield _row(name, *(f"{part.get(name, 0):g}" for part in found["parts"]))
        yield ""


def _sites(found: dict[str, Any]) -> Iterator[str]:
    counts, broken = found["counts"], found["problems"]
    yield "### Three sites under fire\n"
    yield f"`python -m tests.deep.faults.sites --seed {found['seed']}`:"
    told = ("sends ok", "messages between sites"), ("deliveries", "deliveries"), ("redeliveries", "of them again")
    told += (("gone with the restored database", "of the restored site that no node had when it was set back"),)
    yield f"{', '.join(f'{counts.get(name, 0):,} {words}' for name, words in told)}, in {found['seconds']:,.0f} s."
    yield ""
    yield from _head("rule", "times broken")
    for rule in ("lost", "duplicate", "after_ack", "order", "wrong_box", "forged", "refused"):
        yield _row(rule, broken.get(rule, 0))
    yield ""
    yield from _head("fault", "times")
    for fault, times in found["faults"].items():
        yield _row(fault, times)
    yield ""


def _fairness(found: dict[str, Any]) -> Iterator[str]:
    yield "### A flood beside a quiet agent\n"
    yield from _head("run", "the quiet agent is", "p50", "p99", "p99 to that alone")
    for name, run in found.items():
        for what, times in run.items():
            if isinstance(times, dict) and "p99_ms" in times:
                ratio = times["p99_ms"] / run["alone"]["p99_ms"]
                yield _row(name, what, f"{times['p50_ms']:g} ms", f"{times['p99_ms']:g} ms", f"{ratio:.2f}")
    yield ""
    for name, run in found.items():
        if "flood_per_second" in run:
            got = ", ".join(f"{number:,} `{code}`" for code, number in run["flood_per_second"].items())
            yield f"What the flood was answered a second, {name}: {got}."
    yield ""
