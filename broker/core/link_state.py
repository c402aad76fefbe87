"""What a broker remembers of the mail between it and other sites (``broker.core.link`` has the rules)."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple


class Outbound(NamedTuple):
    """Mail to one site. The numbers of an epoch are 1, 2, 3 ... without gaps."""

    site: str
    epoch: str
    high: int = 0
    """Up to here the site has it, by its mark, and the uid of that number. The outbox begins behind it."""
    high_uid: str = ""
    redo: int = 0
    """How many rows the outbox had when the epoch began: those were numbered anew."""
    assigned: int = 0
    """The last number given."""
    sent: int = 0
    """The highest number that the door has taken, in this process's life."""


class Inbound(NamedTuple):
    """Mail of the latest epoch of a site."""

    site: str
    epoch: str
    high: int = 0
    """All up to this number is in."""
    uid: str = ""
    """Of that entry; empty where it is not known."""
    redo: int = 0


class StreamPlace(NamedTuple):
    """How far a stream was read: up to place ``cursor`` of the stream created at ``born``."""

    cursor: int
    born: str


class SiteKey(NamedTuple):
    """What the admin has said of a site: its public key, and the number of that word. A removed one has no key."""

    n: int
    key: str


class LinkEntry(NamedTuple):
    """One numbered thing from another site, verified by the door."""

    site: str
    epoch: str
    seq: int
    uid: str
    prev: str
    low: int
    redo: int
    body: dict[str, Any]


class SiteMark(NamedTuple):
    """A receiver's word of how far it is."""

    epoch: str
    high: int
    uid: str
    held: int | None
    cursor: int
    born: str


class LinkDoor(NamedTuple):
    """The process that carries the mail."""

    lease: int
    route: bytes
    request_id: Any
    carrier: str
    idle: bool = False
    """It has taken all there was, and is to be told of more."""


class OutboxRow(NamedTuple):
    """A row of the outbox. Without a message it is word of one that came from there, packed in ``body``."""

    site: str
    seq: int
    message_id: int | None
    uid: str
    body: bytes | None = None
    at: int = 0
    """Its place in the stream that was created at ``born``; 0 while no engine has confirmed it."""
    born: str = ""
    tries: int = 0
    """How often it was given to the door under another id; 0: never."""


@dataclass(slots=True)
class SiteHints:
    """What the door told last, in memory alone. ``at_s`` is a monotonic second."""

    connected: bool = False
    why: str = ""
    since_s: float = 0.0
    sites: dict[str, tuple[float, dict[str, Any]]] = field(default_factory=dict)
    """By site when it was told, and ``{age_s, away, why?}``."""
    agents: dict[str, tuple[float, list[dict[str, Any]]]] = field(default_factory=dict)
    claims: dict[str, tuple[float, list[dict[str, Any]]]] = field(default_factory=dict)


@dataclass(slots=True)
class SiteLink:
    """All of it. A broker without a site has an empty one."""

    outbound: dict[str, Outbound] = field(default_factory=dict)
    inbound: dict[str, Inbound] = field(default_factory=dict)
    held: dict[tuple[str, str], dict[int, None]] = field(default_factory=dict)
    """Numbers that came before one that is missing, by site and epoch, also of former epochs."""
    streams: dict[str, StreamPlace] = field(default_factory=dict)
    keys: dict[str, SiteKey] = field(default_factory=dict)
    again: dict[tuple[str, int], float] = field(default_factory=dict)
    """Rows to be published again, by the monotonic second from which."""
    flying: dict[tuple[str, int], float] = field(default_factory=dict)
    """Rows that the door has taken and not spoken of since, by when it took them."""
    door: dict[str, LinkDoor] = field(default_factory=dict)
    """At most one, under its name ``door``."""
    marked_s: float = 0.0
    """Monotonic second at which marks for all sources were answered last."""
    boxes: dict[str, int] = field(default_factory=dict)
    """Mailboxes that stand for names of each site."""
    hints: SiteHints = field(default_factory=SiteHints)
    dropped: int = 0
    """Entries that made no sense."""
