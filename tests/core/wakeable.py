"""The processes beside an agent that can wake it, as the core sees them."""

from typing import Any

from tests.engine import Core

LOOK_S = 8.0


class Host:
    """The processes beside one agent: each arms ways over a connection of its own."""

    def __init__(self, core: Core, name: str = "claude") -> None:
        self.core = core
        self.name = name
        self.token = core.tokens[name]

    def arm(self, *ways: str, by: str = "", **fields: Any) -> list[str]:
        by = by or ways[0]
        asked = {"session_token": self.token, "notify": True, "ways": list(ways), "id": f"of {by}"}
        held: list[str] = self.core.batch({"action": "subscribe", **asked, **fields}, name=by)[0]["armed"]
        return held

    def pushes(self) -> list[dict[str, Any]]:
        """What the chores that are due by now push."""
        pushed: list[dict[str, Any]] = []
        while self.core.engine.state.chore_s <= self.core.mono_s:
            pushed += self.core.keep_house()
        return pushed

    def notices(self) -> list[str]:
        """The ways that are told to speak by now."""
        return [push["way"] for push in self.pushes() if push.get("push") == "wake"]

    def after(self, seconds: float) -> list[str]:
        self.core.pass_time(seconds)
        return self.notices()

    def answer(self, way: str, result: str = "given") -> str:
        state: str = self.core.batch(
            {"action": "way", "session_token": self.token, "way": way, "result": result, "id": "answer"}, name=way
        )[0]["state"]
        return state

    def states(self) -> dict[str, str]:
        return {way.name: way.state for way in self.core.engine.state.mailboxes[self.name].waking.ways}

    def works(self) -> None:
        self.core.ask(self.name, "presence", state="working")

    def rests(self) -> None:
        self.core.ask(self.name, "presence", state="idle")
