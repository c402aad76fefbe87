"""Qwen Code, set up to ask a model of ours, and its interactive sessions."""

import json
import os
import signal
from contextlib import ExitStack
from pathlib import Path

from bench.hosts.machine import BIN, Machine
from bench.hosts.recording_model import RecordingModel
from bench.hosts.terminals import Terminal

_SETTINGS = {
    "security": {"auth": {"selectedType": "openai"}},
    "privacy": {"usageStatisticsEnabled": False},
    "telemetry": {"enabled": False},
    "general": {"enableAutoUpdate": False},  # it would ask the registry at each start
    "ui": {"enableFollowupSuggestions": False},  # a request of its own, some time after a turn
}


def env(machine: Machine, url: str) -> dict[str, str]:
    """The environment of its process. It writes its settings anew itself, so they are written once."""
    settings = machine.home / ".qwen/settings.json"
    if not settings.exists():
        machine.write(".qwen/settings.json", json.dumps(_SETTINGS))
    return {"OPENAI_API_KEY": "x", "OPENAI_BASE_URL": f"{url}/v1", "OPENAI_MODEL": "fake"}


class Qwen(Terminal):
    """Qwen Code, whose first hook has run."""

    def __init__(self, machine: Machine, model: RecordingModel, *arguments: str, project: Path | None = None) -> None:
        super().__init__(machine, env(machine, model.url), str(BIN / "qwen"), *arguments, project=project)
        with ExitStack() as failed:
            failed.callback(self.end)
            self.wait("the session's first hook", lambda: (b := machine.binding(self.project)) is not None and b.live())
            self.wait("the prompt", lambda: "Type your message" in self.screen())
            failed.pop_all()

    def end(self) -> None:
        """It ends a while after its terminal."""
        super().end()
        binding = self.machine.binding(self.project)
        if binding is not None and binding.live():
            os.kill(binding.pid, signal.SIGKILL)

    def command(self, line: str) -> None:
        """A command of the host. Its first Enter may only take the suggestion."""
        self.type(line)
        if f"> {line}" in " ".join(self.screen().split()):
            self.press("Enter")
