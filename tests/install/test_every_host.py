"""``ipc install`` and ``ipc uninstall`` without a host, on machines with some: their programs on PATH, or their folders."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridges.known_hosts.catalogue import about, names
from bridges.known_hosts.host_facts import RUN
from tests.conftest import wait_for
from tests.screens import Screen
from tests.shell import IPC, Shell

CLAUDE, CODEX = ".claude/skills/agent-ipc", ".codex/config.toml"
BY_DOCUMENT = [name for name in names() if about(name).evidence != RUN]


class Desk(Shell):
    """A person's machine: programs of hosts on PATH, which nobody starts, and folders of hosts in the home."""

    def __init__(self, home: Path, programs: tuple[str, ...] = (), folders: tuple[str, ...] = ()) -> None:
        super().__init__(home)
        (home / "bin").mkdir(exist_ok=True)
        for name in programs:
            (home / "bin" / name).write_text("#!/bin/sh\nexit 99\n")
            (home / "bin" / name).chmod(0o755)
        for name in folders:
            (home / name).mkdir()
        self.env["PATH"] = f"{home / 'bin'}:/usr/bin:/bin"

    def files(self) -> dict[str, str]:
        """All of the home but programs and our own data folder."""
        paths = [p for p in self.home.rglob("*") if p.is_file() and p.relative_to(self.home).parts[0] not in ("bin", "ipc")]
        return {str(path.relative_to(self.home)): path.read_text() for path in paths}

    def at_terminal(self, *arguments: str) -> Screen:
        return Screen([*IPC, *arguments], {**self.env, "NO_COLOR": "1"}, self.home, lines=50, columns=160)


@pytest.fixture
def desk(home: Path) -> Iterator[Desk]:
    """Claude Code by its program, Codex CLI by its folder."""
    desk = Desk(home, ("claude",), (".codex",))
    yield desk
    if (desk.data / "run").exists():  # a check has started our server, which starts the service
        desk.run("down")


def reads(program: "subprocess.Popen[bytes]") -> bool:
    """Whether the program sleeps, which after its question is for the answer. An interrupt before that is seen after it."""
    return Path(f"/proc/{program.pid}/stat").read_text().rpartition(")")[2].split()[0] == "S"


def test_without_a_terminal_it_says_what_it_would_do_and_how(desk: Desk) -> None:
    done = desk.run("install")
    assert done.returncode == 2 and "next: ipc install --yes" in done.stderr and "nothing was changed" in done.stderr
    assert f"Claude Code (claude: {desk.home}/bin/claude)\n  makes the folder {desk.home}/{CLAUDE}\n" in done.stdout
    assert f"Codex CLI (codex: {desk.home}/.codex is there)\n  makes {desk.home}/{CODEX}\n" in done.stdout
    assert "Gemini" not in done.stdout and desk.files() == {} and not desk.data.exists()
    (desk.home / CODEX).write_text('model = "x"\n')
    assert f"  adds our entries to {desk.home}/{CODEX}\n" in desk.run("install").stdout


def test_yes_sets_up_all_that_are_there_and_a_second_run_changes_nothing(desk: Desk) -> None:
    said = desk.ok("install", "--yes")
    assert said.count(": installed in ") == 2 and said.count("  next: start ") == 2 and "ipc install --allow" in said
    assert "  tools: claude -p refuses them" in said
    before = desk.files()
    assert {f"{CLAUDE}/plugin.json", CODEX, ".codex/hooks.json"} < before.keys() and not any(".gemini" in n for n in before)
    said = desk.ok("install")  # nobody need be asked
    assert said.count("is set up already") == 2 and said.endswith("Nothing to do\n") and desk.files() == before
    assert "FAIL" not in desk.ok("install", "--check")
    assert desk.ok("uninstall", "--yes").count("Removed from ") == 2
    assert desk.files() == {} and not (desk.data / "hosts").exists()
    assert "No host has anything of ours" in desk.ok("uninstall")


