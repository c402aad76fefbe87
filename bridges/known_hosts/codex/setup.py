"""Codex CLI: a table in config.toml, entries in hooks.json."""

from pathlib import Path
from typing import Any

from bridges.known_hosts import json_entries
from bridges.known_hosts.allowed_tools import ALLOWED, ASKED
from bridges.known_hosts.installation import Edit, Installation, Setup
from broker.home.environment import FOR_AGENTS


def installation(setup: Setup) -> Installation:
    config = setup.config(".codex", "CODEX_HOME")
    hooks = setup.json("hooks.json")["hooks"]
    if setup.options.claims:
        json_entries.merge(hooks, setup.json("claims.json"))
    if setup.options.approvals:
        hooks |= setup.json("approvals.json")
    # it starts a server with an environment of its own and passes on the variables named here
    server = {**setup.server, "env_vars": list(FOR_AGENTS)}
    server |= {"tools": allowed_tools()} if setup.options.allow else {}
    return setup.made(edits=[_server((config / "config.toml").resolve(), server), _hooks(setup, config, hooks)])


def _hooks(setup: Setup, config: Path, hooks: json_entries.Hooks) -> Edit:
    return setup.entries((config / "hooks.json").resolve(), server=None, hooks=hooks)


def _server(toml: Path, server: dict[str, Any]) -> Edit:
    def put(text: str) -> str:
        from bridges.known_hosts import toml_entries  # tomlkit is slow to import, and only this host has TOML

        return toml_entries.with_server(text, toml, server)

    def take(text: str) -> str:
        if "mcp_servers" not in text:
            return text
        from bridges.known_hosts import toml_entries

        return toml_entries.without_server(text, toml)

    return Edit(toml, put, take)


def allowed_tools() -> dict[str, Any]:
    """The value of ``tools`` in our server's table."""
    modes = dict.fromkeys(ALLOWED, "approve") | dict.fromkeys(ASKED, "prompt")
    return {tool: {"approval_mode": mode} for tool, mode in modes.items()}
