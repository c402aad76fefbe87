"""opencode: its settings for the recording model, and an interactive session."""

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bench.hosts.machine import BIN, Machine
from bench.hosts.recording_model import RecordingModel
from bench.hosts.terminals import Terminal

READY = "Ask anything"
"""In the prompt of a terminal that has no session yet."""

_DEPENDS = {"dependencies": {"@opencode-ai/plugin": "*"}}
_INSTALLED = {
    "node_modules/.none": "",
    "package.json": json.dumps(_DEPENDS),
    "package-lock.json": json.dumps({"packages": {"": _DEPENDS}}),
}
"""So it fetches no types for plugins from npm, as it does where it finds a plugin and none of this."""


def env(machine: Machine, url: str, **settings: Any) -> dict[str, str]:
    """The environment of a program that asks the model. ``settings``: more keys of opencode.json."""
    options = {"baseURL": f"{url}/v1", "apiKey": "x"}
    fake = {"npm": "@ai-sdk/openai-compatible", "options": options, "models": {"fake": {}}}
    config = {"provider": {"fake": fake}, "model": "fake/fake", **settings}
    machine.write(".config/opencode/opencode.json", json.dumps(config))
    for name, text in _INSTALLED.items():
        machine.write(f".config/opencode/{name}", text)
    return {
        "OPENCODE_DISABLE_AUTOUPDATE": "1",
        "OPENCODE_DISABLE_MODELS_FETCH": "1",
        "OPENCODE_DISABLE_LSP_DOWNLOAD": "1",
    }


class Opencode(Terminal):
    """opencode after its first turn: its session, and with it its hooks, begins with that."""

    def __init__(
        self, machine: Machine, model: RecordingModel, *arguments: str, project: Path | None = None, **settings: Any
    ) -> None:
        super().__init__(machine, env(machine, model.url, **settings), str(BIN / "opencode"), *arguments, project=project)
        with ExitStack() as failed:
            failed.callback(self.end)
            self.wait("the prompt", lambda: READY in self.screen())
            self.begin()
            self.wait("the first request", lambda: model.requests)
            self.idle()
            failed.pop_all()
