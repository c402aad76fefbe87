"""``python -m bench.doors.tcp_door WAY``: the TCP door once more, over a chosen way to the broker of $IPC_HOME.

It prints its port and runs until standard input ends, so that the same door can be measured over the ROUTER and over the
Unix socket in one run, at one broker.
"""

import asyncio
import sys
from typing import get_args

from bridges.tcp.connection import TcpConnection
from bridges.tcp.json_requests import JsonUpstream
from bridges.tcp.listener import Listener, bound
from broker.client.aio import AsyncConnection
from broker.client.links import Way
from broker.home.logs import Log
from broker.home.settings import Settings
from broker.service.supervised import allow_many_files, collect_seldom, die_with_parent


async def serve(way: Way) -> None:
    """Run until standard input ends."""
    settings, stopping = Settings.load(), asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), stopping.set)
    quick, bulk = (AsyncConnection(settings, autostart=False, door="tcp", link=way) for _ in range(2))
    upstream = JsonUpstream(settings, quick, bulk, Log(f"bench-{way}", settings.home / "logs", settings.log_level))
    listener = Listener(bound("127.0.0.1", 0), lambda: TcpConnection(upstream))
    collect_seldom()
    sys.stdout.write(f"{listener.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await stopping.wait()
    listener.close()
    for lane in (quick, bulk):
        await lane.close()


if __name__ == "__main__":
    die_with_parent()
    allow_many_files()
    asyncio.run(serve(next(way for way in get_args(Way) if way == sys.argv[1])))
