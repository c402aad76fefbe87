"""``host.toml``: the facts of a host that installation, checks and pages need."""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass, field
from typing import Any

RUN, DOCUMENT = "run", "document"


@dataclass(frozen=True, slots=True)
class HostFacts:
    """One host. Texts are for people, in the form in which they are shown."""

    title: str
    program: str
    """Its program on PATH."""
    next: str
    """What the user does after the installation."""
    next_project: str = ""
    """The same for a project's; empty where it is the same."""
    evidence: str = RUN
    """``run``: our tests run its real program. ``document``: it was never run, so nothing is written for it."""
    package: str = ""
    """On npm."""
    version: str = ""
    """The version that the tests run."""
    source: str = ""
    """Where its documentation stands, and as of when."""
    config: str = ""
    """Its configuration folder from the user's home on, which shows that it was used here."""
    config_variable: str = ""
    """The variable that moves that folder."""
    client: str = ""
    """The beginning of the name that it gives as an MCP client."""
    patience_s: float = 0.0
    """Seconds that it waits for a tool unless told otherwise; 0 where that is not known."""
    tools: dict[str, str] = field(default_factory=dict)
    """``allowed`` and ``asked``: in which of its modes the mail tools run, with and without ``--allow``."""
    resume: dict[str, Any] = field(default_factory=dict)
    """How a closed session goes on without a terminal, under the same id; empty where that was never seen. ``command``: the
    words behind the program, with ``{session}``, ``{prompt}`` and, in words of their own, ``{mode}``, ``{turns}``,
    ``{dollars}``, which the lists of these names take the place of. ``modes``: the permission modes that its hooks tell, the
    one that allows least first; a session that was in any other is not started again. ``words``: what its command line calls a
    mode, where that differs. ``drop``: variables that a session sets
    for what it starts."""
    projects_allow: bool = True
    """Whether the tools can be allowed for a project alone."""
    asks_by_tool: bool = True
    """Whether it can ask for one tool of a server while others are allowed; if not, ``--allow`` leaves ``share_file`` out."""
    approvals: str = ""
    """What becomes of its permission prompts with ``--approvals``; empty where no hook can answer them."""

    def next_in(self, scope: str) -> str:
        """What the user does after the installation for that scope."""
        return (self.next_project if scope == "project" else "") or self.next

    def config_folder(self) -> str:
        """Where its configuration is, or would be; empty where that is not known."""
        moved = os.environ.get(self.config_variable) if self.config_variable else None
        if moved or not self.config:
            return moved or ""
        xdg = os.environ.get("XDG_CONFIG_HOME")
        if xdg and self.config.startswith(".config/"):
            return os.path.join(xdg, self.config.removeprefix(".config/"))
        return os.path.join(os.path.expanduser("~"), self.config)


def read(path: str) -> HostFacts:
    """The facts of a file. Raises TypeError for an unknown one."""
    with open(path, "rb") as f:
        return HostFacts(**tomllib.load(f))
