"""``ipc demo --sites 3`` runs, and leaves nothing."""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from bridges.nats.demo import INSTALL

ROOT = Path(__file__).parents[2]


def ipc(folder: Path, *arguments: str, python: str = sys.executable, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "TMPDIR": str(folder), "IPC_HOME": str(folder / "ipc"), **more}
    return subprocess.run([python, "-m", "bridges.cli", *arguments], capture_output=True, text=True, env=environment, cwd=ROOT)


@pytest.mark.timeout(180)
def test_all_mail_of_three_sites_arrives_once_and_nothing_is_left(home: Path) -> None:
    done = ipc(home, "demo", "--sites", "3")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "All 300 messages arrived, each once and in order" in done.stdout
    assert done.stdout.count("✓") == 5
    assert "is killed" in done.stdout
    assert list(home.iterdir()) == []


def test_without_the_packages_it_says_what_to_install(home: Path) -> None:
    python = home / "python"  # one beside which no nats-server lies
    python.symlink_to(Path(sys.executable).resolve())
    packages = os.pathsep.join((str(ROOT), sysconfig.get_path("purelib")))
    done = ipc(home, "demo", "--sites", "3", python=str(python), PYTHONPATH=packages, PATH=str(home))
    assert done.returncode == 1
    assert INSTALL in done.stderr
