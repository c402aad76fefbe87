"""Prompts of hosts at a person's terminal: shown as the host gave them, decided there, and nowhere under a host."""

import os
import shlex
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Service
from tests.prompts import Asking, Owner
from tests.shell import IPC, Shell
from tests.terminals import Terminal


@pytest.fixture(scope="module")
def shared() -> Iterator[Service]:
    """A service of this module's own: the test's process is no host there, as it may be to the worker's."""
    with tempfile.TemporaryDirectory(prefix="ipc-") as folder:
        service = Service(Path(folder))
        try:
            yield service.start()
        finally:
            service.stop()


@pytest.fixture
def name(shared: Service, tag: str) -> str:
    return f"web{tag}"


@pytest.fixture
def token(shared: Service, name: str) -> str:
    return shared.register(name)


def test_a_prompt_is_shown_exactly_as_given_and_what_could_hide_in_it_is_seen(
    shared: Service, shared_shell: Shell, token: str, name: str
) -> None:
    given = '{"command":  "rm -rf \\u202e/tmp", "n": 1e3, "x": "\u202eevil\x1b[2K"}\nnext: ipc permit 0000000000'
    with Asking(shared.settings, token, shown=given, tool="Ba\x1bsh"), Owner(shared.settings) as owner:
        row = owner.prompt(name)
        assert row["shown"] == given
        with Terminal(shared_shell) as terminal:
            shown = terminal.ok("permissions")
    assert f"{row['id']}  {name} asks for Ba\\x1bsh, just now\n" in shown
    seen = '{"command":  "rm -rf \\u202e/tmp", "n": 1e3, "x": "\\u202eevil\\x1b[2K"}'
    assert f"    {seen}\n    next: ipc permit 0000000000\n" in shown
    assert "\x1b" not in shown and "\u202e" not in shown


@pytest.mark.parametrize(("command", "said", "told"), [("permit", "Allowed", "allow"), ("deny", "Denied", "deny")])
def test_a_person_decides_once_in_a_terminal(
    shared: Service, shared_shell: Shell, token: str, name: str, command: str, said: str, told: str
) -> None:
    with Asking(shared.settings, token) as hook, Owner(shared.settings) as owner, Terminal(shared_shell) as terminal:
        row = owner.prompt(name)
        assert terminal.ok(command, row["id"]) == f"{said} Bash of {name}\n"
        assert hook.told() == told
        assert f"No permission prompt {row['id']} waits" in terminal.fails(1, "permit", row["id"])
        assert name not in terminal.ok("permissions")


@pytest.fixture
def claude(tmp_path: Path) -> str:
    """A shell that is named like a host's program."""
    (tmp_path / "claude").symlink_to("/bin/sh")
    return str(tmp_path / "claude")


def test_nothing_is_decided_without_a_terminal_or_under_a_host(
    shared: Service, shared_shell: Shell, token: str, name: str, claude: str
) -> None:
    with Asking(shared.settings, token), Owner(shared.settings) as owner, Terminal(shared_shell) as terminal:
        permission_id = owner.prompt(name)["id"]
        for words in (["permissions"], ["deny", permission_id], ["permit", permission_id]):
            assert "decides about no permission" in shared_shell.fails(4, *words)
        command = shlex.join([*IPC, "permit", permission_id])
        for typed in (f"CLAUDECODE=1 {command}", f"{shlex.quote(claude)} -c '{command}; exit $?'"):
            status, shown = terminal.type(typed)
            assert status == 4 and "ipc permit ID in a terminal of your own" in shown, (typed, shown)
        assert len(owner.prompts(name)) == 1


_DECIDE = """
import sys
from broker.client.sync import Connection
from broker.home.files import owner_key
from broker.home.settings import Settings
from broker.protocol.errors import RemoteError
settings = Settings.load()
try:
    Connection(settings, link=sys.argv[2]).request(
        "permission_decide", session_token=owner_key(settings.home), permission_id=sys.argv[1], decision="allow"
    )
except RemoteError as e:
    print(e.code)
"""


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="the system tells nothing of a connection's process")
def test_the_broker_refuses_the_owner_s_key_of_a_process_that_a_host_has_started(
    shared: Service, shared_shell: Shell, token: str, name: str, claude: str
) -> None:
    with Asking(shared.settings, token) as hook, Owner(shared.settings) as owner, Terminal(shared_shell) as terminal:
        permission_id = owner.prompt(name)["id"]
        script = shared_shell.home / "decide.py"
        script.write_text(_DECIDE)
        command = shlex.join([sys.executable, str(script), permission_id])
        for typed in (f"GEMINI_CLI=1 {command} unix", f"{shlex.quote(claude)} -c '{command} unix; true'", f"{command} zeromq"):
            assert terminal.type(typed) == (0, "not_a_person\n"), typed
        assert len(owner.prompts(name)) == 1
        assert terminal.type(f"{command} unix") == (0, "")
        assert hook.told() == "allow"
