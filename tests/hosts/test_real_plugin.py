"""The plugin folder in the real programs that take one: their validators, their installers, and a turn that calls our tool.

``pytest -m host`` runs these tests; none of these programs was set up by ``ipc install HOST``.
"""

from pathlib import Path

import pytest

from bench.hosts import cline
from bench.hosts.machine import BIN, Machine
from bench.hosts.model_dialects import Order
from bench.hosts.recording_model import RecordingModel, Request
from bridges import saved_sessions
from tests.hosts.real import machine, needs
from tests.install.agent_plugins import breaches

pytestmark = [pytest.mark.host, pytest.mark.timeout(180)]
__all__ = ["machine"]
LISTED = "agent-ipc@agent-ipc"
COPILOT = {
    "COPILOT_OFFLINE": "true",
    "COPILOT_AUTO_UPDATE": "false",
    "COPILOT_PROVIDER_API_KEY": "x",
    "COPILOT_MODEL": "gpt-5.4",
    "XDG_CACHE_HOME": str(BIN.parents[1] / ".cache"),
}


@pytest.fixture
def folder(machine: Machine) -> Path:
    """The plugin folder where programs that know 1.0 look by themselves."""
    folder = machine.home / ".agents/plugins/agent-ipc"
    machine.ipc("install", "--plugin", str(folder))
    assert breaches(folder) == []
    return folder


def registered(machine: Machine, name: str) -> bool:
    """Whether the tools run as an agent of the project, and not of the plugin's folder."""
    return name in [known for known, _ in saved_sessions.of_project(str(machine.data), str(machine.project.resolve()))]


@needs("claude")
def test_claude_code_validates_both_folders_and_loads_ours(machine: Machine, folder: Path) -> None:
    machine.ipc("install", "claude")
    for one in (folder, machine.home / ".claude/skills/agent-ipc"):
        said = machine.run("claude", "plugin", "validate", "--strict", str(one))
        assert "Validation passed" in said and "with warnings" not in said
    machine.ipc("uninstall", "claude")
    with RecordingModel() as model:
        env = machine.claude_env(model.url)
        machine.run("claude", "-p", "write the notes", "--plugin-dir", str(folder), **env)
        assert model.texts()[0].count("mcp__plugin_agent-ipc_ipc__send") == 1


@needs("copilot")
def test_copilot_cli_installs_the_folder_and_calls_its_tools(machine: Machine, folder: Path) -> None:
    machine.run("copilot", "plugin", "install", str(folder), **COPILOT)
    assert "agent-ipc" in machine.run("copilot", "plugin", "list", **COPILOT)
    machine.run("copilot", "plugin", "uninstall", "agent-ipc", **COPILOT)
    machine.run("copilot", "plugin", "marketplace", "add", str(folder), **COPILOT)
    machine.run("copilot", "plugin", "install", LISTED, **COPILOT)
    with RecordingModel() as model:
        model.order("ipc-register", {"instance_id": "fred"})
        url = {"COPILOT_PROVIDER_BASE_URL": f"{model.url}/v1"}
        machine.run("copilot", "--allow-all-tools", "-p", "take a name", **COPILOT, **url)
    assert registered(machine, "fred")


@needs("codex")
def test_codex_cli_installs_the_folder_with_one_server(machine: Machine, folder: Path) -> None:
    machine.run("codex", "plugin", "marketplace", "add", str(folder))
    machine.run("codex", "plugin", "add", LISTED)
    assert "installed, enabled" in machine.run("codex", "plugin", "list")
    servers = [line for line in machine.run("codex", "mcp", "list").splitlines() if line.startswith("ipc ")]
    assert len(servers) == 1 and "enabled" in servers[0]


@needs("qwen")
def test_qwen_code_installs_the_folder_and_connects(machine: Machine, folder: Path) -> None:
    machine.run("qwen", "extensions", "install", str(folder), "--consent")
    listed = machine.run("qwen", "mcp", "list")
    assert "ipc: env " in listed and "Connected" in listed


@needs("cline")
def test_cline_cli_finds_the_folder_by_itself_and_calls_its_tools(machine: Machine, folder: Path) -> None:
    def script(request: Request) -> list[Order]:
        """It names tools by plugin and server, with a number behind."""
        named = (tool["function"]["name"] for tool in request.body["tools"])
        register = next(name for name in named if name.startswith("agent-ipc_ipc__register"))
        return [(register, {"instance_id": "fred"})] if request.number == 1 else []

    with RecordingModel() as model:
        model.script = script
        machine.run("cline", "take a name", **cline.env(machine, model.url))
    cline.end_hub(machine)
    assert registered(machine, "fred")
