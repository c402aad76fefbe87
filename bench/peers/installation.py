"""Each system in an environment of its own, as pip puts it there, or where the bench's own environment has it."""

import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

from bench.peers.driver import Driver
from bench.systems import Skip

_PIP_S = 600.0
_VERSION = "import importlib.metadata, sys; print(importlib.metadata.version(sys.argv[1]))"


@dataclass(frozen=True, slots=True)
class Installed:
    """A driver and the folder of the programs that it drives."""

    driver: type[Driver]
    bin: Path
    title: str
    """With the version."""
    packages: int = 0
    size_mb: float = 0.0
    """What pip put there, bytecode included; 0 where it was there before."""


def install(driver: type[Driver], folder: Path) -> Installed:
    """Raises Skip with the last words of pip."""
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    before = _bytes(folder)
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "-q", "--disable-pip-version-check"]
    done = subprocess.run([*pip, driver.install], capture_output=True, text=True, timeout=_PIP_S, check=False)
    if done.returncode != 0 or not (folder / "bin" / driver.program).exists():
        said = (done.stderr or done.stdout).strip().splitlines() or [f"there is no program {driver.program}"]
        raise Skip(f"not installed: {said[-1][:200]}")
    packages = len(list(folder.glob("lib/*/site-packages/*.dist-info")))
    return Installed(driver, python.parent, _title(driver, python), packages, (_bytes(folder) - before) / 1e6)


def find(driver: type[Driver]) -> Installed:
    """In the environment of this Python. Raises Skip."""
    python = Path(sys.executable)
    if not (python.parent / driver.program).exists():
        raise Skip("not installed here: leave out --installed, or pip install -e '.[peers]'")
    return Installed(driver, python.parent, _title(driver, python))


def _title(driver: type[Driver], python: Path) -> str:
    asked = [str(python), "-I", "-c", _VERSION, driver.title]
    done = subprocess.run(asked, capture_output=True, text=True, timeout=30, check=False)
    return f"{driver.title} {done.stdout.strip()}".strip()


def _bytes(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_symlink() and path.is_file())
