"""The start of a host's session: takes or resumes its name, and keeps the binding."""

from __future__ import annotations

import os
import time

from bridges import hook_settings, host_sessions, saved_sessions, waking
from bridges.fence import BUDGET_CHARS
from bridges.hosts import naming
from bridges.hosts.stand_by import can_wake, stand_by
from bridges.session_renewal import proof, resumed
from broker.protocol.errors import IpcError, RemoteError
from broker.protocol.names import is_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from bridges.host_sessions import Binding
    from bridges.hosts.hook_event import HookEvent
    from broker.client.json_lines import QuickConnection

    Ask = Callable[..., dict[str, Any]]

_TAKEN = ("name_taken", "name_held", "name_forwarding", "name_reserved")


def register(door: QuickConnection, event: HookEvent, *, timeout_s: float) -> Binding:
    """The session's instance, resumed or registered. Raises IpcError, SettingsError."""
    table, secret = hook_settings.read(event.home)
    key = saved_sessions.key()
    if key is not None:
        secret = ""  # the secret is this machine's
    wanted = (key and key.name) or event.wanted or table.get("names", {}).get(event.project)
    if wanted is not None and not is_name(wanted):
        raise IpcError("invalid_name")

    def ask(action: str, **fields: Any) -> dict[str, Any]:
        return door.request({"action": action, **fields}, timeout_s=timeout_s)

    status = ask("status")  # starts the service, if it does not run
    registered = {str(row["id"]): row.get("presence") != "gone" for row in status["instances"]}
    process = host_sessions.host_process()
    with saved_sessions.one_at_a_time(event.home):
        names = naming.choose(
            event.home,
            event.project,
            host=event.host.NAME,
            shares=event.host.SHARES_PROCESS,
            wanted=wanted,
            session=event.session,
            process=process,
            registered=registered,
        )
        others = [name for name in registered if name != wanted]
        body = host_sessions.body_of(event.host.NAME, event.session, *process, event.project)
        name, token = _first_free(ask, event, names, secret, others, body)
        binding = _binding(event, name, token, process, table)
        _keep(event, binding)
    if binding.wake:
        stand_by(event.home, binding.session, event.host.WAKE)
    _say(ask, binding)
    return binding


def _binding(event: HookEvent, name: str, token: str, process: tuple[int, str], table: dict[str, Any]) -> Binding:
    """The session under its name, with the settings that it keeps to its end."""
    mode, modes = host_sessions.told_modes(event.home, event.session, process)
    holds = table.get("stop_holds", host_sessions.STOP_HOLDS)
    wakes = saved_sessions.key() is None and event.host.WAKE != "" and table.get("wake", True)
    binding = host_sessions.Binding(
        host=event.host.NAME,
        session=event.session,
        name=name,
        token=token,
        project=event.project,
        pid=process[0],
        started=process[1],
        holds=0 if event.given.get("ends_with_turn") is True else holds,  # such as opencode run, which nothing can hold
        chars=table.get("context_chars", BUDGET_CHARS),
        look_s=table.get("look_s", event.host.LOOK_S if wakes else host_sessions.LOOK_S),
        channel=table.get("channel", False),
        mode=mode,
        modes=modes,  # what the session may do is known from all of its runs
        path=os.environ.get("PATH", ""),
        wake=wakes and can_wake(event.host, process[0]),
    )
    binding.reach = waking.reach_of_hooks(binding)
    return binding


def _keep(event: HookEvent, binding: Binding) -> None:
    """Write the session's files. The session whose place it took in the host's process now leads to it."""
    for old in list(host_sessions.all_of(event.home)):
        if host_sessions.follows(old, event.session, (binding.pid, binding.started), event.host.SHARES_PROCESS):
            host_sessions.redirect(event.home, old, binding)
    host_sessions.save(event.home, binding)
    saved_sessions.store(event.home, event.project, binding.name, binding.token, event.host.NAME, binding.body())
    host_sessions.sweep(event.home, time.time())


def _first_free(
    ask: Ask, event: HookEvent, names: Iterator[tuple[str, str]], secret: str, others: list[str], body: dict[str, Any]
) -> tuple[str, str]:
    """(name, token): the first name that can be had without taking it from another program."""
    for name, token in names:
        try:
            if token:
                return resumed(ask, event.home, name, token, secret, body)
        except RemoteError as e:
            if e.kind.http != 401 and e.code not in _TAKEN:
                raise
        if name in others:  # another program has taken a name that was ours
            continue
        try:
            reply = ask("register", instance_id=name, auth_token=proof(name, secret), body=body)
        except RemoteError as e:
            if e.code not in _TAKEN:
                raise
            continue
        return name, str(reply["session_token"])
    raise IpcError("name_taken", name=event.wanted or os.path.basename(event.project))


def _say(ask: Ask, binding: Binding) -> None:
    """Tell the others how this agent can be reached."""
    try:
        ask("presence", session_token=binding.token, state="idle", reach=binding.reach, body=binding.body())
    except RemoteError as e:
        if e.code not in ("unknown_action", "storage_full"):  # an older service, or a full disk: mail goes on in both
            raise
