"""Copilot CLI: its settings for the recording model, and an interactive session.

At its first start the program unpacks itself into its cache, 235 MB. So all machines share that of the hosts' prefix.
"""

import json
import os
from contextlib import ExitStack
from pathlib import Path

from bench.hosts.machine import BIN, Machine
from bench.hosts.recording_model import RecordingModel
from bench.hosts.terminals import Terminal

_EXTENSION = ".copilot/extensions/agent-ipc/extension.mjs"
READY = "/ commands"
"""In the line below the prompt once the session takes words."""


def env(machine: Machine, url: str) -> dict[str, str]:
    """The environment that leads it to the model. The project is trusted."""
    machine.write(".copilot/config.json", json.dumps({"trustedFolders": [os.path.realpath(machine.project)]}))
    return {
        "COPILOT_OFFLINE": "true",
        "COPILOT_AUTO_UPDATE": "false",
        "COPILOT_PROVIDER_BASE_URL": f"{url}/v1",
        "COPILOT_PROVIDER_API_KEY": "x",
        "COPILOT_MODEL": "gpt-5.4",
        "XDG_CACHE_HOME": str(BIN.parents[1] / ".cache"),
    }


class Copilot(Terminal):
    """Copilot CLI after its first turn: its session, and with it its hooks, begins with that."""

    def __init__(self, machine: Machine, model: RecordingModel, *arguments: str, project: Path | None = None) -> None:
        super().__init__(machine, env(machine, model.url), str(BIN / "copilot"), *arguments, project=project)
        with ExitStack() as failed:
            failed.callback(self.end)
            if (machine.home / _EXTENSION).exists() and "APPROVALS = true" in (machine.home / _EXTENSION).read_text():
                self.wait("the extension's question", lambda: "wants elevated permissions" in self.screen())
                self.press("Enter")
            self.wait("the prompt", lambda: READY in self.screen())
            self.begin()
            self.wait("the first request", lambda: model.requests)
            self.idle()
            failed.pop_all()
