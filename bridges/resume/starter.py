"""``python -m bridges.resume.starter ORDER``: becomes the body of a closed session, or says why not.

ORDER is JSON: ``home, session, newest, command, path, drop, minutes``. Under the lock that a terminal's session takes, too, it
looks whether anybody goes on with the session, and writes down who it is. Then it turns into the host's program: the process
id and its start, which tell that the body lives, stay the same over exec. So it may be killed at each step:

    before the record     nothing has happened
    behind it             the record names a dead process that no hook has seen: it may be tried again, at most TRIES times
    once a hook has run   the start is known, and there is no second one for this message
"""

import json
import os
import signal
import sys
import time
from typing import Any

from bridges import host_sessions, started_bodies
from bridges.started_bodies import StartedBody
from broker.home.locks import hold
from broker.home.process_table import process_started

TRIES = 3
BUSY, BEFORE, GONE, FAILED = 3, 4, 5, 127
WORDS = {
    BUSY: "its session runs",
    BEFORE: "it was started for this mail before",
    GONE: "its session is not known any more",
    FAILED: "the host's program could not be started",
}
"""What an exit status before exec means."""
_LAST_S = 60
"""So long after a body's time is over the kernel ends it, should nobody have done so."""


def main(order: dict[str, Any]) -> int:
    """Does not return if the body starts."""
    home, session = str(order["home"]), str(order["session"])
    with started_bodies.opens(home, session):
        binding, before = host_sessions.load(home, session), started_bodies.of_session(home, session)
        if binding is None or binding.session != session:
            return GONE
        if binding.live() or binding.elsewhere() or started_bodies.lives(home, before):
            return BUSY
        body = _next(order, binding, before)
        if body is None:
            return BEFORE
        held = hold(started_bodies.held_path(home, session, body.attempt))
        if held is None:
            return BUSY
        os.set_inheritable(held, True)
        started_bodies.save(home, body)
    return _become(home, order, binding, body)


def done_for(before: StartedBody | None) -> int:
    """The newest message for which there is no start any more."""
    if before is None:
        return 0
    return before.newest if before.began or before.attempt >= TRIES else before.newest - 1


def _next(order: dict[str, Any], binding: host_sessions.Binding, before: StartedBody | None) -> StartedBody | None:
    """The record of this start; None if there was one for the message, as far as is known, or too many were tried."""
    newest, attempt = int(order["newest"]), 1
    if newest <= done_for(before):
        return None
    if before is not None and newest <= before.newest:
        attempt = before.attempt + 1
    now_s = time.time()
    return StartedBody(
        session=binding.session,
        name=binding.name,
        host=binding.host,
        newest=newest,
        attempt=attempt,
        pid=os.getpid(),
        started=process_started(os.getpid()),
        at_s=now_s,
        until_s=now_s + 60 * float(order["minutes"]),
    )


def _become(home: str, order: dict[str, Any], binding: host_sessions.Binding, body: StartedBody) -> int:
    """Turn into the host's program."""
    for attempt in range(1, body.attempt):
        _remove(started_bodies.held_path(home, body.session, attempt))
    out = os.open(started_bodies.path_of(home, body.session, "out"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    signal.alarm(int(body.until_s - time.time()) + _LAST_S)  # it lasts over exec, and needs nobody
    try:
        os.chdir(binding.project)
        os.dup2(out, 1)
        os.dup2(out, 2)
        env = environment(str(order["path"]), order["drop"])
        os.execvpe(order["command"][0], order["command"], env)  # noqa: S606 (the host's own program)
    except (OSError, ValueError) as e:  # ValueError: a word holds NUL
        body.ended = f"{order['command'][0]}: {getattr(e, 'strerror', e)}"
        started_bodies.save(home, body)
    return FAILED


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        return


def environment(path: str, drop: list[str]) -> dict[str, str]:
    """The service's environment, without what the session left there whose hook has started the service."""
    from broker.home.environment import HOST_MARKS, HOST_PROCESSES, KEY_FILE, NAME

    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    kept = {k: v for k, v in os.environ.items() if k not in (*HOST_MARKS, *HOST_PROCESSES, *drop, KEY_FILE, NAME)}
    ours = [part for part in kept.pop("PYTHONPATH", "").split(os.pathsep) if part and part != root]
    return kept | ({"PYTHONPATH": os.pathsep.join(ours)} if ours else {}) | ({"PATH": path} if path else {})


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1])))
