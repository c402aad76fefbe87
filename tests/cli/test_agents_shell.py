"""The shell of an agent is the agent: it needs no name of its own, and takes none away."""

from bridges import host_sessions, saved_sessions
from bridges.host_sessions import Binding
from tests.cli.test_ipc import Shell, shell

__all__ = ["shell"]


def session_of(shell: Shell, name: str) -> str:
    """A session as a host's hooks or the MCP door make one."""
    shell.ok("register", name)
    path = shell.home / "ipc" / "sessions" / f"cli-{name}.json"
    token = str(saved_sessions.read_json(str(path))["token"])
    path.unlink()
    (path.parent / "cli-current").unlink()
    return token


def test_a_tool_of_claude_code_acts_as_its_session(shell: Shell) -> None:
    token = session_of(shell, "claude")
    bound = Binding(host="claude", session="s1", name="claude", token=token, project=str(shell.home))
    host_sessions.save(str(shell.home / "ipc"), bound)
    assert shell.ok("whoami", CLAUDE_CODE_SESSION_ID="s1") == "claude, 0 unread\n"
    assert "Not registered" in shell.fails(4, "whoami", CLAUDE_CODE_SESSION_ID="other")


def test_a_shell_in_an_agents_folder_acts_as_the_agent(shell: Shell) -> None:
    saved_sessions.store(str(shell.home / "ipc"), str(shell.home), "claude", session_of(shell, "claude"))
    assert shell.ok("whoami") == "claude, 0 unread\n"
    assert shell.ok("whoami", "--as", "claude") == "claude, 0 unread\n"
    assert "bob is not registered" in shell.fails(4, "whoami", "--as", "bob")


def test_a_shell_that_has_registered_itself_stays_who_it_is(shell: Shell) -> None:
    saved_sessions.store(str(shell.home / "ipc"), str(shell.home), "claude", session_of(shell, "claude"))
    shell.ok("register", "fred")
    assert shell.ok("whoami") == "fred, 0 unread\n"
