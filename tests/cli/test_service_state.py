"""What a shell is told of a service that differs from it, and of a data folder that can't be used."""

import json
import os
from pathlib import Path

import pytest

from tests.shell import Shell


@pytest.mark.deep
def test_a_setting_that_differs_from_the_running_services_is_named_with_what_to_type(shell: Shell) -> None:
    shell.ok("up", IPC_MAILBOX_LIMIT="77")
    line = "mailbox_limit is 77 in the service, 99 here (env IPC_MAILBOX_LIMIT); to have yours: ipc down, then: ipc up"
    other = {"IPC_MAILBOX_LIMIT": "99"}
    for words in (["up"], ["status"]):
        assert shell.run(*words, **other).stderr.splitlines() == [f"ipc: {line}"]
        assert shell.run(*words, IPC_MAILBOX_LIMIT="77").stderr == ""
    assert f"settings  {line}" in shell.ok("doctor", **other)
    assert json.loads(shell.ok("status", "--json", **other))["differs"] == [line]
    shown = json.loads(shell.ok("status", "--config", "--json", **other))["mailbox_limit"]
    assert shown == {"value": "77", "origin": "the service (here 99, env IPC_MAILBOX_LIMIT)"}
    shell.ok("down")
    assert json.loads(shell.ok("status", "--config", "--json", **other))["mailbox_limit"]["value"] == "99"


@pytest.mark.deep
def test_the_shared_secret_is_never_part_of_it(shell: Shell) -> None:
    shell.env["IPC_SHARED_SECRET"] = "hush-hush"  # noqa: S105
    shell.ok("up")
    told = shell.run("status", IPC_SHARED_SECRET="").stderr
    assert "shared_secret is (set) in the service, not set here" in told
    assert "hush" not in told + (shell.home / "ipc" / "run" / "supervisor.json").read_text()


def folders(home: Path) -> dict[str, Path]:
    (home / "file").write_text("")
    (home / "dangling").symlink_to(home / "nowhere" / "else")
    return {
        "a file": home / "file",
        "below a file": home / "file" / "x",
        "a link to nothing": home / "dangling",
        "where nothing can be made": Path("/proc/agent-ipc"),
    }


@pytest.mark.parametrize("kind", ["a file", "below a file", "a link to nothing", "where nothing can be made"])
@pytest.mark.deep
def test_a_data_folder_that_can_not_be_used_is_said_in_a_line(home: Path, kind: str) -> None:
    shell = Shell(home)
    shell.env["IPC_HOME"] = str(folders(home)[kind])
    for words in (["up"], ["down"], ["status"], ["doctor"], ["register", "fred"], ["status", "--config"]):
        done = shell.run(*words)
        assert "Traceback" not in done.stderr + done.stdout, (words, done.stderr)
        assert len(done.stderr.splitlines()) <= 2
        if words[0] in ("up", "register", "doctor"):
            assert done.returncode != 0 and shell.env["IPC_HOME"] in done.stderr + done.stdout, (words, done)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_data_folder_is_said_in_a_line(home: Path) -> None:
    shell = Shell(home)
    (home / "ipc").mkdir(mode=0o500)
    home.chmod(0o500)
    for words in (["up"], ["down"], ["doctor"]):
        assert "Traceback" not in shell.run(*words).stderr
    home.chmod(0o700)
