"""``ipc completion``: what a person gets for a Tab, in real shells, with names of the running service."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Service
from tests.processes import freeze
from tests.screens import Screen
from tests.shell import IPC, Shell

HAS_IPC = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
BEGINS = {
    "bash": ["bash", "--norc", "--noprofile", "-i"],
    "zsh": ["zsh", "-f", "-i"],
    "fish": ["fish", "--no-config", "-i"],
}
SOURCED = {
    "bash": "source {file}",
    "zsh": 'autoload -U compinit; compinit -D -u; eval "$(cat {file})"',
    "fish": "source {file}",
}


def script(shell: Shell, which: str) -> Path:
    path = shell.home / f"ipc.{which}"
    path.write_text(shell.ok("completion", which))
    return path


@pytest.fixture(params=["bash", pytest.param("zsh", marks=pytest.mark.deep), pytest.param("fish", marks=pytest.mark.deep)])
def which(request: pytest.FixtureRequest) -> str:
    which: str = request.param
    if shutil.which(which) is None:
        pytest.skip(f"{which} is not installed")
    return which


def test_a_tab_completes_commands_options_choices_and_living_names(shared_pair: Shell, tag: str, which: str) -> None:
    file = script(shared_pair, which)
    shared_pair.ok("group", "create", f"crew{tag}", "--as", f"claude{tag}")
    with Screen(BEGINS[which], {**shared_pair.env, "PATH": HAS_IPC, "PS1": "ready> "}, shared_pair.home, columns=200) as screen:
        screen.press(f"{SOURCED[which].format(file=file)}; echo sour''ced\r")
        screen.shows("sourced")
        for typed, completed in (
            ("ipc whoa\t", "ipc whoami "),
            ("ipc send --supers\t", "ipc send --supersedes "),
            ("ipc presence wor\t", "ipc presence working "),
            (f"ipc send claude{tag[:3]}\t", f"ipc send claude{tag} "),
            (f"ipc send crew{tag[:3]}\t", f"ipc send crew{tag} "),
            (f"ipc group join crew{tag[:3]}\t", f"ipc group join crew{tag} "),
            (f"ipc history --peer fred{tag[:3]}\t", f"ipc history --peer fred{tag} "),
            ("ipc log superv\t", "ipc log supervisor "),
        ):
            screen.press(f"{typed}x")
            screen.shows(f"{completed}x")
            screen.press("\x15")
        screen.press(f"ipc send claude{tag[:3]}\thello --as fred{tag}\r")
        screen.shows("Message sent")


def test_a_live_list_has_names_and_starts_no_service(shell: Shell, shared_pair: Shell, tag: str) -> None:
    shared_pair.ok("group", "create", f"crew{tag}")
    assert {f"claude{tag}", f"fred{tag}"} <= set(shared_pair.ok("completion", "--live", "names").split())
    assert f"crew{tag}" in shared_pair.ok("completion", "--live", "groups").split()
    assert {f"claude{tag}", f"crew{tag}"} <= set(shared_pair.ok("completion", "--live", "both").split())
    for which in ("names", "groups", "both", "logs"):
        assert shell.ok("completion", "--live", which) == ""
    assert not shell.data.exists()


def test_a_service_that_hangs_holds_no_tab_up(service: Service) -> None:
    shell = Shell(service.home, service.home)
    service.register("fred")
    freeze(service.pid("broker"))
    try:
        assert shell.ok("completion", "--live", "names") == ""
    finally:
        os.kill(service.pid("broker"), signal.SIGCONT)


def test_a_live_list_makes_no_parser(shared_pair: Shell) -> None:
    words = [sys.executable, "-X", "importtime", "-m", "bridges.cli", "completion", "--live", "names"]
    done = subprocess.run(words, env=shared_pair.env, capture_output=True, timeout=20)
    found = {line.rpartition("|")[2].strip() for line in done.stderr.decode().splitlines()}
    assert found & {"argparse", "shtab", "typing", "zmq", "dataclasses"} == set() and "bridges.cli.completion" in found


def test_without_its_package_it_says_what_to_install(shell: Shell) -> None:
    without = "import sys; sys.modules['shtab'] = None; import bridges.cli.__main__ as m; sys.exit(m.main(sys.argv[1:]))"
    done = subprocess.run([*IPC[:1], "-c", without, "completion", "bash"], env=shell.env, capture_output=True, timeout=20)
    assert done.returncode == 1
    assert done.stderr.decode() == "ipc: this needs one small package more\nnext: pip install 'agent-ipc[completion]'\n"


def test_without_a_shell_it_is_the_one_of_the_environment(shell: Shell) -> None:
    assert shell.ok("completion", SHELL="/usr/bin/fish") == shell.ok("completion", "fish")
    assert "bash, zsh or fish" in shell.fails(2, "completion", SHELL="/bin/dash")
