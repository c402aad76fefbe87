"""Why a command of ``ipc nats`` can't go on."""

from __future__ import annotations


class Trouble(Exception):
    """What is wrong, and ``step``: what to do about it."""

    def __init__(self, text: str, step: str) -> None:
        super().__init__(text)
        self.step = step
