"""The process that starts closed sessions again when mail comes for them (``[hosts.resume]`` of config.toml).

    watch_all --changed--> look: which agents are closed and may be started --> the way resume is armed at the broker
    mail of a named sender --> push wake --> starter (bridges.resume.starter) becomes the body --> its hooks, the mail, its end

One body at a time. While one runs, in quiet hours, and when an agent was started often enough, its way is not armed: the mail
waits, and is told of once it is armed again. This process may be killed at any time: what it needs is in files, and a body
that runs is found again by its record. Told to stop it ends the body in order. ``run/resume.json`` says of each agent why it
would not be started now: ``{"pid", "error", "agents": {NAME: why or ""}, "runs": {NAME: until}}``.
"""

import asyncio
import contextlib
import json
import subprocess
import time
from datetime import datetime
from functools import partial
from typing import Any

from bridges import host_sessions, started_bodies
from bridges.owner_watch import ASK_S, OwnerWatch
from bridges.resume import starter, starts
from bridges.resume.readiness import Closed, NotReadyError, PutOffError, check_hours, closed_session
from bridges.resume.resume_settings import ResumeSettings, read_resume
from bridges.started_bodies import StartedBody
from bridges.tasks import end_tasks, run_together
from broker.client.aio import AsyncConnection
from broker.home.files import make_folder, owner_key
from broker.home.logs import Log
from broker.home.paths import python
from broker.protocol.errors import IpcError, RemoteError, SettingsError
from broker.service.door_process import DoorProcess

PACE_S = 0.5
LOOK_S = 60.0
"""A look without word of a change: quiet hours begin and end, and a host that was killed says nothing."""
SIGN_S = 90.0
"""Seconds that a host has to begin a turn."""
_BEGIN_S = 20.0
"""Seconds that the starter has to become the body."""
_POLL_S = 0.1
_END_S = 5.0
_END_AGAIN_S = 60.0
"""Seconds between attempts to end what holds the lock of a body and does not end."""
FAULTS = (OSError, ValueError, OverflowError)
"""Of files: the reason why one name is not started, and no reason to leave the others alone."""


async def serve(process: DoorProcess) -> None:
    """Start sessions until told to stop."""

    def say(error: str | None, **more: Any) -> None:
        process.say(error=error, **more)

    home = str(process.settings.home)
    wanted = await process.opened(lambda: read_resume(home), str, say, SettingsError)
    if wanted is None:
        return
    make_folder(started_bodies.folder(home))
    broker = AsyncConnection(process.settings, autostart=not process.supervised, door="resume")
    resumer = Resumer(home, broker, wanted, process.log, say)
    working = asyncio.ensure_future(resumer.run())
    process.log.info("resume_started", names=wanted.names, senders=wanted.senders)
    stopping = asyncio.ensure_future(process.stopping.wait())
    try:
        await asyncio.wait([working, stopping], return_when=asyncio.FIRST_COMPLETED)
        if working.done():  # it never ends by itself; the supervisor starts another, which finds a body that runs
            process.log.error("resume_failed", detail=repr(working.exception()))
            working.result()
    finally:
        await end_tasks([working, stopping])
        if process.stopping.is_set():
            await resumer.end_all()
        await broker.close()


def _why(e: Exception) -> str:
    return str(e) if isinstance(e, NotReadyError) else f"{type(e).__name__}: {e}"


