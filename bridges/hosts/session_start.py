"""The start of a host's session: take its name, resuming what the folder had, and keep the binding."""

from __future__ import annotations

import os
import time

from bridges import host_sessions as bindings
from bridges import saved_sessions, waking
from bridges.hosts import hook_settings, naming
from bridges.hosts.codex_queue import can_queue, stand_by
from bridges.session_renewal import proof, resumed
from broker.protocol.errors import IpcError, RemoteError
from broker.protocol.names import is_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from bridges.host_sessions import Binding
    from bridges.hosts.hook import Hook
    from broker.client.json_lines import QuickConnection

    Ask = Callable[..., dict[str, Any]]

_TAKEN = ("name_taken", "name_forwarding", "name_reserved")


def register(door: QuickConnection, hook: Hook, *, timeout_s: float) -> Binding:
    """The session's instance, resumed or registered. Raises IpcError, SettingsError."""
    table, secret = hook_settings.read(hook.home)
    key = saved_sessions.key()
    if key is not None:
        secret = ""  # it is this machine's
    wanted = (key and key.name) or hook.wanted or table.get("names", {}).get(hook.project)
    if wanted is not None and not is_name(wanted):
        raise IpcError("invalid_name")

    def ask(action: str, **fields: Any) -> dict[str, Any]:
        return door.request({"action": action, **fields}, timeout_s=timeout_s)

    status = ask("status")  # starts the service, if it does not run
    registered = {str(row["id"]): row.get("presence") != "gone" for row in status["instances"]}
    process = bindings.host_process()
    with saved_sessions.one_at_a_time(hook.home):
        names = naming.choose(
            hook.home,
            hook.project,
            host=hook.host.NAME,
            wanted=wanted,
            session=hook.session,
            process=process,
            registered=registered,
        )
        others = [name for name in registered if name != wanted]
        name, token = _first_free(ask, hook, names, secret, others)
        binding = bindings.Binding(
            host=hook.host.NAME,
            session=hook.session,
            name=name,
            token=token,
            project=hook.project,
            pid=process[0],
            started=process[1],
            holds=table.get("stop_holds", bindings.STOP_HOLDS),
            chars=table.get("context_chars", bindings.CONTEXT_CHARS),
            look_s=table.get("look_s", bindings.LOOK_S),
            channel=table.get("channel", False),
            wake=key is None and hook.host.NAME == "codex" and table.get("wake", True) and can_queue(process[0]),
        )
        binding.reach = waking.reach_of_hooks(binding)
        for old in list(bindings.all_of(hook.home)):
            if bindings.follows(old, hook.session, process, hook.host.NAME):
                bindings.redirect(hook.home, old, binding)
        bindings.save(hook.home, binding)
        saved_sessions.store(hook.home, hook.project, name, token, hook.host.NAME)
        bindings.sweep(hook.home, time.time())
    if binding.wake:
        stand_by(hook.home, binding.session)
    _say(ask, binding)
    return binding


def _first_free(ask: Ask, hook: Hook, names: Iterator[tuple[str, str]], secret: str, others: list[str]) -> tuple[str, str]:
    """The first name that can be had without taking it from another, with its session's token."""
    for name, token in names:
        try:
            if token:
                return resumed(ask, hook.home, name, token, secret)
        except RemoteError as e:
            if e.kind.http != 401 and e.code not in _TAKEN:
                raise
        if name in others:  # it was ours, and another program has taken it since
            continue
        try:
            reply = ask("register", instance_id=name, auth_token=proof(name, secret))
        except RemoteError as e:
            if e.code not in _TAKEN:
                raise
            continue
        return name, str(reply["session_token"])
    raise IpcError("name_taken", name=hook.wanted or os.path.basename(hook.project))


def _say(ask: Ask, binding: Binding) -> None:
    """Tell the others how this agent can be reached."""
    try:
        ask("presence", session_token=binding.token, state="idle", reach=binding.reach)
    except RemoteError as e:
        if e.code not in ("unknown_action", "storage_full"):  # an older service; a full disk, which keeps no mail back
            raise
