"""One turn of each host without a terminal, and its session in one that mail wakes."""

from collections.abc import Callable
from dataclasses import dataclass

from bench.hosts import cline, copilot, opencode, qwen
from bench.hosts.cline import Cline
from bench.hosts.copilot import Copilot
from bench.hosts.machine import CLAUDE_TOOLS, Machine
from bench.hosts.model_dialects import Order
from bench.hosts.opencode import Opencode
from bench.hosts.qwen import Qwen
from bench.hosts.recording_model import RecordingModel
from bench.hosts.terminals import Claude, Codex, Terminal


@dataclass(frozen=True)
class Turn:
    """How a host runs one turn without a terminal, and how it is started in one so that mail wakes it."""

    title: str
    command: tuple[str, ...]
    env: Callable[[Machine, str], dict[str, str]]
    shell: Order
    check: str
    session: Callable[[Machine, RecordingModel], Terminal] | None = None


def _command(name: str, field: str = "command") -> Order:
    return name, {field: "echo hello"}


_YOLO = "--dangerously-bypass-approvals-and-sandbox"
_CODEX = ("exec", "--dangerously-bypass-hook-trust", "--skip-git-repo-check", _YOLO)
TURNS = {
    "claude": Turn(
        "Claude Code",
        ("claude", "--allowedTools", "Bash", f"{CLAUDE_TOOLS}check", "-p"),
        lambda machine, url: machine.claude_env(url),
        ("Bash", {"command": "echo hello", "description": "says hello"}),
        f"{CLAUDE_TOOLS}check",
        Claude,
    ),
    "codex": Turn(
        "Codex CLI",
        ("codex", *_CODEX),
        lambda machine, url: machine.codex_env(url),
        _command("exec_command", "cmd"),
        "mcp__ipc__check",
        lambda machine, model: Codex(machine, model, _YOLO),
    ),
    "gemini": Turn(
        "Gemini CLI",
        ("gemini", "-m", "gemini-2.5-flash", "--approval-mode", "yolo", "-p"),
        lambda machine, url: machine.gemini_env(url),
        _command("run_shell_command"),
        "mcp_ipc_check",
    ),
    "qwen": Turn(
        "Qwen Code",
        ("qwen", "--approval-mode", "yolo", "-p"),
        qwen.env,
        ("run_shell_command", {"command": "echo hello", "description": "says hello", "is_background": False}),
        "mcp__ipc__check",
        Qwen,
    ),
    "opencode": Turn(
        "opencode",
        ("opencode", "run"),
        opencode.env,
        ("bash", {"command": "echo hello", "description": "says hello"}),
        "ipc_check",
        Opencode,
    ),
    "copilot": Turn(
        "Copilot CLI",
        ("copilot", "--allow-all-tools", "-p"),
        copilot.env,
        ("bash", {"command": "echo hello", "description": "says hello", "mode": "sync"}),
        "ipc-check",
        lambda machine, model: Copilot(machine, model, "--experimental"),
    ),
    "cline": Turn("Cline CLI", ("cline",), cline.env, ("run_commands", {"commands": ["echo hello"]}), "ipc__check", Cline),
}
