"""``ipc hook HOST EVENT``: mail at the boundaries of an agent's turns.

The host runs this as a process of its own at each event and waits for it. So it imports little and asks the broker once or
twice. Whatever goes wrong, it prints no error and exits 0. What it prints: bridges.hosts.hook_answers.
"""

from __future__ import annotations

import os

from bridges.fence import one_line
from bridges.hosts.hook_answers import HookAnswers
from bridges.hosts.hook_event import HookEvent, parsed, read_input
from bridges.hosts.hook_log import failure, note
from broker.home.paths import Place
from broker.protocol.errors import IpcError, SettingsError


def main(arguments: list[str]) -> int:
    """Exit status 0, always. A hook that fails must not stop an agent."""
    home = Place.here().home
    silent = ""
    try:
        host, event, name = parsed(arguments)
        silent = host.SILENT
        if HookAnswers(HookEvent(home, host, event, name, *read_input(host)), lambda answer: _write(home, answer)).answer():
            return 0
    except SettingsError as e:
        note(home, "warning", "settings_unusable", error=str(e))
        if host.EVENTS.get(event) == "start":
            silent = host.context(event, f"agent-ipc brings this session no mail: {one_line(str(e))}. Tell your user.")
    except IpcError as e:
        note(home, "info", "hook_without_service", arguments=arguments, code=e.code, text=e.text)
    except Exception as e:  # the one broad catch of this process: the host must go on
        failure(home, e, "hook_failed", arguments=arguments)
    if silent:
        _write(home, silent)
    return 0


def _write(home: str, answer: str) -> bool:
    """Write the answer; False if the host no longer reads."""
    raw = answer.encode("utf-8", "replace")
    try:
        while raw:
            raw = raw[os.write(1, raw) :]
    except OSError as e:
        note(home, "warning", "answer_not_written", error=str(e))
        return False
    return True
