"""Mail read back from the text that a model gets: what stands between the fences, and what the headings say."""

import json
import re
from typing import Any

_BLOCK = re.compile(r"\[mail ([0-9a-f]{8})\] id (\d+) from (\S+)(.*?)\n(.*?)\n\[end \1\]", re.DOTALL)


def mail_in(text: str) -> list[dict[str, Any]]:
    """Each fenced message: id, sender, about (the rest of the heading), content, data, file, redelivered."""
    found = []
    for _fence, number, sender, about, body in _BLOCK.findall(text):
        lines = body.split("\n")
        file = lines.pop().partition("file: ")[2] if lines[-1].startswith("whole text in file: ") else None
        data = json.loads(lines.pop().removeprefix("data: ")) if len(lines) > 1 and lines[-1].startswith("data: ") else None
        again = "(delivered before, perhaps seen)" in about
        found.append(
            {
                "id": number,
                "sender": sender,
                "about": about,
                "content": "\n".join(lines),
                "data": data,
                "file": file,
                "redelivered": again,
            }
        )
    return found
