"""Files of hosts that were never run, as ``ipc install --print`` shows them. Nothing writes them."""

import json
from pathlib import Path
from typing import Any

from bridges.known_hosts.installation import Edit


def added(path: Path, more: dict[str, Any]) -> Edit:
    """A JSON file with this in it, and all else that is there now; ours alone where what is there is no plain JSON."""

    def put(text: str) -> str:
        try:
            known = json.loads(text) if text.strip() else {}
            json.dumps(known, indent=2, ensure_ascii=False).encode()
        except (ValueError, RecursionError):
            known = {}
        return json.dumps(_merged(known, more), indent=2, ensure_ascii=False) + "\n"

    return Edit(path, put, lambda text: text)


def shown(path: Path, text: str) -> Edit:
    """A file of another form: what is to be in it, without what is there now."""
    return Edit(path, lambda _text: text, lambda text: text)


def _merged(known: Any, more: Any) -> Any:
    """Objects key by key, lists one behind the other, and anything else as it is in ``more``."""
    if isinstance(known, dict) and isinstance(more, dict):
        return {**known, **{key: _merged(known.get(key), value) for key, value in more.items()}}
    if isinstance(known, list) and isinstance(more, list):
        return [*known, *(one for one in more if one not in known)]
    return more
