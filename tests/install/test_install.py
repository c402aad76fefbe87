"""What ``ipc install`` puts into a host, checks, and takes out again, in temporary homes."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from bridges.known_hosts.allowed_tools import ALLOWED, ASKED
from tests.install.user import User, user
from tests.shell import IPC

__all__ = ["user"]

JSON = '{"theme": "dark", "mcpServers": {"other": {"command": "x"}}}'
HOOKS = '{\n    "hooks": {\n        "Stop": [{"hooks": [{"type": "command", "command": "mine"}]}]\n    }\n}'
TOML = '# mine\ntheme = "dark" # keep\n\n[mcp_servers.other]\ncommand = "x"'
AT_ONCE = (("claude", "user"), ("gemini", "project"), ("codex", "user"), ("qwen", "user"))
EVERY = [
    pytest.param(host, scope, marks=() if (host, scope) in AT_ONCE else pytest.mark.deep)
    for host in ("claude", "gemini", "codex", "copilot", "qwen")
    for scope in ("user", "project")
]
ONE = ["claude", *(pytest.param(host, marks=pytest.mark.deep) for host in ("gemini", "codex", "qwen"))]


def fill(user: User) -> None:
    """A person who has used all hosts before."""
    for name, text in (
        (".claude.json", JSON),
        (".claude/settings.json", HOOKS),
        (".claude/skills/mine/SKILL.md", "mine"),
        (".gemini/settings.json", JSON),
        (".codex/config.toml", TOML),
        (".codex/hooks.json", HOOKS),
        (".copilot/mcp-config.json", JSON),
        ("project/.gemini/settings.json", JSON),
        ("project/.codex/config.toml", TOML),
    ):
        user.write(name, text)


@pytest.mark.deep
@pytest.mark.parametrize("used", [False, True], ids=["new", "used"])
@pytest.mark.parametrize(("host", "scope"), EVERY)
def test_uninstalling_leaves_no_trace(user: User, host: str, scope: str, used: bool) -> None:
    if used:
        fill(user)
    before = user.files()
    assert "Installed in" in user.ok("install", host, "--scope", scope)
    after = user.files()
    assert after != before and "Already installed" in user.ok("install", host, "--scope", scope)
    assert user.files() == after
    assert "Removed from" in user.ok("uninstall", host, "--scope", scope)
    assert user.files() == before
    assert not (user.home / "ipc" / "hosts").exists()
    assert "Not installed" in user.ok("uninstall", host, "--scope", scope)


@pytest.mark.deep
@pytest.mark.parametrize(("host", "scope"), EVERY)
def test_check_finds_every_piece_and_what_is_wrong_with_it(user: User, host: str, scope: str) -> None:
    assert user.run("install", host, "--scope", scope, "--check").returncode == 1
    user.ok("install", host, "--scope", scope, "--name", "fred")
    good = user.ok("install", host, "--scope", scope, "--check")
    assert "FAIL" not in good and "MCP server" in good and f"hook {host} Check" in good
    paths = [user.home / name for name, text in user.files().items() if text]
    for path in paths:
        path.write_text(path.read_text().replace("ipc", "ipcx"))
    done = user.run("install", host, "--scope", scope, "--check")
    assert done.returncode == 1 and f"next: ipc install {host}" in done.stdout
    assert all(f"FAIL  {path}" in done.stdout for path in paths)


@pytest.mark.parametrize(("host", "scope"), EVERY)
def test_print_shows_what_would_be_written_and_writes_nothing(user: User, host: str, scope: str) -> None:
    fill(user)
    before = user.files()
    text = user.ok("install", host, "--scope", scope, "--print", "--name", "fred")
    assert user.files() == before and "hook" in text and '"mcp"' in text and "fred" in text


@pytest.mark.parametrize("host", ["gemini", "codex"])
def test_what_is_in_a_shared_file_stays_is_backed_up_and_keeps_its_mode(user: User, host: str) -> None:
    fill(user)
    path = user.project / (".gemini/settings.json" if host == "gemini" else ".codex/config.toml")
    text = path.read_text()
    user.ok("install", host, "--scope", "project", "--name", "fred")
    after = path.read_text()
    assert path.stat().st_mode & 0o777 == 0o640
    assert [p.read_text() for p in path.parent.glob(f"{path.name}.bak-*")] == [text]
    config = tomllib.loads(after) if host == "codex" else json.loads(after)
    servers = config["mcp_servers" if host == "codex" else "mcpServers"]
    assert (config["theme"], servers["other"]) == ("dark", {"command": "x"})
    assert servers["ipc"]["args"][-3:] == ["mcp", "--name", "fred"]
    assert host != "codex" or after.startswith(TOML)


def test_what_was_changed_after_installing_is_kept_by_uninstalling(user: User) -> None:
    fill(user)
    user.ok("install", "codex")
    config, hooks = user.home / ".codex/config.toml", user.home / ".codex/hooks.json"
    config.write_text(config.read_text() + '[projects."/x"]\ntrust_level = "trusted"\n')
    found = json.loads(hooks.read_text())
    found["hooks"]["Stop"].append({"hooks": [{"type": "command", "command": "later"}]})
    hooks.write_text(json.dumps(found))
    user.ok("uninstall", "codex")
    assert config.read_text() == TOML + '[projects."/x"]\ntrust_level = "trusted"\n' or tomllib.loads(config.read_text()) == {
        "theme": "dark",
        "mcp_servers": {"other": {"command": "x"}},
        "projects": {"/x": {"trust_level": "trusted"}},
    }
    kept = [h["command"] for group in json.loads(hooks.read_text())["hooks"]["Stop"] for h in group["hooks"]]
    assert kept == ["mine", "later"] and list(json.loads(hooks.read_text())["hooks"]) == ["Stop"]


@pytest.mark.parametrize("host", ["claude", "codex"])
def test_prompts_are_asked_for_with_approvals_alone(user: User, host: str) -> None:
    file = user.home / {"claude": ".claude/skills/agent-ipc/hooks/hooks.json", "codex": ".codex/hooks.json"}[host]

    def hooks() -> list[dict[str, Any]]:
        groups = json.loads(file.read_text())["hooks"]["PermissionRequest"]
        return [hook for group in groups for hook in group["hooks"]]

    user.ok("install", host)
    (hook,) = hooks()
    assert hook["command"].endswith(f"hook {host} PermissionRequest") and hook["async"]
    shown = user.ok("install", host, "--approvals", "--print")
    assert f"hook {host} AskPermission" in shown and "AskPermission" not in file.read_text()
    assert "prompts  wait for ipc permit" in user.ok("install", host, "--approvals")
    (hook,) = hooks()
    assert hook["command"].endswith(f"hook {host} AskPermission") and "async" not in hook
    assert "prompts wait for ipc permit" in user.ok("install", host, "--check")
    user.ok("install", host)
    assert "AskPermission" not in file.read_text()
    user.ok("install", host, "--approvals")
    user.ok("uninstall", host)
    assert not file.exists()


@pytest.mark.parametrize(
    ("host", "option", "told"),
    [
        ("gemini", "--approvals", "no hook that can answer"),
        ("gemini", "--claims", "no hook that can warn before edits"),
        ("gemini", "--rewake", "no background hook"),
        ("codex", "--rewake", "no background hook"),
    ],
)
def test_a_host_refuses_what_it_lacks(user: User, host: str, option: str, told: str) -> None:
    before = user.files()
    done = user.run("install", host, option)
    assert (done.returncode, f"{host} has {told}" in done.stderr) == (2, True), done.stderr
    assert user.files() == before


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("clade", "no host is called clade; did you mean claude? There are: amp, "),
        ("xyzzy", "no host is called xyzzy. There are: amp, "),
        ("claude gemini", "gemini is one too many: one host, or none for all"),
    ],
)
@pytest.mark.parametrize("command", ["install", "uninstall"])
def test_a_wrong_host_is_told_which_there_are(user: User, command: str, words: str, told: str) -> None:
    done = user.run(command, *words.split())
    assert done.returncode == 2 and told in done.stderr and f"next: ipc {command} --help" in done.stderr
    assert "invalid choice" not in done.stderr


@pytest.mark.parametrize("name", ["Claude", "claude-code", "Claude Code", "CLAUDE"])
def test_a_host_is_known_by_its_other_names(user: User, name: str) -> None:
    assert "Not installed in" in user.ok("uninstall", name) and ".claude/skills" in user.ok("install", name, "--print")


def test_what_a_later_command_leaves_out_is_said(user: User) -> None:
    user.ok("install", "claude", "--name", "fred", "--claims")
    assert "no longer: --name fred, --claims (ipc install claude goes by" in user.ok("install", "claude", "--allow")
    assert "no longer" not in user.ok("install", "claude", "--name", "fred")


@pytest.mark.parametrize("scope", ["user", "project"])
def test_a_broken_file_is_to_be_corrected_and_the_same_command_given_again(user: User, scope: str) -> None:
    user.write("project/.github/mcp.json" if scope == "project" else ".copilot/mcp-config.json", "{broken")
    project = " --scope project" if scope == "project" else ""
    for command in ("install", "uninstall"):
        done = user.run(command, "copilot", "--scope", scope)
        assert done.returncode == 2 and f"then: ipc {command} copilot{project}\n" in done.stderr, done.stderr


@pytest.mark.deep
def test_other_options_replace_what_was_installed_and_uninstalling_gives_back_the_first(user: User) -> None:
    fill(user)
    before = user.files()
    for options in ([], ["--name", "fred"], ["--claims"], []):
        user.ok("install", "codex", *options)
        user.ok("install", "claude", *options)
        hooks = json.loads((user.home / ".codex/hooks.json").read_text())["hooks"]
        assert len(hooks["PreToolUse"]) == 1 + ("--claims" in options)
        assert len(hooks["Stop"]) == 2
    user.ok("uninstall", "codex")
    user.ok("uninstall", "claude")
    assert user.files() == before


def test_the_server_that_an_earlier_version_wrote_is_taken_out(user: User) -> None:
    entry = {"command": str(Path(sys.executable).with_name("ipc")), "args": ["mcp"], "env": {}}
    config = user.write(".claude.json", json.dumps({"theme": "dark", "mcpServers": {"ipc": entry}}, indent=2) + "\n")
    user.ok("install", "claude")
    assert json.loads(config.read_text()) == {"theme": "dark"}
    mine = user.write(".claude.json", '{"mcpServers": {"ipc": {"command": "/other/server", "args": []}}}')
    user.ok("install", "claude", "--name", "fred")
    assert "/other/server" in mine.read_text()


def test_a_table_of_an_earlier_version_in_codex_s_configuration_is_replaced(user: User) -> None:
    old = '[mcp_servers.ipc]\ncommand = "/old/ipc"\nargs = ["mcp"]\n\n[mcp_servers.ipc.env]\nA = "b"\n\n[other]\nx = 1\n'
    config = user.write(".codex/config.toml", old)
    user.ok("install", "codex")
    found = tomllib.loads(config.read_text())
    assert found["other"] == {"x": 1} and "A" not in found["mcp_servers"]["ipc"].get("env", {})
    assert found["mcp_servers"]["ipc"]["command"] != "/old/ipc"


@pytest.mark.parametrize(
    ("host", "file", "text"),
    [
        ("gemini", ".gemini/settings.json", "{broken"),
        ("gemini", ".gemini/settings.json", '{"hooks": []}'),
        ("codex", ".codex/config.toml", "{broken"),
        ("codex", ".codex/hooks.json", "[]"),
        ("codex", ".codex/config.toml", 'mcp_servers = { ipc = { command = "ipc", args = ["mcp"] } }\n'),
    ],
)
def test_a_broken_configuration_is_left_as_it_is(user: User, host: str, file: str, text: str) -> None:
    path = user.write(f"project/{file}", text)
    before = user.files()
    done = user.run("install", host, "--scope", "project")
    assert done.returncode == 2 and ("it was left as it is" in done.stderr or "edit it by hand" in done.stderr)
    assert path.read_text() == text and user.files() == before


def test_settings_that_the_host_writes_anew_with_a_key_of_its_own_still_have_our_entries(user: User) -> None:
    user.ok("install", "qwen", "--scope", "project")
    path = user.project / ".qwen/settings.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "$version": 4}))
    assert "Already installed" in user.ok("install", "qwen", "--scope", "project")


def test_a_linked_configuration_is_changed_where_it_is(user: User) -> None:
    real = user.write("dotfiles/config.toml", TOML)
    (user.home / ".codex").mkdir()
    (user.home / ".codex" / "config.toml").symlink_to(real)
    user.ok("install", "codex")
    assert (user.home / ".codex" / "config.toml").is_symlink() and "mcp_servers.ipc" in real.read_text()


@pytest.mark.deep
@pytest.mark.parametrize("host", ONE)
def test_the_installed_commands_run_from_anywhere(user: User, host: str) -> None:
    user.ok("install", host)
    entry = _server(user, host)
    client = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
    request = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": client}) + "\n"
    env = {"HOME": str(user.home), "IPC_PORT": "0", "PATH": "/usr/bin:/bin", **entry.get("env", {})}
    pipe = subprocess.PIPE
    with subprocess.Popen([entry["command"], *entry["args"]], cwd="/", env=env, stdin=pipe, stdout=pipe) as server:
        assert server.stdin is not None and server.stdout is not None
        server.stdin.write(request.encode())
        server.stdin.flush()
        assert json.loads(server.stdout.readline())["result"]["serverInfo"]["name"] == "ipc"
        server.kill()
    hooks = json.loads(next(t for n, t in user.files().items() if n.endswith("hooks.json")))["hooks"]
    event = json.dumps({"session_id": "s1", "cwd": str(user.project)}).encode()
    start = hooks["SessionStart"][0]["hooks"][0]["command"]
    env = {"HOME": str(user.home), "IPC_PORT": "0", "PATH": "/usr/bin:/bin"}
    done = subprocess.run(["/bin/sh", "-c", start], cwd="/", env=env, input=event, capture_output=True, timeout=40)
    assert b"under the name project." in done.stdout


def _server(user: User, host: str) -> dict[str, Any]:
    files = user.files()
    if host == "codex":
        entry: dict[str, Any] = tomllib.loads(files[".codex/config.toml"])["mcp_servers"]["ipc"]
        return entry
    names = {
        "claude": ".claude/skills/agent-ipc/.mcp.json",
        "gemini": ".gemini/extensions/agent-ipc/gemini-extension.json",
        "qwen": ".qwen/extensions/agent-ipc/qwen-extension.json",
    }
    found: dict[str, Any] = json.loads(files[names[host]])["mcpServers"]["ipc"]
    return found


def test_a_path_with_blanks_and_quotes_is_quoted(user: User) -> None:
    odd = user.home / 'it\'s a "home"'
    user.ok("install", "claude", IPC_HOME=str(odd))
    hooks = json.loads((user.home / ".claude/skills/agent-ipc/hooks/hooks.json").read_text())["hooks"]
    command = hooks["Stop"][0]["hooks"][0]["command"]
    done = subprocess.run(["/bin/sh", "-c", command], input=b"{}", capture_output=True, timeout=30)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


@pytest.mark.deep
def test_the_background_hook_is_there_only_when_asked_for(user: User) -> None:
    path = user.home / ".claude/skills/agent-ipc/hooks/hooks.json"
    user.ok("install", "claude")
    assert "asyncRewake" not in path.read_text()
    user.ok("install", "claude", "--rewake")
    hooks = json.loads(path.read_text())["hooks"]
    assert [h["hooks"][0].get("asyncRewake", False) for h in hooks["Stop"]] == [False, True]
    assert "FAIL" not in user.ok("install", "claude", "--check")


ALLOWED_FILES = {
    "claude": ".claude/skills/agent-ipc/hooks/hooks.json",
    "gemini": ".gemini/policies/agent-ipc.toml",
    "codex": ".codex/config.toml",
    "qwen": ".qwen/extensions/agent-ipc/qwen-extension.json",
}


def allowed_in(user: User, host: str) -> dict[str, str]:
    """What each tool is in the host's file: allow, or how it is asked for."""
    path = user.home / ALLOWED_FILES[host]
    if host == "claude":
        found: dict[str, str] = {}
        for group in json.loads(path.read_text())["hooks"]["PreToolUse"]:
            if "matcher" not in group:  # it reports each call
                continue
            done = subprocess.run(["/bin/sh", "-c", group["hooks"][0]["command"]], capture_output=True, check=True)
            verdict = json.loads(done.stdout)["hookSpecificOutput"]["permissionDecision"]
            names = [f"mcp__plugin_agent-ipc_ipc__{tool}" for tool in (*ALLOWED, *ASKED)]
            found |= {n.rpartition("__")[2]: verdict for n in names if re.search(group["matcher"], n)}
        return found
    if host == "qwen":  # it trusts all tools of a server that it is offered
        server = json.loads(path.read_text())["mcpServers"]["ipc"]
        return dict.fromkeys({*ALLOWED, *ASKED} - {*server["excludeTools"]}, "allow") if server.get("trust") else {}
    if not path.exists():
        return {}
    table = tomllib.loads(path.read_text())
    if host == "gemini":
        return {rule["toolName"].removeprefix("mcp_ipc_"): rule["decision"] for rule in table["rule"]}
    return {tool: row["approval_mode"] for tool, row in table["mcp_servers"]["ipc"].get("tools", {}).items()}


