"""The channels: desktop (notify-send), ntfy, webhook. Each sends one notice, or raises ChannelError with the reason."""

import asyncio
import json
import os
import shutil
import time
from html import escape
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from bridges.notify.http_post import ChannelError, post
from bridges.notify.notices import Notification
from bridges.notify.notify_settings import ChannelSettings, topic_of
from bridges.webhook_signatures import sign

_DESKTOP_S = 10.0
_PRIORITIES = {"question": 4, "permission": 5, "stall": 3, "many": 3}
_TAGS = {
    "question": "question",
    "permission": "lock",
    "stall": "warning",
    "bounce": "mailbox_with_no_mail",
    "done": "white_check_mark",
}
_URGENT = ("question", "permission")


async def tell(channel: ChannelSettings, notice: Notification) -> None:
    """Send a notice over a channel. Raises ChannelError."""
    if channel.name == "desktop":
        await _desktop(notice)
    elif channel.name == "ntfy":
        await asyncio.to_thread(post, *_ntfy(channel, notice))
    else:
        await asyncio.to_thread(post, *_webhook(channel, notice, int(time.time())))


async def _desktop(notice: Notification) -> None:
    """The body is markup to most desktops, so it is escaped; the title is not."""
    program = shutil.which("notify-send")
    if program is None:
        raise ChannelError("notify-send is not installed (Debian: libnotify-bin)")
    body = escape(notice.text, quote=False)
    if notice.link:
        body += f"{chr(10) if body else ''}{escape(notice.link, quote=False)}"
    urgency = "critical" if notice.kind in _URGENT else "normal"
    arguments = ["--app-name=agent-ipc", f"--urgency={urgency}", "--", notice.title, body]
    process = await asyncio.create_subprocess_exec(
        program,
        *arguments,
        env=_with_bus(dict(os.environ)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(_DESKTOP_S):
            _out, errors = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise ChannelError(f"notify-send did not end within {_DESKTOP_S:.0f} s") from None
    if process.returncode:
        raise ChannelError(errors.decode("utf-8", "replace").strip()[:200] or f"notify-send ended with {process.returncode}")


def _with_bus(environment: dict[str, str]) -> dict[str, str]:
    """A service that started outside the desktop's session finds its message bus at the usual place."""
    bus = f"/run/user/{os.getuid()}/bus"
    if "DBUS_SESSION_BUS_ADDRESS" not in environment and os.path.exists(bus):
        environment["DBUS_SESSION_BUS_ADDRESS"] = f"unix:path={bus}"
    return environment


def _ntfy(channel: ChannelSettings, notice: Notification) -> tuple[str, bytes, dict[str, str]]:
    """The JSON form goes to the server's root, with the topic in it. ``sequence_id`` (ntfy 2.16): twice is shown once."""
    parts = urlsplit(channel.url)
    root = urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/").rpartition("/")[0] + "/", "", ""))
    body: dict[str, Any] = {
        "topic": topic_of(channel.url),
        "title": notice.title,
        "message": notice.text or notice.title,
        "priority": _PRIORITIES.get(notice.kind, 2),
        "sequence_id": notice.id,
    }
    if notice.kind in _TAGS:
        body["tags"] = [_TAGS[notice.kind]]
    if notice.link:
        body["click"] = notice.link
        body["actions"] = [{"action": "view", "label": notice.label, "url": notice.link, "clear": True}]
    headers = {"Content-Type": "application/json"}
    if channel.token:
        headers["Authorization"] = f"Bearer {channel.token}"
    return root, json.dumps(body).encode(), headers


def _webhook(channel: ChannelSettings, notice: Notification, now_s: int) -> tuple[str, bytes, dict[str, str]]:
    """Signed anew for each attempt; the id stays, so that the receiver knows a repeat."""
    data: dict[str, Any] = {"kind": notice.kind, "title": notice.title}
    data |= {name: value for name in ("name", "text", "link", "until") if (value := getattr(notice, name))}
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now_s))
    body = json.dumps({"type": f"agent.{notice.kind}", "timestamp": stamp, "data": data}).encode()
    headers = {
        "Content-Type": "application/json",
        "webhook-id": notice.id,
        "webhook-timestamp": str(now_s),
        "webhook-signature": sign(channel.secret, notice.id, now_s, body),
    }
    return channel.url, body, headers
