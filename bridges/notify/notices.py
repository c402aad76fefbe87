"""What a person is told of a need: a title, a sentence, and a link to answer by. Pure.

Without ``body = "full"`` a notice says the kind and the agent's name, and not a word of what the agent wrote.
"""

import hashlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

from bridges.answer_tokens import KINDS as ANSWERABLE
from bridges.fence import one_line, visible
from bridges.notify.notify_settings import ChannelSettings
from bridges.view.needs import Need

MOST_AT_ONCE = 5
"""Notices of one look; what is more is told by its number."""
TEXT_CHARS = 1500
_TITLES = {
    "question": "{name} asks you something",
    "permission": "{name} wants your permission",
    "stall": "{name} is stuck",
    "bounce": "Mail of {name} was not read",
    "done": "{name} has finished",
}
_ELSEWHERE = "It waits in its own window."
_LABELS = {"question": "Answer", "permission": "Decide"}
_OF_THIS_MACHINE = "http://"
"""How links begin that lead to the listener's own address, which no name of the outside stands for (answer_links)."""
Link = Callable[[Need], str]
"""A link by which the need is answered; empty where there is none."""


class Notification(NamedTuple):
    """One notification. It tells of all ``keys``, usually of one."""

    keys: tuple[str, ...]
    kind: str
    name: str
    title: str
    text: str
    link: str = ""
    label: str = ""
    """What the link's button says."""
    until: str = ""

    @property
    def id(self) -> str:
        """The same for the same needs, also after a restart: receivers drop what they have seen."""
        return "ipc_" + hashlib.sha256("\n".join(self.keys).encode()).hexdigest()[:32]


def is_for(channel: ChannelSettings, need: Need) -> bool:
    """Whether the channel is told of the need."""
    return need.kind in channel.told


def notices_of(channel: ChannelSettings, needs: Sequence[Need], link_of: Link) -> list[Notification]:
    """Notices of needs that the channel has not told."""
    if len(needs) <= MOST_AT_ONCE:
        return [notice_of(channel, need, link_of) for need in needs]
    first, rest = needs[: MOST_AT_ONCE - 1], needs[MOST_AT_ONCE - 1 :]
    title = f"{len(rest)} more things wait for you"
    names = sorted({one_line(need.name) for need in rest})
    text = ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
    many = Notification(tuple(need.key for need in rest), "many", "", title, text)
    return [*(notice_of(channel, need, link_of) for need in first), many]


def notice_of(channel: ChannelSettings, need: Need, link_of: Link) -> Notification:
    title = _TITLES[need.kind].format(name=one_line(need.name))
    text = _words(need) if channel.full else _ELSEWHERE if need.key.startswith("host:") else ""
    link = link_of(need) if need.id and need.kind in ANSWERABLE and channel.is_private else ""
    if link.startswith(_OF_THIS_MACHINE) and channel.name != "desktop":
        link = ""  # of no use elsewhere, and a secret all the same
    return Notification((need.key,), need.kind, one_line(need.name), title, text, link, _LABELS.get(need.kind, ""), need.until)


def _words(need: Need) -> str:
    text = visible(need.text)
    head = f"{need.tool} ({need.host})\n" if need.tool and need.host else f"{need.tool}\n" if need.tool else ""
    whole = f"{head}{text}"
    return whole if len(whole) <= TEXT_CHARS else f"{whole[:TEXT_CHARS]}…"
