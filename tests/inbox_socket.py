"""The inbox socket of a Claude Code session, for tests of who writes to it."""

import json
import socket
import threading
from pathlib import Path
from typing import Any


class InboxSocket:
    """It reads lines, keeps them, and answers nothing."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self.lines: list[dict[str, Any]] = []
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(self.path)
        self._listening.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def texts(self) -> list[str]:
        """What the session was told."""
        return [line["message"]["content"] for line in self.lines if line["type"] != "auth"]

    @property
    def tokens(self) -> list[str]:
        return [line["token"] for line in self.lines if line["type"] == "auth"]

    def _serve(self) -> None:
        while True:
            try:
                peer, _ = self._listening.accept()
            except OSError:
                return
            with peer, peer.makefile("rb") as lines:
                for line in lines:
                    self.lines.append(json.loads(line))

    def close(self) -> None:
        self._listening.close()
