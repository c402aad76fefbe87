"""Run inside namespaces of its own: starts a systemd for one user, and does with ``ipc service`` what a person does.

Prints one JSON object of what was found. The first argument is a folder for everything.
"""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.conftest import wait_for
from tests.processes import alive
from tests.shell import Shell

SYSTEMD = "/usr/lib/systemd/systemd"


def main(folder: Path) -> dict[str, Any]:
    runtime = Path("/run/user") / str(os.getuid())
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/run"], check=True)
    Path("/run/systemd/system").mkdir(parents=True)
    runtime.mkdir(mode=0o700, parents=True)
    (folder / "home").mkdir()
    shell = Shell(folder / "home")
    shell.data.mkdir(mode=0o700)
    (shell.data / "config.toml").write_text("port = 0\n")
    (shell.data / "config.toml").chmod(0o600)
    del shell.env["IPC_PORT"]
    shell.env["XDG_RUNTIME_DIR"] = str(runtime)
    manager = subprocess.Popen([SYSTEMD, "--user"], env={**shell.env}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for("systemd", lambda: systemctl(shell, "is-system-running").strip() in ("running", "degraded"))
    try:
        return as_a_person(shell)
    finally:
        systemctl(shell, "stop", "agent-ipc.service")
        manager.kill()
        manager.wait()


def systemctl(shell: Shell, *words: str) -> str:
    done = subprocess.run(["systemctl", "--user", *words], env=shell.env, capture_output=True, text=True, check=False)
    return done.stdout


def as_a_person(shell: Shell) -> dict[str, Any]:
    found: dict[str, Any] = {"before": shell.run("service").stdout}
    shell.ok("register", "fred")  # an agent has started the service
    found["install"] = shell.ok("service", "install")
    unit = shell.home / ".config" / "systemd" / "user" / "agent-ipc.service"
    found["status"] = status(shell)
    shell.ok("send", "fred", "kept")
    first = main_pid(shell)
    os.kill(first, signal.SIGKILL)
    shell.ok("whoami")  # starts one beside before systemd does
    wait_for("systemd to start it again", lambda: main_pid(shell) not in (0, first) and status(shell)["runs"])
    found["mail"] = [m["content"] for m in json.loads(shell.ok("check", "--json"))]
    found["mcp"] = (shell.data / "run" / "mcp.sock").is_socket()
    second = main_pid(shell)
    found["again"] = (shell.ok("service", "install"), main_pid(shell) == second)
    unit.write_text(unit.read_text() + "# of an earlier version\n")
    found["stale"] = shell.run("doctor").stdout
    found["healed"] = shell.run("up").stderr
    found["doctor"] = shell.run("doctor").stdout
    shell.ok("down")
    wait_for("the end", lambda: not alive(second))
    found["down"] = (shell.run("service").returncode, systemctl(shell, "is-active", "agent-ipc.service").strip())
    shell.ok("register", "fred")
    found["beside"] = (shell.run("service").returncode, shell.run("service").stdout)
    shell.ok("service", "install")
    found["back"] = status(shell)["runs"]
    third = main_pid(shell)
    found["remove"] = shell.ok("service", "remove")
    found["left"] = [str(p.relative_to(shell.home)) for p in (shell.home / ".config").rglob("*")]
    found["ended"] = not alive(third)
    found["name"] = shell.ok("whoami").strip()  # the next command starts it as ever
    shell.ok("down")
    return found


def status(shell: Shell) -> dict[str, Any]:
    row: dict[str, Any] = json.loads(shell.run("service", "--json").stdout)
    return row


def main_pid(shell: Shell) -> int:
    return int(systemctl(shell, "show", "--property=MainPID", "--value", "agent-ipc.service").strip() or 0)


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]))))
