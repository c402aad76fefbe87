"""The values of arguments: within the bounds that the table of actions has, refused in words that a person can act on."""

from __future__ import annotations


def message_id(text: str) -> str:
    """A message's number, also with the # before it that mail is shown with."""
    return text.removeprefix("#")


def host(text: str) -> str:
    """A host's name, in any case, or what else it is called: ``Claude``, ``claude-code``."""
    from bridges.known_hosts.catalogue import about, names

    word, known = text.lower().replace(" ", "-"), names()
    if word in known:
        return word
    called = {one: name for name in known for one in (about(name).title.lower().replace(" ", "-"), about(name).program)}
    if word in called:
        return called[word]
    from argparse import ArgumentError
    from difflib import get_close_matches

    close = get_close_matches(word, [*known, *called], n=1)
    meant = f"; did you mean {called.get(close[0], close[0])}?" if close else "."
    raise ArgumentError(None, f"no host is called {text}{meant} There are: {', '.join(known)}")


def no_more_hosts(text: str) -> str:
    """Nothing: it stands behind the host."""
    from argparse import ArgumentError

    raise ArgumentError(None, f"{text} is one too many: one host, or none for all")


def name(text: str) -> str:
    """A name that can be registered."""
    from broker.protocol.names import is_name

    if not is_name(text):
        from argparse import ArgumentTypeError

        raise ArgumentTypeError(f"{text[:64]!r} can be no name: use 1-32 of A-Z a-z 0-9 _ -")
    return text


def seconds(text: str) -> float:
    """A length of time, such as 20m."""
    from bridges.cli import times

    return times.seconds(text)


def moment(text: str) -> float:
    """A Unix time, such as the next 17:30."""
    from bridges.cli import times

    return times.moment(text)


class Between:
    """The type of an argument that is a number of ``unit`` from ``low`` to ``high``.

    ``str`` of it says the bounds, for ``%(type)s`` in a help text.
    """

    __slots__ = ("_high", "_kind", "_low", "_unit")

    def __init__(self, low: int, high: int, kind: type[int | float], unit: str) -> None:
        self._low = low
        self._high = high
        self._kind = kind
        self._unit = unit

    def bounds(self) -> tuple[int, int]:
        return self._low, self._high

    def __str__(self) -> str:
        low, high = self.bounds()
        return f"{low:,} to {high:,}"

    def __call__(self, text: str) -> int | float:
        low, high = self.bounds()
        try:
            value = self._kind(text)
        except ValueError:
            value = self._kind(low - 1)
        if not low <= value <= high:
            whole = "a whole number " if self._kind is int else ""
            from argparse import ArgumentTypeError

            raise ArgumentTypeError(f"{text!r} must be {whole}from {low} to {high} {self._unit}")
        return value


class Bounded(Between):
    """The same for an argument that becomes a field of a request: within the field's bounds.

    A ``least`` of its own stands in place of the field's. The table is imported when bounds are wanted.
    """

    __slots__ = ("_action", "_least", "_name")

    def __init__(self, action: str, name: str, kind: type[int | float], unit: str, least: int | None = None) -> None:
        super().__init__(0, 0, kind, unit)
        self._action = action
        self._name = name
        self._least = least

    def bounds(self) -> tuple[int, int]:
        from broker.protocol.actions import ACTIONS

        field = ACTIONS[self._action].field(self._name)
        return (field.low or 0) if self._least is None else self._least, field.most


def since_s(text: str) -> float:
    """Unix seconds of a day, a time (local unless it says otherwise), or a length of time ago."""
    from datetime import datetime

    try:
        return max(0.0, datetime.fromisoformat(text).timestamp())
    except (ValueError, OverflowError, OSError):
        import time

        return max(0.0, time.time() - kept_s(text))


class Span:
    """The type of an argument that is a length of time with its unit, such as ``90d``; at most ``most`` seconds."""

    __slots__ = ("_most",)

    def __init__(self, most: int) -> None:
        self._most = most

    def __call__(self, text: str) -> float:
        units = {"s": 1, "min": 60, "h": 3600, "d": 86_400, "w": 604_800, "y": 31_536_000}
        number = text.rstrip("abcdefghijklmnopqrstuvwxyz")
        unit = units.get(text[len(number) :].strip())
        if unit is None or not number.isascii() or not number.isdigit() or not 1 <= int(number) * unit <= self._most:
            from argparse import ArgumentTypeError

            raise ArgumentTypeError(
                f"{text!r} must be a number and a unit ({', '.join(units)}), at most {self._most // 31_536_000} y"
            )
        return float(int(number) * unit)


wait_s = Bounded("check", "wait_s", float, "seconds")
ttl_s = Bounded("send", "ttl_s", float, "seconds")
deadline_s = Bounded("ask", "deadline_s", float, "seconds")
claim_s = Bounded("claim", "ttl_s", float, "seconds")
watch_s = Bounded("watch_agent", "ttl_s", float, "seconds")
schedule_number = Bounded("schedule_drop", "schedule_id", int, "(ipc schedule lists them)")
watch_number = Bounded("unwatch_agent", "watch_id", int, "(ipc watches lists them)")
count = Bounded("check", "limit", int, "messages")
page_size = Bounded("history", "limit", int, "messages")
minutes = Bounded("autocheck", "minutes", int, "minutes", least=1)
streams = Between(1, 64, int, "streams")
copies = Between(1, 5, int, "copies")
disk_gib = Between(1, 1_000_000, int, "GiB")
lines = Between(0, 1_000_000, int, "events")
kept_s = Span(100 * 31_536_000)
