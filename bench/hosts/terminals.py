"""Interactive sessions of real hosts, each in a tmux of its own, past their questions."""

import itertools
import os
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bench.hosts.machine import BIN, Machine, wait_until
from bench.hosts.recording_model import RecordingModel

_NUMBERS = itertools.count(1)
_FIRST_PROMPT_S = 5.0
_PASTED_S = 0.15
PROMPT = "\u276f"


class Terminal:
    """A program in a tmux of its own, which ends with the ``with`` block."""

    def __init__(self, machine: Machine, env: dict[str, str], *command: str, project: Path | None = None) -> None:
        self.machine = machine
        self.project = project or machine.project
        self._tmux = ["tmux", "-S", str(machine.home / f"tmux{next(_NUMBERS)}")]
        words = ["env", "-i", *(f"{k}={v}" for k, v in {**machine.env, **env}.items()), *command]
        size = ["-x", "180", "-y", "50", "-c", os.path.realpath(self.project)]
        subprocess.run([*self._tmux, "-f", "/dev/null", "new-session", "-d", *size, *words], env=machine.env, check=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.end()

    def screen(self) -> str:
        return subprocess.run([*self._tmux, "capture-pane", "-p"], capture_output=True, text=True, check=False).stdout

    def press(self, key: str) -> None:
        subprocess.run([*self._tmux, "send-keys", key], check=True)

    def type(self, text: str) -> None:
        """Write a line. Codex and Gemini CLI take an Enter that follows at once for a part of what was pasted."""
        subprocess.run([*self._tmux, "send-keys", "-l", text], check=True)
        self.wait("the words", lambda: text in self.screen())
        time.sleep(_PASTED_S)
        self.press("Enter")

    def wait(self, what: str, condition: Callable[[], Any], deadline_s: float = 120.0) -> Any:
        return wait_until(what, condition, deadline_s, self.screen)

    def idle(self) -> None:
        """Until no turn runs, as far as the hooks say."""
        binding = self.machine.binding(self.project)
        assert binding is not None
        self.wait("the turn's end", lambda: not self.machine.works(binding.session))

    def begin(self) -> None:
        """Write a first prompt, for a host whose session, and with it its hooks, begins with that."""

        def begun() -> bool:
            return (binding := self.machine.binding(self.project)) is not None and binding.live()

        while not begun():  # it may not listen yet when it shows the prompt
            self.type("begin")
            with suppress(TimeoutError):
                wait_until("the session's first hook", begun, _FIRST_PROMPT_S)

    def end(self) -> None:
        subprocess.run([*self._tmux, "kill-server"], capture_output=True, check=False)


class Claude(Terminal):
    """Claude Code, whose first hook has run."""

    def __init__(self, machine: Machine, model: RecordingModel, *arguments: str, project: Path | None = None) -> None:
        env = machine.claude_env(model.url, project)
        super().__init__(machine, env, str(BIN / "claude"), *arguments, project=project)
        with ExitStack() as failed:
            failed.callback(self.end)
            self.wait("the session's first hook", lambda: (b := machine.binding(self.project)) is not None and b.live())
            self.wait("the prompt", lambda: PROMPT in self.screen())
            failed.pop_all()


class Codex(Terminal):
    """Codex CLI in its first turn: its session, and with it its hooks, begins with that."""

    def __init__(self, machine: Machine, model: RecordingModel, *arguments: str, project: Path | None = None) -> None:
        command = (str(BIN / "codex"), *arguments, "--dangerously-bypass-hook-trust")
        super().__init__(machine, machine.codex_env(model.url, project), *command, project=project)
        with ExitStack() as failed:
            failed.callback(self.end)
            self.wait("the prompt", lambda: "Ask Codex" in self.screen())
            self.begin()
            failed.pop_all()


class Gemini(Terminal):
    """Gemini CLI, whose first hook has run."""

    def __init__(self, machine: Machine, model: RecordingModel, *arguments: str) -> None:
        command = (str(BIN / "gemini"), "-m", "gemini-2.5-flash", *arguments)
        super().__init__(machine, machine.gemini_env(model.url), *command)
        with ExitStack() as failed:
            failed.callback(self.end)
            self.wait("the prompt", lambda: "Type your message" in self.screen())
            self.wait("the session's first hook", lambda: machine.binding(self.project))
            failed.pop_all()
