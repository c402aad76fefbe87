"""Data goes one way: no file imports against it."""

import ast
from pathlib import Path

import pytest

import bridges
import broker

BROKER = Path(broker.__file__).parent
BRIDGES = Path(bridges.__file__).parent


def imported(path: Path) -> set[str]:
    """Modules that a file imports, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
        elif isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
    return names


def depends_on(path: Path, *packages: str) -> list[str]:
    return [n for n in imported(path) if any(n == p or n.startswith(p + ".") for p in packages)]


@pytest.mark.parametrize("path", sorted(BROKER.rglob("*.py")), ids=lambda p: str(p.relative_to(BROKER)))
def test_the_broker_knows_no_door(path: Path) -> None:
    assert depends_on(path, "bridges", "nlparse", "mcp") == []


@pytest.mark.parametrize("path", sorted((BROKER / "core").glob("*.py")), ids=lambda p: p.name)
def test_the_core_knows_no_socket_clock_or_database(path: Path) -> None:
    assert (
        depends_on(path, "zmq", "socket", "peewee", "sqlite3", "time", "threading", "broker.store", "broker.server.loop") == []
    )


@pytest.mark.parametrize("door", ["tcp", "mcp", "cli", "remote"])
def test_doors_know_neither_each_other_nor_the_database(door: str) -> None:
    others = [f"bridges.{d}" for d in ("tcp", "mcp", "cli", "remote") if d != door]
    for path in (BRIDGES / door).glob("*.py"):
        found = set(depends_on(path, *others, "broker.store", "broker.core", "peewee"))
        offline = {"broker.store.backup", "broker.store.doctor"} if door == "cli" else set[str]()  # with the service stopped
        assert found <= offline, path


def test_text_of_others_is_made_safe_in_one_place() -> None:
    assert [p.name for p in BRIDGES.rglob("*.py") if depends_on(p, "bridges.safe_text")] == ["fence.py"]


def test_files_stay_readable() -> None:
    long = [p for root in (BROKER, BRIDGES) for p in root.rglob("*.py") if len(p.read_text().splitlines()) > 420]
    assert long == []
