"""Cline CLI, set up to ask a model of ours, and its interactive sessions.

A session runs in the process of its terminal, or in the user's hub if that runs already.
"""

import contextlib
import json
import os
import signal
import socket
from contextlib import ExitStack
from pathlib import Path

from bench.hosts.machine import BIN, Machine
from bench.hosts.recording_model import RecordingModel
from bench.hosts.terminals import Terminal

_DATA = ".cline/data"
_NOTICES = {"shown": {"cline-cli-cline-pass-intro": True, "cline-cli-desktop-launch": True}}
_FIRST_PROMPT = "What can I do for you?"


def env(machine: Machine, url: str, *, hub: bool = False) -> dict[str, str]:
    """The environment of its process. Its plugins have 4 s to load unless told otherwise, too little for a loaded machine."""
    provider = {"provider": "openai-compatible", "apiKey": "x", "model": "fake", "baseUrl": f"{url}/v1"}
    known = {"openai-compatible": {"settings": provider, "updatedAt": "2026-11-28T00:00:00.000Z", "tokenSource": "manual"}}
    providers = {"version": 1, "lastUsedProvider": "openai-compatible", "modes": {}, "providers": known}
    machine.write(f"{_DATA}/settings/providers.json", json.dumps(providers))
    machine.write(f"{_DATA}/settings/cli-notices.json", json.dumps(_NOTICES))
    machine.write(f"{_DATA}/settings/global-settings.json", '{"telemetryOptOut": true, "autoUpdateEnabled": false}')
    mode = {} if hub else {"CLINE_SESSION_BACKEND_MODE": "local"}
    hub_port = {"CLINE_HUB_PORT": str(_free_port())}
    return {"CLINE_PLUGIN_IMPORT_TIMEOUT_MS": "60000", "CLINE_NO_AUTO_UPDATE": "1", **hub_port, **mode}


def _free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def start_hub(machine: Machine, url: str) -> dict[str, str]:
    """The environment for sessions that run in the hub, which a first run has started."""
    settings = env(machine, url, hub=True)
    machine.run("cline", "say hello", **settings)
    return settings


def end_hub(machine: Machine) -> None:
    """Kill the user's hub, which every run leaves behind."""
    mine = os.fsencode(os.path.realpath(machine.home))
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it may end while we look
            command = path.read_bytes()
            if b"--cline-hub-daemon" in command and mine in command:
                os.kill(int(path.parent.name), signal.SIGKILL)


class Cline(Terminal):
    """Cline CLI, whose first hook has run."""

    def __init__(
        self,
        machine: Machine,
        model: RecordingModel,
        *arguments: str,
        project: Path | None = None,
        settings: dict[str, str] | None = None,
    ) -> None:
        command = (str(BIN / "cline"), *arguments)
        super().__init__(machine, settings or env(machine, model.url), *command, project=project)
        with ExitStack() as failed:
            failed.callback(self.end)
            self.wait("the prompt", lambda: _FIRST_PROMPT in self.screen())
            self.wait("the session's first hook", lambda: (b := machine.binding(self.project)) is not None and b.live())
            failed.pop_all()