def test_a_person_is_asked_once_for_all_hosts_and_for_their_tools(desk: Desk) -> None:
    with desk.at_terminal("install") as screen:
        shown = screen.shows("Set up Claude Code and Codex CLI? [Y/n]")
        assert "without asking: ask, " in shown and "share_file" in shown and "--no-allow" in shown
        screen.press("n\n")
        screen.shows("Nothing was changed")
        assert screen.ended() == 1
    assert desk.files() == {}
    with desk.at_terminal("install") as screen:
        screen.shows("Set up Claude Code and Codex CLI? [Y/n]")
        screen.press("\n")
        assert screen.ended() == 0
    assert "approval_mode" in desk.files()[CODEX] and "permissionDecision" in desk.files()[f"{CLAUDE}/hooks/hooks.json"]
    with desk.at_terminal("uninstall") as screen:
        screen.shows("Take it out of Claude Code and Codex CLI? [Y/n]")
        screen.press("\n")
        assert screen.ended() == 0
    assert desk.files() == {}


@pytest.mark.parametrize("command", ["install", "uninstall"])
def test_an_interrupt_at_the_question_changes_nothing(desk: Desk, command: str) -> None:
    if command == "uninstall":
        desk.ok("install", "--yes")
    before = desk.files()
    with desk.at_terminal(command) as screen:
        screen.shows("? [Y/n]")
        wait_for("its reading", lambda: reads(screen.program))
        screen.press("\x03")
        assert screen.ended() == 130
        lines = [line.rstrip() for line in screen.text().splitlines()]
        assert "Nothing was changed" in lines and "Traceback" not in screen.text()
    assert desk.files() == before


def test_what_was_given_is_to_be_given_again_where_nobody_can_be_asked(desk: Desk) -> None:
    said = desk.fails(2, "install", "--claims", "--rewake", "--approvals", "--no-allow", "--scope", "project")
    assert "next: ipc install --yes --claims --approvals --rewake --no-allow --scope project\n" in said


def test_one_host_that_can_not_be_done_does_not_hold_up_the_others(desk: Desk) -> None:
    broken = desk.home / CODEX
    broken.write_text("{broken")
    done = desk.run("install", "--yes")
    assert done.returncode == 1 and "not done: Codex CLI: " in done.stderr and "is not valid TOML" in done.stderr
    assert f"{CLAUDE}/plugin.json" in desk.files() and broken.read_text() == "{broken"
    broken.write_text("")
    (desk.home / ".codex/hooks.json").symlink_to(desk.home / "nowhere/hooks.json")
    (desk.home / "nowhere").write_text("a file where a folder should be")
    done = desk.run("install", "--yes")
    assert done.returncode == 1 and "not done: Codex CLI: " in done.stderr and "Traceback" not in done.stderr
    (desk.home / ".codex/hooks.json").unlink()
    desk.ok("install", "--yes")
    broken.write_text("{broken mcp_servers")
    done = desk.run("uninstall", "--yes")
    assert done.returncode == 1 and "Removed from Claude Code" in done.stdout and "not done: Codex CLI: " in done.stderr
    broken.unlink()
    assert "Removed from Codex CLI" in desk.ok("uninstall", "--yes")


def test_what_a_host_was_set_up_with_stays_and_options_add_to_it(desk: Desk) -> None:
    desk.ok("install", "claude", "--name", "fred", "--approvals")
    desk.ok("install", "codex")
    before = desk.files()
    desk.ok("install")
    assert desk.files() == before
    desk.ok("install", "--yes", "--claims", "--allow", "--rewake")
    hooks = desk.files()[f"{CLAUDE}/hooks/hooks.json"]
    assert all(word in hooks for word in ("--name fred", "AskPermission", "hook claude PreToolUse", "asyncRewake", "allow"))
    assert "approval_mode" in desk.files()[CODEX] and "rewake" not in desk.files()[".codex/hooks.json"]
    (desk.home / CLAUDE / "plugin.json").unlink()
    done = desk.run("install", "--check")
    assert done.returncode == 1 and "next: ipc install claude --name fred --claims --rewake --approvals\n" in done.stdout


