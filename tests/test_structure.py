"""The rooms of the house: who may import whom, which names stand where, and how large a file or function gets.

A rule finds what breaks it, as sentences. ``EXCEPTIONS`` holds the sentences that are right nevertheless, each with its reason.
"""

import ast
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FILE_LINES, FUNCTION_LINES, TOP_FILES = 400, 50, 6

SHARED = {"bridges"}
"""The modules at the top of ``bridges/``, which all doors may use."""
HOSTS = "bridges.known_hosts"
DOOR = {"client", "home", "protocol", "service", "version", HOSTS, *SHARED}
MAY_IMPORT: dict[str, set[str]] = {
    "protocol": set(),
    "home": {"protocol", "version"},
    "core": {"protocol", "home.settings"},
    "store": {"core", "home", "protocol", "version"},
    "service": {"home", "protocol", "version"},
    "server": {"store", "core", "home", "protocol", "version"},
    "client": {"protocol", "home", "service.launcher", "version"},
    "version": set(),
    "top": {"protocol", "home", "core", "store", "service", "server", "client", "version"},
    "bridges": DOOR | {"nlparse"},
    "bridges.tcp": DOOR,
    "bridges.mcp": DOOR,
    "bridges.remote": DOOR,
    "bridges.nats": DOOR,
    "bridges.web": DOOR | {"bridges.view"},
    "bridges.answers": DOOR,
    "bridges.notify": DOOR | {"bridges.view"},
    "bridges.resume": DOOR,
    "bridges.export": DOOR,
    "bridges.cli": DOOR | {"bridges.install", "store.backup", "store.doctor", "store.repair_words"},
    "bridges.hosts": DOOR,
    "bridges.install": DOOR,
    "bridges.tui": DOOR | {"bridges.view"},
    "bridges.view": {"home", "protocol", "bridges", HOSTS},
    HOSTS: {"home", "protocol", "version"},
    "bridges.scripts": set(),
    "nlparse": set(),
}
"""What the modules of a room may import of ours, but for the room itself: a room, or one module of a room of ``broker``."""

TABLES = ("broker/store/schema.py", "broker/store/link_tables.py")
"""Files whose classes are tables."""
CORE_SEES_NOT = (
    "asyncio", "io", "logging", "multiprocessing", "os", "pathlib", "peewee", "random", "select", "selectors", "shutil",
    "socket", "sqlite3", "subprocess", "tempfile", "threading", "time", "zmq",
)  # fmt: skip

EXCEPTIONS: dict[str, str] = {
    **{
        f"bridges/cli/watch.py names IPC_MAIL_{word}": "set for the user's command, which is told of a message by it"
        for word in ("FROM", "ID", "TIMESTAMP")
    },
    "bridges/nats/layout.py names IPC_AT": "a stream",
    "bridges/nats/layout.py names IPC_IN_": "streams, with their number",
    "bridges/cli/import_mail.py imports sqlite3": "reads the database of an older system, which no part of ours does",
}
"""Sentence of a rule to the reason why it may stand. A test holds that each is still needed."""


def modules() -> dict[str, Path]:
    """Our modules by dotted name; ``bridges.hosts.files`` is the hosts' own and not ours to import."""
    found = {}
    for package in ("broker", "bridges", "nlparse"):
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def where(path: Path) -> str:
    return str(path.relative_to(ROOT))


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def imports(path: Path) -> frozenset[str]:
    """Modules that a file imports, wherever in it, also for types alone."""
    names = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{where(path)} imports relatively: name the module whole"
            names |= {whole if (whole := f"{node.module}.{one.name}") in MODULES else str(node.module) for one in node.names}
        elif isinstance(node, ast.Import):
            names |= {one.name for one in node.names}
    return frozenset(names)


def room(module: str) -> str:
    """``core`` for broker.core.engine, ``bridges.tcp`` for bridges.tcp.stream, ``bridges`` for bridges.safe_text."""
    package, *inside = module.split(".")
    if package == "nlparse":
        return package
    in_a_room = len(inside) > 1 or (inside and (ROOT / package / inside[0]).is_dir())
    if package == "bridges":
        return f"{package}.{inside[0]}" if in_a_room else package
    return inside[0] if in_a_room or inside == ["version"] else "top"


def arrows() -> Iterator[tuple[str, str]]:
    """Pairs of our modules, of which the first imports the second."""
    for module, path in MODULES.items():
        yield from ((module, other) for other in sorted(imports(path)) if other in MODULES and other != module)