class Resumer:
    """What is armed, and what runs."""

    def __init__(self, home: str, broker: AsyncConnection, wanted: ResumeSettings, log: Log, say: Any) -> None:
        self._home = home
        self._broker = broker
        self._wanted = wanted
        self._log = log
        self._say = say
        self._armed: dict[str, tuple[str, int]] = {}
        """By name: the token of the session that is armed, and the request that the broker's pushes name."""
        self._why: dict[str, str] = {}
        self._logged: dict[str, str] = {}
        self._watched: dict[str, asyncio.Task[None]] = {}
        """The watch over each body that runs, by its session."""
        self._children: dict[int, subprocess.Popen[bytes]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._one = asyncio.Lock()
        self._owner = OwnerWatch(broker, owner_key(home), self._link_lost)
        self._changed = self._owner.changed
        self._told_ahead = False

    async def run(self) -> None:
        """Look whenever something has changed, until cancelled."""
        try:
            await run_together(self._owner.run(), self._look_on())
        finally:
            await end_tasks([*self._watched.values(), *self._tasks])

    async def _look_on(self) -> None:
        while True:
            self._changed.clear()
            with contextlib.suppress(IpcError):  # the broker is away; the next connection brings a change
                await self._look()
            await asyncio.sleep(PACE_S)  # the broker sets no pace, so this does
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), LOOK_S)

    async def end_all(self) -> None:
        for body in started_bodies.all_of(self._home):
            if started_bodies.lives(self._home, body):
                await asyncio.to_thread(started_bodies.end, self._home, body, "the service was stopped")
                self._log.info("body_ended", name=body.name, why="the service was stopped")

    # what is armed

    async def _look(self) -> None:
        """Report hosts that were killed, watch the bodies that run, arm and disarm."""
        seen = await self._owner.ask("overview")  # without it the broker tells of no further change
        present = {str(row["id"]) for row in seen["agents"] if row.get("presence") != "gone"}
        for report in host_sessions.lost(self._home):
            await self._broker.request(report, ASK_S)
        running = [body for body in started_bodies.all_of(self._home) if started_bodies.lives(self._home, body)]
        for body in running:
            self._keep_watch(body)
        for name in self._wanted.names:
            try:
                closed = self._ready(name, running)
                if name in present:  # the last hook of a host that was killed came late
                    await self._broker.request(host_sessions.gone(closed.binding.token), ASK_S)
                await self._arm(name, closed)
                why = ""
            except (NotReadyError, *FAULTS) as e:
                why = _why(e)
                if not any(body.name == name and not body.began for body in running):  # its notice is out, its turn to come
                    await self._disarm(name)
            self._why[name] = why
            if not running and self._logged.get(name) != why:
                self._logged[name] = why
                self._log.info("would_start" if not why else "would_not_start", name=name, **({"why": why} if why else {}))
        until = {body.name: datetime.fromtimestamp(body.until_s).isoformat(timespec="seconds") for body in running}
        self._say(None, agents=self._why, runs=until)

    def _ready(self, name: str, running: list[StartedBody]) -> Closed:
        """Raises NotReadyError."""
        if mine := next((body for body in running if body.name == name), None):
            raise PutOffError(f"it runs, started for mail #{mine.newest}")
        closed = closed_session(self._home, name)
        self._tell_ahead()
        check_hours(self._wanted, name, starts.read(self._home), datetime.now())
        if running:
            raise PutOffError(f"{running[0].name} runs, started for mail, and bodies run one at a time")
        return closed

    def _tell_ahead(self) -> None:
        """Log once that starts do not count which a clock wrote down that was far ahead."""
        ahead = [start for start in starts.read_all(self._home) if starts.is_ahead(start, time.time())]
        if ahead and not self._told_ahead:
            self._log.warning("starts_of_the_future", count=len(ahead), detail="the clock was ahead; they do not count")
        self._told_ahead = bool(ahead)

    async def _arm(self, name: str, closed: Closed) -> None:
        token = closed.binding.token
        if self._armed.get(name, ("", 0))[0] == token:
            return
        await self._disarm(name)
        after = starter.done_for(started_bodies.of_session(self._home, closed.binding.session))
        fields = {"by": token, "senders": list(self._wanted.senders), "look_s": SIGN_S, "after": str(after)}
        number, future = self._owner.begin("resume", **fields)
        self._broker.on_push[number] = partial(self._pushed, name)
        self._armed[name] = token, number
        reply = await future
        if reply.get("status") != "ok":
            self._broker.end_pushes(number)
            self._armed.pop(name, None)
            raise NotReadyError(str(reply.get("message", "the broker refuses it")))

    async def _disarm(self, name: str) -> None:
        token, number = self._armed.pop(name, ("", 0))
        if token:
            self._broker.end_pushes(number)
            with contextlib.suppress(RemoteError):  # the session was replaced, and the way with it
                await self._owner.ask("resume", by=token, senders=[])

    # a start

    def _pushed(self, name: str, push: dict[str, Any]) -> None:
        if push.get("push") == "wake":
            task = asyncio.ensure_future(self._start(name, str(push["newest"])))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        elif push.get("push") == "session_replaced":
            self._armed.pop(name, None)
            self._changed.set()

    async def _start(self, name: str, newest: str) -> None:
        token = self._armed.get(name, ("", 0))[0]
        async with self._one:
            try:
                running = [body for body in started_bodies.all_of(self._home) if started_bodies.lives(self._home, body)]
                closed = self._ready(name, running)
                body = await self._become(closed, newest)
            except PutOffError as e:  # without its way the broker keeps the notice, and tells nobody that there was none
                self._log.info("put_off", name=name, mail=newest, why=str(e))
                with contextlib.suppress(IpcError):
                    await self._disarm(name)
                self._changed.set()
                return
            except (NotReadyError, *FAULTS) as e:
                result = "failed"
                self._log.warning("not_started", name=name, mail=newest, why=_why(e))
            else:
                result = "given"
                self._keep_watch(body)
                fields = {"session": body.session, "host": body.host, "mode": closed.mode, "attempt": body.attempt}
                self._log.info("body_started", name=name, mail=newest, pid=body.pid, **fields)
        with contextlib.suppress(IpcError):
            said = {"action": "way", "session_token": token, "way": "resume", "result": result}
            await self._broker.request(said, ASK_S)
        self._changed.set()

    async def _become(self, closed: Closed, newest: str) -> StartedBody:
        """The body, once its process has become it. Raises NotReadyError, OSError."""
        binding = closed.binding
        tried = [start for start in starts.read(self._home) if (start.name, start.newest) == (binding.name, int(newest))]
        if len(tried) >= starter.TRIES:
            raise NotReadyError(f"it was tried {len(tried)} times for this mail")
        starts.add(self._home, starts.Start(binding.name, time.time(), int(newest)))
        order = {
            "home": self._home,
            "session": binding.session,
            "newest": int(newest),
            "command": closed.command(newest, self._wanted),
            "path": binding.path,
            "drop": closed.facts.resume.get("drop", []),
            "minutes": self._wanted.minutes,
        }
        null = subprocess.DEVNULL
        command = [*python(), "-m", "bridges.resume.starter", json.dumps(order)]
        child = subprocess.Popen(  # noqa: S603 (our own program)
            command, cwd=self._home, stdin=null, stdout=null, stderr=null, start_new_session=True
        )
        self._children[child.pid] = child
        end_s = time.monotonic() + _BEGIN_S
        while time.monotonic() < end_s:
            body = started_bodies.of_session(self._home, binding.session)
            if body is not None and body.pid == child.pid:
                return body
            if (status := child.poll()) in starter.WORDS:
                raise NotReadyError(starter.WORDS[status])
            if status is not None:  # nothing has happened, so it may be tried again
                raise PutOffError(f"its starter ended with status {status}")
            await asyncio.sleep(_POLL_S)
        child.kill()
        raise PutOffError(f"its starter did not begin within {_BEGIN_S:.0f} s")

    def _keep_watch(self, body: StartedBody) -> None:
        if body.session not in self._watched:
            self._watched[body.session] = asyncio.ensure_future(self._watch(body))

    async def _watch(self, body: StartedBody) -> None:
        """Watch over a body to its end. After a fault the next look begins anew."""
        try:
            await self._watch_to_end(body)
        except FAULTS as e:
            self._log.error("watch_failed", name=body.name, detail=_why(e))
        finally:
            self._watched.pop(body.session, None)
            self._changed.set()

    async def _watch_to_end(self, body: StartedBody) -> None:
        """End the body when its time is over, and tell that it ended."""
        again_s, over = 0.0, ""
        while started_bodies.lives(self._home, body):
            await asyncio.sleep(_POLL_S)
            if time.time() > body.until_s and time.monotonic() > again_s:
                over = f"its {round((body.until_s - body.at_s) / 60)} minutes were over"
                await asyncio.to_thread(started_bodies.end, self._home, body, over)
                again_s = time.monotonic() + _END_AGAIN_S
            if (child := self._children.get(body.pid)) is not None:
                child.poll()
            body = started_bodies.of_session(self._home, body.session) or body
        child = self._children.pop(body.pid, None)
        status = None
        if child is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):  # threads of a process may end behind its main one
                status = await asyncio.to_thread(child.wait, _END_S)
        fields = {"status": status, "began": body.began, "after_s": round(time.time() - body.at_s)}
        why = (
            body.ended
            or over
            or ("its turn was over" if not status else "its program failed" if status > 0 else "it was killed")
        )
        self._log.info("body_ended", name=body.name, mail=str(body.newest), why=why, **fields)
        if not body.began:  # the broker need not wait for its sign: armed anew, the way may be tried again
            with contextlib.suppress(IpcError):
                await self._disarm(body.name)

    def _link_lost(self) -> None:
        for _token, number in self._armed.values():
            self._broker.end_pushes(number)
        self._armed.clear()
        self._changed.set()
