"""``ipc notify``: the channels, what waits, what was given up. ``ipc notify test``: send one over each, say how it went."""

import argparse
import asyncio
import time
from typing import TYPE_CHECKING, Any

from bridges.fence import one_line
from bridges.notify.channels import tell
from bridges.notify.http_post import ChannelError
from bridges.notify.notices import Notification
from bridges.notify.notify_settings import ChannelSettings, read_channels
from bridges.notify.outbox import NotifyOutbox
from bridges.plurals import number_of
from bridges.terminal import ago, complain, say, say_json, table

if TYPE_CHECKING:
    from broker.home.settings import Settings

OK, FAILED = 0, 1
_NONE = "config.toml has no channel under [notify]; docs/notifications.md shows them"


def run(settings: "Settings", options: argparse.Namespace) -> int:
    channels = read_channels(str(settings.home))
    if not channels:
        complain(_NONE)
        return FAILED
    return _test(channels, options) if options.what == "test" else _show(settings, channels, options)


def _test(channels: list[ChannelSettings], options: argparse.Namespace) -> int:
    notice = Notification((f"test:{time.time()}",), "test", "", "agent-ipc can reach you", "A test: nothing waits for you.")
    said = {channel.name: asyncio.run(_outcome(channel, notice)) for channel in channels}
    if options.json:
        say_json({name: error or "sent" for name, error in said.items()})
    else:
        for name, error in said.items():
            say(f"{name:8} {error or 'sent'}")
    return FAILED if any(said.values()) else OK


async def _outcome(channel: ChannelSettings, notice: Notification) -> str:
    """Why it did not go out; empty if it did."""
    try:
        await tell(channel, notice)
    except ChannelError as e:
        return f"failed: {e}"
    return ""


def _show(settings: "Settings", channels: list[ChannelSettings], options: argparse.Namespace) -> int:
    outbox = NotifyOutbox.read(str(settings.home))
    if options.json:
        rows = [
            {"channel": c.name, "kinds": c.told, "body": "full" if c.full else "name", **_counts(outbox, c)} for c in channels
        ]
        say_json({"channels": rows, "dead": [one._asdict() for one in outbox.dead]})
        return OK
    say(table(("CHANNEL", "KINDS", "BODY", "WAIT"), [_row(outbox, c) for c in channels]))
    for channel in channels:
        if channel.told != channel.kinds:
            say(f"{channel.name} is not told of permissions: that takes https, and for ntfy a token (docs/notifications.md)")
        for one in outbox.waiting.get(channel.name, {}).values():
            again_s = max(0.0, one.due_s - time.time())
            tried = f"tried {number_of(one.tries, 'time')}, again in {again_s:.0f} s"
            say(f"{channel.name}: {tried}: {one_line(one.error)}")
    if outbox.dead:
        say(f"\nGiven up ({len(outbox.dead)}):")
        rows_of_dead = [(ago(_iso(d.at_s)), d.channel, one_line(d.title), one_line(d.error)) for d in reversed(outbox.dead)]
        say(table(("WHEN", "CHANNEL", "WHAT", "WHY"), rows_of_dead))
    return OK


def _counts(outbox: NotifyOutbox, channel: ChannelSettings) -> dict[str, Any]:
    return {"waiting": len(outbox.waiting.get(channel.name, {}))}


def _row(outbox: NotifyOutbox, channel: ChannelSettings) -> tuple[str, str, str, str]:
    body = "full" if channel.full else "name"
    return channel.name, ", ".join(channel.told), body, str(len(outbox.waiting.get(channel.name, {})))


def _iso(unix_s: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(unix_s))
