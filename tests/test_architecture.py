"""The pages name files, tests and numbers that exist."""

import importlib
import re
from pathlib import Path

import pytest

from broker.home.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
PAGES = (
    "docs/architecture.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "docs/reliability.md",
    "docs/performance.md",
    "docs/scale.md",
    "docs/peers.md",
)
UNITS = {"": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}
ROWS = re.findall(
    r"^\| [^|]+ \| ([\d,]+) ?(\w*) \| `([\w.]+)` \|", (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8"), re.M
)


@pytest.mark.parametrize("page", PAGES)
def test_every_file_that_is_named_exists(page: str) -> None:
    named = re.findall(r"`((?:broker|bridges|nlparse|tests|bench|docs)/[\w/.-]+)`", (ROOT / page).read_text(encoding="utf-8"))
    assert named
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_the_flow_control_table_has_the_codes_numbers() -> None:
    assert len(ROWS) > 15
    told = {name: int(number.replace(",", "")) * UNITS[unit] for number, unit, name in ROWS}
    assert told == {name: value_of(name) for name in told}


def value_of(name: str) -> float:
    """A module's constant, or a setting's default."""
    module, _, constant = name.rpartition(".")
    if not module:
        return float(getattr(Settings.load(env={"IPC_HOME": "/nowhere"}), name))
    return float(getattr(importlib.import_module(module), constant))
