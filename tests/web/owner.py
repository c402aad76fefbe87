"""What the owner of a service's data folder sees of it."""

import hashlib
from typing import Any

from broker.client.json_lines import QuickConnection
from broker.home.files import owner_key
from broker.home.paths import Place
from tests.web.live_page import LivePage


def own(live: LivePage, action: str, **fields: Any) -> dict[str, Any]:
    """A reply to the owner."""
    with QuickConnection(Place(str(live.home)), autostart=False) as connection:
        return connection.request({"action": action, "session_token": owner_key(live.home), **fields})


def overview(live: LivePage) -> dict[str, Any]:
    return own(live, "overview")


def state(live: LivePage, *names: str) -> Any:
    """The mail of these names (of all, where none is given) with its steps, how much waits for them, and who is signed in."""
    wanted: list[dict[str, Any]] = [{"name": name} for name in names] or [{}]
    letters = [own(live, "letters", limit=1000, steps=True, **one)["messages"] for one in wanted]
    for receipt in (one for found in letters for letter in found for one in letter["receipts"]):
        receipt.pop("why", None)  # it tells an age
    agents = [(row["id"], row["queued"], row["leased"]) for row in overview(live)["agents"] if not names or row["id"] in names]
    return letters, agents, hashlib.sha256((live.home / "run" / "web-sign-ins.json").read_bytes()).hexdigest()