def test_check_covers_all_that_are_set_up_and_names_those_that_are_not(desk: Desk) -> None:
    done = desk.run("install", "--check")
    assert done.returncode == 1 and "next: ipc install\n" in done.stderr
    done = desk.run("install", "--check", "--scope", "project")
    assert "not set up. Next: ipc install codex --scope project\n" in done.stdout
    assert "next: ipc install --scope project\n" in done.stderr
    desk.ok("install", "claude")
    said = desk.ok("install", "--check")
    assert f"{desk.home}/{CLAUDE}/plugin.json" in said and "FAIL" not in said
    assert f"Codex CLI ({desk.home}/.codex is there): not set up. Next: ipc install codex\n" in said


def test_uninstalling_all_names_the_projects_that_still_have_ours(desk: Desk) -> None:
    desk.ok("install", "--yes", "--scope", "project")
    assert (desk.home / ".codex/config.toml").exists()  # the home is the project here
    said = desk.ok("uninstall", "--yes")
    both = f"Claude Code and Codex CLI have ours in the project {desk.home} still"
    assert said.endswith(f"{both}. Next: ipc uninstall --scope project, there\n")
    desk.ok("uninstall", "claude", "--scope", "project")
    said = desk.ok("uninstall", "--yes")
    assert said.endswith(
        f"Codex CLI has ours in the project {desk.home} still. Next: ipc uninstall codex --scope project, there\n"
    )
    assert "next: ipc uninstall --yes --scope project" in desk.fails(2, "uninstall", "--scope", "project")
    assert desk.ok("uninstall", "--yes", "--scope", "project").count("Removed from") == 1


def test_a_project_s_next_step_and_who_is_not_allowed_there_are_said(home: Path) -> None:
    desk = Desk(home, ("claude", "gemini", "qwen", "cline"))
    said = desk.ok("install", "--yes", "--scope", "project", "--allow")
    assert "They (but not Gemini CLI) may call the mail tools without asking: " in said
    assert "asking you each time: share_file (left out in Qwen Code)\n" in said
    for host in ("claude", "qwen", "cline"):
        assert f"  next: {about(host).next_project}\n" in said and about(host).next not in said
    assert f"  next: {about('gemini').next}\n" in said


def test_print_shows_all_and_a_name_is_for_one_host(desk: Desk) -> None:
    said = desk.ok("install", "--print")
    assert f"# {desk.home}/{CODEX}\n" in said and f"# {desk.home}/{CLAUDE}/mcp.json\n" in said and desk.files() == {}
    assert "ipc install HOST --name NAME" in desk.fails(2, "install", "--yes", "--name", "fred")


def test_a_machine_without_hosts_is_told_what_to_do(home: Path) -> None:
    said = Desk(home).fails(1, "install", "--yes")
    assert "no agent's host was found" in said and "next: ipc install HOST" in said


def test_a_moved_configuration_shows_its_host(home: Path) -> None:
    desk = Desk(home, folders=("elsewhere", "elsewhere/opencode"))
    done = desk.run("install", CODEX_HOME=str(home / "elsewhere"), XDG_CONFIG_HOME=str(home / "elsewhere"))
    assert done.returncode == 2 and f"makes {home}/elsewhere/config.toml" in done.stdout
    assert f"makes {home}/elsewhere/opencode/plugins/agent-ipc.js" in done.stdout


@pytest.mark.parametrize("host", BY_DOCUMENT)
def test_nothing_is_written_for_a_host_that_our_tests_never_ran(home: Path, host: str) -> None:
    desk = Desk(home, (about(host).program, "claude"))
    for command in ("install", "uninstall"):
        said = desk.fails(2, command, host)
        assert "was never run by our tests" in said and f"ipc install {host} --print" in said
    assert desk.files() == {}
    printed = desk.ok("install", host, "--print")
    assert printed.startswith(f"# {about(host).title}, by its documentation: {about(host).source}") and '"mcp"' in printed
    assert printed.endswith(f"# next: {about(host).next}\n")
    assert desk.files() == {}
    said = desk.ok("install", "--yes")
    assert f"By hand: ipc install {host} --print" in said and all(name.startswith(CLAUDE) for name in desk.files())