def circles() -> Iterator[list[str]]:
    """The modules of each circle, in the order of their imports, each circle once."""
    goes_to: dict[str, list[str]] = {}
    for one, other in arrows():
        goes_to.setdefault(one, []).append(other)
    done: set[str] = set()

    def follow(module: str, way: list[str]) -> Iterator[list[str]]:
        if module in way:
            yield [*way[way.index(module) :], module]
        elif module not in done:
            for other in goes_to.get(module, ()):
                yield from follow(other, [*way, module])
            done.add(module)

    for module in MODULES:
        yield from follow(module, [])


def functions(inside: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    yield from (node for node in ast.walk(inside) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def last_line(node: ast.stmt) -> int:
    assert node.end_lineno is not None
    return node.end_lineno


def own_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """The lines of a function without those of functions in it, which count for themselves."""
    lines = set(range(function.lineno, last_line(function) + 1))
    if len(lines) <= FUNCTION_LINES:
        return len(lines)
    for inner in functions(function):
        if inner is not function:
            first = min([inner.lineno, *(one.lineno for one in inner.decorator_list)])
            lines -= set(range(first, last_line(inner) + 1))
    return len(lines)


# each rule yields a sentence for whatever breaks it


def rooms_import_what_they_may() -> Iterator[str]:
    for module, other in arrows():
        here, there = room(module), room(other)
        if here != there and not {there, other.removeprefix("broker.")} & MAY_IMPORT[here]:
            yield f"{where(MODULES[module])} imports {other}"


def no_modules_import_each_other_in_a_circle() -> Iterator[str]:
    yield from (" -> ".join(circle) for circle in circles())


def the_core_has_no_socket_clock_disk_or_thread() -> Iterator[str]:
    for module, path in MODULES.items():
        if room(module) == "core":
            yield from (f"{where(path)} imports {name}" for name in imports(path) if name.split(".")[0] in CORE_SEES_NOT)


def only_the_store_knows_sql() -> Iterator[str]:
    for module, path in MODULES.items():
        if room(module) != "store":
            yield from (
                f"{where(path)} imports {n}" for n in imports(path) if n.split(".")[0] in ("sqlite3", "peewee", "playhouse")
            )


def only_the_door_between_sites_knows_nats() -> Iterator[str]:
    for module, path in MODULES.items():
        if room(module) != "bridges.nats":
            names = {name.split(".")[0] for name in imports(path)}
            yield from (f"{where(path)} imports {name}" for name in sorted(names & {"nats", "nkeys", "nacl"}))


def only_what_serves_http_knows_web_servers() -> Iterator[str]:
    packages = {"starlette", "uvicorn", "jinja2", "markupsafe", "prometheus_client", "markdown_it", "nh3"}
    for module, path in MODULES.items():
        if room(module) not in ("bridges.web", "bridges.answers") and module != "bridges.http_server":
            names = {name.split(".")[0] for name in imports(path)}
            yield from (f"{where(path)} imports {name}" for name in sorted(names & packages))


def only_the_terminal_view_knows_textual() -> Iterator[str]:
    for module, path in MODULES.items():
        if room(module) != "bridges.tui":
            names = {name.split(".")[0] for name in imports(path)}
            yield from (f"{where(path)} imports {name}" for name in sorted(names & {"textual", "rich"}))


def only_the_clock_of_appointments_knows_cron() -> Iterator[str]:
    for path in MODULES.values():
        if where(path) != "broker/server/cron.py" and "cronsim" in imports(path):
            yield f"{where(path)} imports cronsim"


def only_the_home_knows_names_of_the_environment() -> Iterator[str]:
    for module, path in MODULES.items():
        if room(module) not in ("home", "bridges.scripts"):
            for node in ast.walk(tree(path)) if "IPC_" in path.read_text(encoding="utf-8") else ():
                if isinstance(node, ast.Constant) and isinstance(node.value, str) and re.fullmatch("IPC_[A-Z_]+", node.value):
                    yield f"{where(path)} names {node.value}"


def text_of_others_is_made_safe_in_one_place() -> Iterator[str]:
    for module, path in MODULES.items():
        if "bridges.safe_text" in imports(path) and module != "bridges.fence":
            yield f"{where(path)} imports bridges.safe_text"


def scripts_need_the_standard_library_alone() -> Iterator[str]:
    folder = ROOT / "bridges" / "scripts"
    for path in folder.glob("*.py"):
        for name in imports(path):
            if name.split(".")[0] not in sys.stdlib_module_names and not (folder / f"{name}.py").exists():
                yield f"{where(path)} imports {name}"


def the_top_of_the_broker_stays_small() -> Iterator[str]:
    files = sorted(p.name for p in (ROOT / "broker").iterdir() if p.is_file() and p.name != "py.typed")
    if len(files) > TOP_FILES:
        yield f"broker/ has {len(files)} files at its top: {', '.join(files)}"


def files_and_functions_stay_readable() -> Iterator[str]:
    for path in MODULES.values():
        if len(path.read_text(encoding="utf-8").splitlines()) > FILE_LINES:
            yield f"{where(path)} has over {FILE_LINES} lines"
        yield from (
            f"{where(path)}: {function.name} has over {FUNCTION_LINES} lines"
            for function in functions(tree(path))
            if own_lines(function) > FUNCTION_LINES
        )


def a_class_has_a_name_of_its_own() -> Iterator[str]:
    for packages in ({"broker", "bridges"}, {"nlparse"}):
        names = Counter(
            node.name
            for module, path in MODULES.items()
            if module.split(".")[0] in packages
            for node in ast.walk(tree(path))
            if isinstance(node, ast.ClassDef) and not (node.name == "Meta" and where(path) in TABLES)
        )  # peewee wants a class Meta in each model
        yield from (f"{number} classes are named {name}" for name, number in names.items() if number > 1)


def a_file_has_a_name_of_its_own() -> Iterator[str]:
    places: dict[tuple[str, str], list[str]] = {}
    for module, path in MODULES.items():
        if path.name not in ("__init__.py", "__main__.py"):
            scope = "broker" if module.startswith("broker.") else room(module)
            if scope == HOSTS and path.parent.name != "known_hosts":
                scope = f"{HOSTS}.{path.parent.name}"  # each host has the same files
            places.setdefault((scope, path.name), []).append(where(path))
    yield from (" and ".join(paths) + " have the same name" for paths in places.values() if len(paths) > 1)


RULES = (
    rooms_import_what_they_may,
    no_modules_import_each_other_in_a_circle,
    the_core_has_no_socket_clock_disk_or_thread,
    only_the_store_knows_sql,
    only_the_door_between_sites_knows_nats,
    only_what_serves_http_knows_web_servers,
    only_the_terminal_view_knows_textual,
    only_the_clock_of_appointments_knows_cron,
    only_the_home_knows_names_of_the_environment,
    text_of_others_is_made_safe_in_one_place,
    scripts_need_the_standard_library_alone,
    the_top_of_the_broker_stays_small,
    files_and_functions_stay_readable,
    a_class_has_a_name_of_its_own,
    a_file_has_a_name_of_its_own,
)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_rule(rule: Callable[[], Iterator[str]]) -> None:
    broken = sorted(set(rule()) - EXCEPTIONS.keys())
    if broken:
        pytest.fail("\n".join([f"the rule: {rule.__name__.replace('_', ' ')}", *broken]), pytrace=False)


def test_each_exception_is_still_needed() -> None:
    assert EXCEPTIONS.keys() <= {sentence for rule in RULES for sentence in rule()}


def test_every_room_has_its_rule() -> None:
    assert {room(module) for module in MODULES} == set(MAY_IMPORT)


def test_no_room_may_import_upward() -> None:
    """The rules themselves go one way: of two rooms, one may not import what may import it, however far around."""
    goes_to = {
        here: {other if other in MAY_IMPORT else other.split(".")[0] for other in others} - {here}
        for here, others in MAY_IMPORT.items()
    }
    reached: set[str] = set()
    while further := {here for here in goes_to.keys() - reached if goes_to[here] <= reached}:
        reached |= further
    assert reached == set(MAY_IMPORT)


def test_no_test_file_imports_another() -> None:
    """What several use stands in a file of its own beside them."""
    found = re.compile(r"^\s*(?:from|import) (tests\.\S*(?:test_\w+|conftest))\b", re.M)
    tests = ROOT / "tests"
    rows = {(str(p.relative_to(tests)), name) for p in tests.rglob("*.py") for name in found.findall(p.read_text("utf-8"))}
    assert [row for row in sorted(rows) if row[1] != "tests.conftest"] == []
