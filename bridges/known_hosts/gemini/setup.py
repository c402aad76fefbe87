"""Gemini CLI: an extension folder. A project has no extensions, so there: entries in its settings.json."""

from bridges.known_hosts.allowed_tools import ALLOWED
from bridges.known_hosts.installation import PLUGIN, Installation, Setup

_MARK = "# of agent-ipc: ipc install gemini writes it, ipc uninstall gemini removes it\n"


def installation(setup: Setup) -> Installation:
    config = setup.config(".gemini")
    if setup.scope == "project":
        hooks = setup.json("hooks/hooks.json")["hooks"]
        return setup.made(edits=[setup.entries(config / "settings.json", server=setup.server, hooks=hooks)])
    return setup.made(
        folder=config / "extensions" / PLUGIN,
        files=setup.files("gemini-extension.json", "hooks/hooks.json", "AGENT-MAIL.md"),
        edits=[setup.own_file(config / "policies" / f"{PLUGIN}.toml", policy() if setup.options.allow else "", mark=_MARK)],
        retired=[setup.without_server(config / "settings.json")],
    )


def policy() -> str:
    """The text of a policy file that allows our tools. The host takes bare names of tools for mistyped ones of its own."""
    rules = [f'[[rule]]\ntoolName = "mcp_ipc_{tool}"\ndecision = "allow"\npriority = 100\n' for tool in ALLOWED]
    return "\n".join([_MARK, *rules])
