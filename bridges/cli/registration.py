"""``ipc register``: a name for the shell. In an agent's shell it renames the agent, whose session has one name."""

from __future__ import annotations

from bridges import host_sessions, saved_sessions, shell_names
from bridges.cli.session import agent_of, of_agent
from bridges.known_hosts.catalogue import title
from bridges.session_renewal import proof, secret_of
from broker.client.json_lines import QuickConnection
from broker.protocol.errors import NAME_LOST, RemoteError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from bridges.cli.session import Shell
    from bridges.host_sessions import Binding
    from broker.home.paths import Place


def register(place: Place, name: str, *, force: bool = False) -> dict[str, Any]:
    """Register the name and make it the shell's; in an agent's shell, rename the agent. Returns the broker's reply."""
    from broker.home.data_folder import prepare_home
    from broker.home.settings import Settings

    agent = agent_of(place, None)
    if agent is not None:
        return _rename_agent(of_agent(place, agent), agent, place, name, force=force)
    prepare_home(Settings.load(home=place.home))
    at = shell_names.terminal()
    reply = _registered(place, name, force, **_credentials(place, name, at))
    shell_names.keep(place.home, name, reply["session_token"], at)
    return reply


def _registered(place: Place, name: str, force: bool, **fields: Any) -> dict[str, Any]:
    request = {"action": "register", "instance_id": name, "auth_token": proof(name, secret_of(place)), **fields}
    with QuickConnection(place) as door:
        return door.request({**request, "force": True} if force else request)


def _credentials(place: Place, name: str, at: shell_names.Terminal | None) -> dict[str, Any]:
    """What shows the broker that it is the same shell that comes again. All shells without a terminal are one."""
    if at is not None:
        return {"body": at.body()}
    stored = saved_sessions.read_json(saved_sessions.shell_path(place.home, name))
    token = "" if "terminal" in stored else stored.get("token")
    return {"session_token": token} if token else {}


def _rename_agent(me: Shell, agent: Binding, place: Place, name: str, *, force: bool) -> dict[str, Any]:
    """The agent's new name, by the rules of ``rename``. An agent that has lost its name registers one. Raises IpcError."""
    try:
        with me:
            found = me.request("whoami")
            before = found["instance_id"]
            if before != name:
                me.request("rename", new_id=name)
            me.renamed(name)
    except RemoteError as e:
        if e.code in NAME_LOST:
            return _taken_anew(agent, place, name, force)
        e.text = (
            f"This is the shell of the agent {agent.name} in {title(agent.host)}, so ipc register renames the agent: {e.text}"
        )
        raise
    said = f"This agent has the name {name}" if before == name else f"Renamed this agent from {before} to {name}"
    return {"message": said, "queued": found["queued"]}


def _taken_anew(agent: Binding, place: Place, name: str, force: bool) -> dict[str, Any]:
    reply = _registered(place, name, force, body=agent.body())
    token = str(reply["session_token"])
    saved_sessions.store(place.home, agent.project, name, token, agent.host, agent.body())
    host_sessions.rebind(place.home, agent.session, name, token)
    return {"message": f"Registered this agent as {name}", "queued": reply["queued"]}
