"""``ipc install`` meets files that no program of ours wrote: each is refused in words, or left as it was."""

import json

import pytest

from tests.install.user import User, user

__all__ = ["user"]

ODD = {
    "half a character": '{"a": "\\ud800"}',
    "too deep": "[" * 100_000,
    "no number": '{"a": 1e999}',
    "a key twice": '{"a": {"b": 1, "b": 2}}',
    "a server of others": '{"mcpServers": {"ipc": {"command": "/other/server", "args": []}}}',
}


@pytest.mark.parametrize("text", ODD.values(), ids=ODD.keys())
def test_an_odd_file_is_left_as_it_is_and_holds_up_no_other_host(user: User, text: str) -> None:
    odd = user.write(".copilot/mcp-config.json", text)
    (user.home / ".qwen").mkdir()
    done = user.run("install", "--yes")
    assert done.returncode == 1 and "it was left as it is" in done.stderr and "Traceback" not in done.stderr
    assert odd.read_text() == text and (user.home / ".qwen/extensions/agent-ipc").exists()


@pytest.mark.parametrize(
    "note",
    [
        {"qwen": []},
        {"qwen": {"options": 3}},
        {"qwen": {"edits": {"x": 1}}},
        {"qwen": {"options": {"claims": True, "unknown": 1}, "folders": []}},
    ],
)
def test_an_odd_note_of_an_installation_is_no_hindrance(user: User, note: dict[str, object]) -> None:
    user.write("ipc/hosts/installed.json", json.dumps(note), mode=0o600)
    user.home.joinpath("ipc").chmod(0o700)
    (user.home / ".qwen").mkdir()
    assert "Qwen Code: installed in" in user.ok("install", "--yes")
    assert "Removed from Qwen Code" in user.ok("uninstall", "--yes")


def test_a_hook_of_the_user_whose_program_ends_like_ours_stays(user: User) -> None:
    theirs = ["/opt/acme/sysv-ipc wait --all", "sysv-ipc wait", "/opt/ipc wait --all", "ipc hook up now please"]
    hooks = {"Stop": [{"hooks": [{"type": "command", "command": command}]} for command in theirs]}
    path = user.write(".codex/hooks.json", json.dumps({"hooks": hooks}))
    user.ok("install", "codex")
    path.write_text(path.read_text() + "\n")  # so that uninstalling takes ours out, and does not give back the backup
    user.ok("uninstall", "codex")
    assert json.loads(path.read_text()) == {"hooks": hooks}


def test_a_server_of_others_in_codex_s_configuration_stays(user: User) -> None:
    text = '[mcp_servers.ipc]\ncommand = "/other/server"\n'
    path = user.write(".codex/config.toml", text)
    done = user.run("install", "codex")
    assert done.returncode == 2 and "not ours" in done.stderr and "another name" in done.stderr and path.read_text() == text


@pytest.mark.parametrize("name", ["a b", "x; touch y", "$(id)", ""])
def test_what_can_be_no_name_is_refused(user: User, name: str) -> None:
    done = user.run("install", "claude", "--name", name)
    assert done.returncode == 2 and "can be no name" in done.stderr and not (user.home / ".claude").exists()


def test_a_path_that_holds_our_marks_is_written_as_it_is(user: User) -> None:
    odd = str(user.home / "@HOST@ @NAME@ @RUN@")
    user.ok("install", "claude", "--name", "fred", IPC_HOME=odd)
    for name in (".mcp.json", "hooks/hooks.json"):
        assert odd in (user.home / ".claude/skills/agent-ipc" / name).read_text()


@pytest.mark.parametrize(("text", "mode"), [('{"a": 1}', 0o444), ("", 0o640)], ids=["read-only", "empty"])
def test_a_read_only_or_empty_file_is_given_back(user: User, text: str, mode: int) -> None:
    path = user.write(".codex/hooks.json", text, mode=mode)
    user.ok("install", "codex")
    user.ok("uninstall", "codex")
    assert path.read_text() == text and path.stat().st_mode & 0o777 == mode
    assert [one.name for one in path.parent.iterdir()] == ["hooks.json"]
