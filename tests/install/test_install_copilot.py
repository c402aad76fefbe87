"""What ``ipc install copilot`` puts into the files of Copilot CLI, whose forms are its own."""

import json
import re
import subprocess

from bridges.known_hosts.allowed_tools import ALLOWED, ASKED
from tests.install.user import User, user

__all__ = ["user"]


def test_the_host_gets_a_server_hooks_and_an_extension_where_it_looks_for_them(user: User) -> None:
    user.write("moved/mcp-config.json", '{"theme": "dark", "mcpServers": {"other": {"command": "x"}}}')
    user.ok("install", "copilot", "--allow", "--claims", "--approvals", COPILOT_HOME=str(user.home / "moved"))
    files = user.files()
    servers = json.loads(files["moved/mcp-config.json"])
    assert servers.keys() == {"theme", "mcpServers"} and servers["mcpServers"]["other"] == {"command": "x"}
    assert (servers["mcpServers"]["ipc"]["type"], servers["mcpServers"]["ipc"]["tools"]) == ("local", ["*"])
    hooks = json.loads(files["moved/hooks/agent-ipc.json"])
    assert hooks["version"] == 1
    reports, claims, allows = hooks["hooks"]["preToolUse"]
    assert "matcher" not in reports and re.fullmatch(claims["matcher"], "apply_patch")
    broken = user.write("broken", "#!/nowhere\n", mode=0o700)  # such as a venv without its interpreter: it would deny each call
    for one in (reports, claims):
        command = re.sub(r"[^ ]*(?:/ipc|/python3\S* -m bridges\.cli)(?= hook| \|\|)", str(broken), one["bash"])
        assert subprocess.run(["/bin/sh", "-c", command], capture_output=True).returncode == 0 and str(broken) in command
    matched = [tool for tool in (*ALLOWED, *ASKED) if re.fullmatch(allows["matcher"], f"ipc-{tool}")]
    assert matched == list(ALLOWED)
    said = subprocess.run(["/bin/sh", "-c", allows["bash"]], capture_output=True, check=True).stdout
    assert json.loads(said) == {"permissionDecision": "allow"}
    extension = files["moved/extensions/agent-ipc/extension.mjs"]
    assert "const APPROVALS = true;" in extension
    run = json.loads(re.findall(r"^const RUN = (.*);$", extension, re.MULTILINE)[0])
    command = ["/bin/sh", "-c", f'{run} "$@"', "ipc", "hook", "copilot", "Check"]
    done = subprocess.run(command, cwd="/", input=b"{}", capture_output=True, timeout=30)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_a_file_of_hooks_that_is_not_ours_stays(user: User) -> None:
    mine = user.write(".copilot/hooks/agent-ipc.json", '{"version": 1, "hooks": {}}')
    done = user.run("install", "copilot")
    assert done.returncode == 2 and "is not ours" in done.stderr
    assert mine.read_text() == '{"version": 1, "hooks": {}}' and not (user.home / ".copilot/extensions").exists()
