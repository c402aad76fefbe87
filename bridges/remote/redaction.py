"""What another machine sees of a reply: large messages whole, and no path, size or count that is only this machine's."""

import os
from collections.abc import Iterable
from typing import Any

from broker.home.message_files import original

WHOLE_BYTES = 32 * 1024 * 1024
"""Bytes of large messages in one reply."""
_STATUS = frozenset({"id", "status", "version", "protocol", "uptime_s", "limits"})
_SITE = frozenset({"site", "age_s", "away", "agents"})
_SAVED = " Full content saved to: "
"""What stands between the summary of a large message and its path."""


def make_whole(messages: Iterable[dict[str, Any]]) -> int:
    """Put the text of large messages back, since the reader can't open their files here. Returns the characters of all texts.

    The summary and the bare name of the file stay beyond ``WHOLE_BYTES`` together, and where the file is not what was stored.
    """
    left, characters = WHOLE_BYTES, 0
    for m in messages:
        file, message = m.get("file"), m.get("message", {})
        if file is not None:
            text = None if file["size_bytes"] > left else original(file["path"], file["sha256"])
            summary = message["content"].rpartition(_SAVED)[0]
            if text is not None:
                left -= len(text)
                message["content"] = text.decode("utf-8", "replace")
                del m["file"]
            else:
                message["content"] = f"{summary} The whole text stays on the other machine."
                m["file"] = {**file, "path": os.path.basename(file["path"])}
            if "snippet" in m:  # of the summary, and perhaps of the path
                m["snippet"] = summary
        characters += len(message.get("content", ""))
    return characters


def hide_place(reply: dict[str, Any]) -> dict[str, Any]:
    """An error without the folder or terminal of who holds a name."""
    where = reply.get("holder", {}).pop("where", "")
    return {k: v.replace(f" at {where}", "") if where and isinstance(v, str) else v for k, v in reply.items()}


def outside_view(action: str, reply: dict[str, Any], home: str) -> dict[str, Any]:
    """A reply as another machine sees it, but for its messages (``make_whole``).

    Of the status and of sites no paths, no sizes, and not how much mail others have; of an error no path of the data folder.
    """
    if reply.get("status") != "ok":
        return {k: v.replace(home, "…") if isinstance(v, str) else v for k, v in hide_place(reply).items()}
    for row in reply.get("instances", ()):
        row.get("body", {}).pop("where", None)
    if action == "status":
        shown = {k: v for k, v in reply.items() if k in _STATUS}
        return {**shown, "instances": [{k: v for k, v in row.items() if k != "queued"} for row in reply["instances"]]}
    if action == "sites":
        shown = {k: v for k, v in reply.items() if k != "why"}
        return {**shown, "sites": [{k: v for k, v in row.items() if k in _SITE} for row in reply["sites"]]}
    if action == "ping":
        return {k: v for k, v in reply.items() if k != "pid"}
    for question in reply.get("asks", ()):
        question["content"] = question["content"].partition(_SAVED)[0]
    return reply
