"""The address of the door for other machines, from its binding to its end.

The door is a process of its own, so that what strangers send is parsed, and their handshakes are computed, beside the broker
and not in it. What became of the address stands in ``run/remote.json``: ``{"pid", "endpoint", "error"}``.
"""

import zmq

from bridges.remote.door import Door
from broker.client.aio import AsyncConnection
from broker.home.keys import AllowList, server_pair
from broker.home.settings import Settings, SettingsError
from broker.service.door_process import DoorProcess

_ENVELOPE_BYTES = 64 * 1024


def frame_limit_bytes(settings: Settings) -> int:
    """Room for the longest message and what is around it. Before its handshake a peer could make us hold as much."""
    return settings.message_limit_bytes + settings.data_limit_bytes + _ENVELOPE_BYTES


async def open_gate(process: DoorProcess, door: Door) -> None:
    """Bind the address; try again while it is taken, until told to stop."""
    settings = process.settings

    def attempt() -> str:
        return door.open(settings.remote, server_pair(settings), frame_limit_bytes(settings))

    def why(failure: Exception) -> str:
        return f"{settings.remote}: {failure.strerror if isinstance(failure, zmq.ZMQError) else failure}"

    def say(error: str | None, address: str = settings.remote) -> None:
        process.say(endpoint=address, error=error)

    address = await process.opened(attempt, why, say, zmq.ZMQError, OSError, SettingsError)
    if address is not None:
        say(None, address)
        process.log.info("remote_listening", endpoint=address)


async def serve(process: DoorProcess) -> None:
    """Serve the address until told to stop."""
    settings, log = process.settings, process.log
    broker = AsyncConnection(settings, autostart=not process.supervised, door="remote", link="zeromq")
    allowed = AllowList(settings, lambda detail: log.error("keys_unreadable", detail=detail))
    door = Door(settings, broker, allowed, log)
    await open_gate(process, door)
    await process.stopping.wait()
    door.close()
    await broker.close()
