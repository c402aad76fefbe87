"""Permission prompts that wait at a real service, and the owner's word on them."""

import time
from typing import Any

from broker.client.json_lines import QuickConnection
from broker.client.sync import Connection
from broker.home.files import owner_key
from broker.home.settings import Settings
from tests.conftest import wait_for


class Owner:
    """The owner of a data folder, over a connection of its own, as ``with``."""

    def __init__(self, settings: Settings) -> None:
        self._key = owner_key(settings.home)
        self._connection = Connection(settings)

    def __enter__(self) -> "Owner":
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def prompts(self, name: str = "") -> list[dict[str, Any]]:
        """Those that wait, of one agent or of all."""
        rows = self._connection.request("overview", session_token=self._key)["permissions"]
        return [row for row in rows if name in ("", row["name"])]

    def prompt(self, name: str = "") -> dict[str, Any]:
        """The first one that waits, once there is one."""
        found: list[dict[str, Any]] = wait_for("a permission prompt", lambda: self.prompts(name), 60)
        return found[0]

    def decide(self, permission_id: str, decision: str) -> dict[str, Any]:
        return self._connection.request(
            "permission_decide", session_token=self._key, permission_id=permission_id, decision=decision
        )

    def none_waits(self, name: str = "") -> None:
        wait_for("the prompts' end", lambda: not self.prompts(name))


class Asking:
    """A hook's request that waits, as ``with``; its end ends the connection."""

    def __init__(self, settings: Settings, token: str, **fields: Any) -> None:
        body = {"action": "permission_ask", "call": f"call-{time.monotonic_ns()}", "tool": "Bash", "shown": "{}", "wait_s": 60}
        self._connection = QuickConnection(settings)
        self._connection.send([{**body, "id": 1, "session_token": token, **fields}], time.monotonic() + 20)

    def __enter__(self) -> "Asking":
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def told(self) -> str:
        replies: list[dict[str, Any]] = []
        while not replies:
            replies = self._connection.receive(time.monotonic() + 20)
        return str(replies[0]["decision"])
