"""The shell of an agent is the agent: it needs no name of its own, and takes none away."""

from bridges import host_sessions, saved_sessions
from bridges.host_sessions import Binding
from tests.shell import Shell


def session_of(shell: Shell, name: str) -> str:
    """A session as a host's hooks or the MCP door make one."""
    shell.ok("register", name)
    path = shell.data / "sessions" / f"cli-{name}.json"
    token = str(saved_sessions.read_json(str(path))["token"])
    path.unlink()
    (path.parent / "cli-current").unlink()
    return token


def test_a_tool_of_claude_code_acts_as_its_session(shared_shell: Shell, tag: str) -> None:
    token = session_of(shared_shell, f"claude{tag}")
    bound = Binding(host=f"claude{tag}", session=f"s1{tag}", name=f"claude{tag}", token=token, project=str(shared_shell.home))
    host_sessions.save(str(shared_shell.data), bound)
    assert shared_shell.ok("whoami", CLAUDE_CODE_SESSION_ID=f"s1{tag}") == f"claude{tag}, 0 unread\n"
    assert "Not registered" in shared_shell.fails(4, "whoami", CLAUDE_CODE_SESSION_ID="other")


def test_a_shell_in_an_agents_folder_acts_as_the_agent(shared_shell: Shell, tag: str) -> None:
    token = session_of(shared_shell, f"claude{tag}")
    saved_sessions.store(str(shared_shell.data), str(shared_shell.home), f"claude{tag}", token)
    assert shared_shell.ok("whoami") == f"claude{tag}, 0 unread\n"
    assert shared_shell.ok("whoami", "--as", f"claude{tag}") == f"claude{tag}, 0 unread\n"
    assert f"--as asks for bob{tag}, which no shell has registered" in shared_shell.fails(4, "whoami", "--as", f"bob{tag}")


def test_a_shell_that_has_registered_itself_stays_who_it_is(shared_shell: Shell, tag: str) -> None:
    token = session_of(shared_shell, f"claude{tag}")
    saved_sessions.store(str(shared_shell.data), str(shared_shell.home), f"claude{tag}", token)
    shared_shell.ok("register", f"fred{tag}")
    assert shared_shell.ok("whoami") == f"fred{tag}, 0 unread\n"
