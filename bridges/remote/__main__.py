"""``python -m bridges.remote``: the door for other machines, with keys. The supervisor starts it where ``remote`` is set.

A process of its own, so that what strangers send is parsed, and their handshakes are computed, beside the broker and not in
it. What became of the address stands in ``run/remote.json``: ``{"pid", "endpoint", "error"}``.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
from functools import partial

import zmq

from bridges.remote.door import Door
from broker.client.aio import AsyncConnection
from broker.home.data_folder import prepare_home
from broker.home.files import FolderError, write_private
from broker.home.keys import AllowList, server_pair
from broker.home.logs import Log, open_log
from broker.home.settings import Settings, SettingsError
from broker.home.watched_files import Ground
from broker.service.supervised import allow_many_files, die_with_parent, hear_parent_in

_RETRY_BIND_S = 2.0
_ENVELOPE_BYTES = 64 * 1024


def frame_limit_bytes(settings: Settings) -> int:
    """Room for the longest message and what is around it. Before its handshake a peer could make us hold as much."""
    return settings.message_limit_bytes + settings.data_limit_bytes + _ENVELOPE_BYTES


async def open_gate(settings: Settings, door: Door, log: Log, stopping: asyncio.Event, ground: Ground) -> None:
    """Bind the address; try again while it is taken, until told to stop."""

    def say(address: str, error: str | None) -> None:
        ground.make(settings.home / "run" / "remote.json", partial(write_state, settings, address, error), log)

    told = ""
    while not stopping.is_set():
        try:
            address = door.open(settings.remote, server_pair(settings), frame_limit_bytes(settings))
        except (zmq.ZMQError, OSError, SettingsError) as e:
            error = f"{settings.remote}: {e.strerror if isinstance(e, zmq.ZMQError) else e}"
            if error != told:
                log.error("remote_cannot_listen", endpoint=settings.remote, detail=error)
                say(settings.remote, error)
                told = error
            try:
                await asyncio.wait_for(stopping.wait(), _RETRY_BIND_S)
            except TimeoutError:
                continue
        else:
            say(address, None)
            log.info("remote_listening", endpoint=address)
            return


def write_state(settings: Settings, address: str, error: str | None) -> None:
    state = {"pid": os.getpid(), "endpoint": address, "error": error}
    write_private(settings.home / "run" / "remote.json", json.dumps(state))


async def serve(settings: Settings, log: Log, supervised: bool) -> None:
    """Run until SIGTERM, SIGINT or the end of standard input when supervised."""
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stopping.set)
    ground = Ground(settings)
    if supervised:
        hear_parent_in(loop, stopping, partial(ground.tend, log, stopping))
    broker = AsyncConnection(settings, autostart=not supervised, door="remote", link="zeromq")
    allowed = AllowList(settings, lambda detail: log.error("keys_unreadable", detail=detail))
    door = Door(settings, broker, allowed, log)
    await open_gate(settings, door, log, stopping, ground)
    await stopping.wait()
    door.close()
    await broker.close()
    log.info("remote_stopped")


def main(argv: list[str] | None = None) -> int:
    """Exit status: 0 stopped, 1 can't start."""
    parser = argparse.ArgumentParser(prog="python -m bridges.remote", description="Run the door for other machines.")
    parser.add_argument("--supervised", action="store_true", help="stop when standard input closes")
    options = parser.parse_args(argv)
    if options.supervised:
        die_with_parent()
    allow_many_files()
    try:
        settings = Settings.load()
        prepare_home(settings)
    except (SettingsError, FolderError) as e:
        print(f"remote: {e}", file=sys.stderr)
        return 1
    log = open_log("remote", settings.home / "logs", settings.log_level)
    asyncio.run(serve(settings, log, options.supervised))
    return 0


if __name__ == "__main__":
    sys.exit(main())
