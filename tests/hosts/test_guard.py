"""The pre-commit guard in real repositories."""

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from bridges import host_sessions
from tests.conftest import Service
from tests.hosts.agent import Agent
from tests.shell import IPC


class Repository:
    """A repository in an agent's folder, worked on as that agent."""

    def __init__(self, agent: Agent) -> None:
        self.agent = agent
        self.env = {
            **agent.env,
            "CLAUDE_CODE_SESSION_ID": agent.session,
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_AUTHOR_NAME": "t",
            "GIT_AUTHOR_EMAIL": "t@example.org",
            "GIT_COMMITTER_NAME": "t",
            "GIT_COMMITTER_EMAIL": "t@example.org",
        }
        self.git("init", "-q")

    @property
    def hook(self) -> Path:
        return self.agent.project / ".git" / "hooks" / "pre-commit"

    def run(self, *command: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(command, cwd=self.agent.project, env=self.env, capture_output=True, text=True, timeout=30)

    def git(self, *arguments: str) -> str:
        done = self.run("git", *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def guard(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return self.run(*IPC, "guard", *arguments)

    def change(self, name: str) -> None:
        path = self.agent.project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(os.urandom(4).hex())
        self.git("add", name)

    def commit(self) -> "subprocess.CompletedProcess[str]":
        return self.run("git", "commit", "-qm", "x")


@pytest.fixture
def repository(service: Service) -> Repository:
    agent = Agent(service)
    agent.start()
    return Repository(agent)


def test_a_commit_of_files_that_another_has_claimed_is_refused(service: Service, repository: Repository) -> None:
    assert repository.guard("--install").returncode == 0
    repository.change("src/api/a b.py")
    repository.change("ünï\ncode.txt")
    assert repository.commit().returncode == 0
    with service.connect("bob") as bob:
        bob.request("claim", resource=str(repository.agent.project / "src" / "**"), note="rewriting")
        repository.change("README")
        assert repository.commit().returncode == 0
        repository.change("src/api/a b.py")
        refused = repository.commit()
        assert refused.returncode == 1
        assert "bob has claimed" in refused.stderr and "rewriting" in refused.stderr and "--no-verify" in refused.stderr
        repository.git("commit", "-qm", "x", "--no-verify")
        repository.git("rm", "-q", "src/api/a b.py")
        assert repository.commit().returncode == 1
        bob.request("claim_release")
        assert repository.commit().returncode == 0


def test_ones_own_claim_a_shell_that_is_no_agent_and_a_stopped_service_refuse_nothing(
    service: Service, repository: Repository
) -> None:
    repository.change("a")
    token = host_sessions.load(str(service.home), repository.agent.session).token  # type: ignore[union-attr]
    with service.connect("", token=token) as web:
        web.request("claim", resource=str(repository.agent.project / "a"))
        assert repository.guard().returncode == 0
        web.request("claim_release")
    with service.connect("bob") as bob:
        bob.request("claim", resource=str(repository.agent.project / "*"))
        assert repository.guard().returncode == 1
        done = subprocess.run(
            [*IPC, "guard"],
            cwd=repository.agent.project,
            env={**repository.env, "CLAUDE_CODE_SESSION_ID": "", "IPC_NAME": "nobody"},
            capture_output=True,
            timeout=30,
        )
        assert (done.returncode, done.stderr) == (0, b"")
    service.stop()
    done = repository.guard()
    assert done.returncode == 0 and "not checked" in done.stderr


BEFORE: list[Any] = [None, "#!/bin/sh\n", "#!/bin/sh\necho mine\n", "#!/usr/bin/env bash\nexit 0\n"]


@pytest.mark.deep
@pytest.mark.parametrize("before", BEFORE, ids=["none", "empty", "sh", "bash"])
def test_the_guard_goes_in_and_out_without_a_trace(repository: Repository, before: str | None) -> None:
    if before is not None:
        repository.hook.parent.mkdir(exist_ok=True)
        repository.hook.write_text(before)
        repository.hook.chmod(0o755)
    assert "Installed in" in repository.guard("--install").stdout
    after = repository.hook.read_text()
    assert "Already in" in repository.guard("--install").stdout and repository.hook.read_text() == after
    assert os.access(repository.hook, os.X_OK) and after.startswith((before or "#!/bin/sh").splitlines()[0])
    repository.change("a")
    assert repository.commit().returncode == 0
    assert "Removed from" in repository.guard("--remove").stdout
    assert "Not in" in repository.guard("--remove").stdout
    assert (repository.hook.read_text() if repository.hook.exists() else None) == (None if before == "#!/bin/sh\n" else before)


def test_a_hook_that_is_no_shell_script_is_left_alone(repository: Repository) -> None:
    repository.hook.parent.mkdir(exist_ok=True)
    repository.hook.write_text("#!/usr/bin/python3\n")
    done = repository.guard("--install")
    assert done.returncode == 1 and "is not a shell script; add there:" in done.stderr
    assert repository.hook.read_text() == "#!/usr/bin/python3\n"


def test_outside_a_repository_git_s_own_words_are_said(service: Service) -> None:
    agent = Agent(service)
    done = subprocess.run(
        [*IPC, "guard", "--install"],
        cwd=agent.project,
        env={**agent.env, "GIT_DIR": "/nowhere"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1 and done.stderr.startswith("ipc guard: fatal:")
    assert subprocess.run([*IPC, "guard", "--x"], env=agent.env, capture_output=True).returncode == 2
