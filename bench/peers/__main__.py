"""``python -m bench peers [PART...]``: this project beside systems that do the same job. See docs/peers.md."""

import argparse
import importlib.util
import inspect
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from bench import machine
from bench.peers import drivers, installation, page, speed, torture
from bench.peers.driver import Absent, Driver
from bench.peers.installation import Installed
from bench.peers.isolation import isolate
from bench.peers.place import TEMPORARY, Failed
from bench.report import Results
from bench.systems import Skip

TABLES = {"first": speed.FIRST, "ways": speed.WAY, "memory": speed.MEMORY, "tokens": speed.TOKENS}
PARTS = (*TABLES, "torture")
SYSTEMS = "Systems"
Part = Callable[[Results, Installed], None]
_FAILURES = (Failed, Skip, OSError, RuntimeError, ValueError, LookupError, subprocess.SubprocessError)
"""Also what a driver's own reading of an output may raise."""


def main(argv: list[str] | None = None) -> int:
    """Exit status 0 whatever was found: what is absent, or failed, has a line that says so."""
    options = parse(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # as Ctrl-C: processes and folders go
    results = Results(machine.facts(TEMPORARY))
    root = Path(tempfile.mkdtemp(prefix="peers-", dir=TEMPORARY))
    try:
        systems = installed(results, load(options.driver, options.systems), root, here=options.installed)
        measure(results, alone(results, systems), options)
    finally:
        shutil.rmtree(root, ignore_errors=True)
    results.machine["load at the end"] = machine.load()
    text = f"## At a glance\n\n{page.glance(results)}\n{results.markdown()}"
    sys.stdout.write(text)
    if options.out is not None:
        write(results, text, options.out, "peers" if options.parts == list(PARTS) else "-".join(["peers", *options.parts]))
    return 0


def write(results: Results, text: str, folder: Path, stem: str) -> None:
    """A whole run beside the project's other results is shown in docs/peers.md, too."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{stem}.json").write_text(results.to_json(), encoding="utf-8")
    (folder / f"{stem}.md").write_text(text, encoding="utf-8")
    if (folder.resolve(), stem) == (page.RESULTS, "peers"):
        page.write_page(results)


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench peers", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; default: all")
    parser.add_argument("--systems", metavar="NAMES", help=f"of {','.join(names())}; default: all")
    parser.add_argument("--driver", type=Path, metavar="FILE", action="append", default=[], help="one more driver")
    parser.add_argument("--installed", action="store_true", help="install nothing: take what this environment has")
    parser.add_argument("--rounds", type=int, default=5, help="of first and ways, in which the systems take turns (default 5)")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="write JSON and Markdown there")
    parser.add_argument("--quick", action="store_true", help="a moment's load: shows that it works, measures nothing")
    options = parser.parse_args(argv)
    for part in options.parts:
        if part not in PARTS:
            parser.error(f"unknown part {part!r}; known: {', '.join(PARTS)}")
    options.parts = options.parts or list(PARTS)
    options.systems = names() if options.systems is None else options.systems.split(",")
    for name in options.systems:
        if name not in names():
            parser.error(f"unknown system {name!r}; known: {', '.join(names())}")
    return options


def names() -> list[str]:
    """Our own first."""
    found = sorted(path.stem for path in Path(drivers.__path__[0]).glob("[a-z]*.py"))
    return sorted(found, key=lambda name: name != "ipc")


def load(files: list[Path], systems: list[str]) -> list[type[Driver]]:
    """The driver of each file. Raises SystemExit for one that has none."""
    folder = Path(drivers.__path__[0])
    return [driver_of(path) for path in [*(folder / f"{name}.py" for name in systems), *files]]


def driver_of(path: Path) -> type[Driver]:
    spec = importlib.util.spec_from_file_location(f"peer_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found = [one for _name, one in inspect.getmembers(module, inspect.isclass) if one.__module__ == module.__name__]
    drivers_of_it = [one for one in found if issubclass(one, Driver)]
    if len(drivers_of_it) != 1:
        raise SystemExit(f"{path} has {len(drivers_of_it)} subclasses of Driver; it needs one")
    return drivers_of_it[0]


def installed(results: Results, wanted: list[type[Driver]], root: Path, *, here: bool) -> list[Installed]:
    """All that can be had; the others have a line."""
    found = []
    for number, driver in enumerate(wanted):
        said(f"{driver.title}: {'looking for it' if here else 'pip install'}")
        try:
            system = installation.find(driver) if here else installation.install(driver, root / str(number))
        except (Skip, OSError, subprocess.SubprocessError) as reason:
            results.skip(f"peers.system.{driver.title}", SYSTEMS, driver.title, str(reason))
            continue
        found.append(system)
        key = f"peers.system.{driver.title}"
        results.add(f"{key}.packages", SYSTEMS, system.title, "packages", "", system.packages)
        results.add(f"{key}.mb", SYSTEMS, system.title, "of size", "MB", system.size_mb)
    return found


def alone(results: Results, systems: list[Installed]) -> list[Installed]:
    """Take the network away. Those that would call somebody are left out where it can't be."""
    try:
        isolate()
    except Skip as reason:
        results.machine["network"] = f"as it was, since it can't be taken away here ({reason})"
        for system in systems:
            if system.driver.calls_out:
                why = f"it calls {system.driver.calls_out}, and the network can't be taken away here"
                results.skip(f"peers.system.{system.driver.title}", SYSTEMS, system.title, why)
        systems = [system for system in systems if not system.driver.calls_out]
    else:
        results.machine["network"] = "loopback alone"
    lines = ["What pip installs into an empty environment, with bytecode; 0 where it was taken from the bench's own."]
    results.notes[SYSTEMS] = "\n\n".join(lines + [f"{system.title}: {system.driver.note}" for system in systems])
    return systems


def measure(results: Results, systems: list[Installed], options: argparse.Namespace) -> None:
    """Round after round of what takes turns, then what is looked at once."""
    quick, parts = options.quick, options.parts
    turns: dict[str, Part] = {"first": speed.first, "ways": partial(speed.ways, count=1 if quick else 10)}
    memory = partial(speed.memory, agents=2, rest_s=0.5) if quick else partial(speed.memory, agents=10, rest_s=60.0)
    once: dict[str, Part] = {"memory": memory, "tokens": speed.tokens}
    for part in (part for part in TABLES if part in parts):
        results.notes[TABLES[part]] = speed.NOTES[TABLES[part]]
    for number in range(options.rounds):
        said(f"round {number + 1} of {options.rounds}")
        for part in (part for part in turns if part in parts):
            each(results, part, systems, turns[part])
    for part in (part for part in once if part in parts):
        each(results, part, systems, once[part])
    if "torture" in parts:
        for scenario in torture.scenarios(*((12, 2) if quick else (200, 5))):
            each(results, f"Torture: {scenario[0]}", systems, partial(torture.measure, scenario=scenario))


def each(results: Results, part: str, systems: list[Installed], function: Part) -> None:
    """A part with every system; what one can't do, or fails in, has a line."""
    table = TABLES.get(part, part)
    for system in systems:
        said(f"{part}: {system.title}")
        key = f"peers.{part}.{system.driver.title}"
        try:
            function(results, system)
        except Absent as reason:
            results.skip(key, table, system.title, f"does not have it: {reason}")
        except _FAILURES as error:
            results.skip(f"{key}.failed", table, system.title, f"{type(error).__name__}: {str(error)[:200]}")


def said(what: str) -> None:
    sys.stderr.write(f"{what}\n")


if __name__ == "__main__":
    sys.exit(main())