@pytest.mark.deep
@pytest.mark.parametrize("host", ONE)
def test_the_mail_tools_are_allowed_where_the_user_says_so_and_share_file_never(user: User, host: str) -> None:
    before = user.files()
    assert "without asking" not in user.ok("install", host)
    assert allowed_in(user, host) == {}
    said = user.ok("install", host, "--allow")
    share = "left out" if host == "qwen" else "asking you each time"
    assert f"without asking: {', '.join(ALLOWED)}; {share}: share_file" in said
    word = {"codex": "approve"}.get(host, "allow")
    prompts = {"share_file": "prompt"} if host == "codex" else {}
    assert allowed_in(user, host) == dict.fromkeys(ALLOWED, word) | prompts
    assert "Already installed" in user.ok("install", host)  # what was chosen stays
    assert "without asking" in user.ok("install", host, "--check")
    user.ok("install", host, "--no-allow")
    assert allowed_in(user, host) == {}
    assert "without asking" not in user.ok("install", host, "--check")
    user.ok("install", host, "--allow")
    user.ok("uninstall", host)
    assert user.files() == before


def test_the_user_is_asked_at_a_terminal_and_yes_is_the_default(user: User) -> None:
    leader, follower = os.openpty()
    command = [*IPC, "install", "claude"]
    with subprocess.Popen(command, cwd=user.project, env=user.env, stdin=follower, stdout=subprocess.PIPE) as install:
        os.write(leader, b"\n")
        said, _ = install.communicate(timeout=50)
    os.close(leader), os.close(follower)
    assert b"Allow that? [Y/n]" in said and set(allowed_in(user, "claude")) == set(ALLOWED)


def test_a_project_s_gemini_has_no_such_rules_and_a_policy_of_others_stays(user: User) -> None:
    done = user.run("install", "gemini", "--scope", "project", "--allow")
    assert done.returncode == 2 and "for the user only" in done.stderr
    mine = user.write(".gemini/policies/agent-ipc.toml", "# mine\n")
    assert "is not ours" in user.run("install", "gemini", "--allow").stderr
    assert mine.read_text() == "# mine\n"


def test_every_tool_of_the_server_is_either_allowed_or_asked_for() -> None:

    from bridges.mcp.tools import TOOLS

    assert sorted(TOOLS) == sorted((*ALLOWED, *ASKED))
