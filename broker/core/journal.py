"""The undo log of the memory. A batch that can't be committed is undone whole; a request that is refused is undone alone."""

from collections.abc import Callable
from typing import Any, Literal, TypeVar, TypeVarTuple, overload

from broker.core.facts import Activity, Body, Step, Waking
from broker.core.state import Alternation, Group, Mailbox, Notice, Overdue, Session, State, Subscription, Waiter, Watcher

Key = TypeVar("Key")
Value = TypeVar("Value")
Args = TypeVarTuple("Args")
Ids = set[int]


class Journal:
    """Every change of the state goes through this."""

    __slots__ = ("_undo",)

    def __init__(self) -> None:
        self._undo: list[tuple[Callable[..., Any], tuple[Any, ...]]] = []

    def mark(self) -> int:
        return len(self._undo)

    def rollback(self, mark: int = 0) -> None:
        """Take back, latest first, what was done since ``mark``."""
        while len(self._undo) > mark:
            undo, args = self._undo.pop()
            undo(*args)

    def commit(self) -> None:
        self._undo.clear()

    def on_rollback(self, undo: Callable[[*Args], object], *args: *Args) -> None:
        self._undo.append((undo, args))

    # The type checker sees each field that may be set, with its type. At run time there is one function.

    @overload
    def set(self, thing: Mailbox, attribute: Literal["queued", "cursor", "maker", "autocheck_min"], value: int) -> None: ...
    @overload
    def set(self, thing: Mailbox, attribute: Literal["last_seen_s", "renamed_s", "bounced_s"], value: float) -> None: ...
    @overload
    def set(self, thing: Mailbox, attribute: Literal["activity"], value: Activity) -> None: ...
    @overload
    def set(self, thing: Mailbox, attribute: Literal["waking"], value: Waking) -> None: ...
    @overload
    def set(self, thing: Session, attribute: Literal["body"], value: Body | None) -> None: ...
    @overload
    def set(self, thing: Mailbox, attribute: Literal["name", "presence", "note"], value: str) -> None: ...
    @overload
    def set(self, thing: Mailbox, attribute: Literal["claimed"], value: bool) -> None: ...
    @overload
    def set(self, thing: Mailbox, attribute: Literal["reach"], value: tuple[str, ...]) -> None: ...
    @overload
    def set(self, thing: Mailbox, attribute: Literal["ended"], value: tuple[bytes, ...]) -> None: ...
    @overload
    def set(self, thing: Mailbox, attribute: Literal["blocked"], value: dict[int, str]) -> None: ...
    @overload
    def set(self, thing: Mailbox, attribute: Literal["returned"], value: list[int]) -> None: ...
    @overload
    def set(self, thing: Mailbox, attribute: Literal["waiters", "askers"], value: list[Waiter]) -> None: ...
    @overload
    def set(self, thing: Mailbox, attribute: Literal["watchers"], value: list[Watcher]) -> None: ...
    @overload
    def set(self, thing: Mailbox, attribute: Literal["subscription"], value: Subscription | None) -> None: ...
    @overload
    def set(self, thing: Mailbox, attribute: Literal["session"], value: Session | None) -> None: ...
    @overload
    def set(self, thing: Mailbox, attribute: Literal["notice"], value: Notice | None) -> None: ...
    @overload
    def set(self, thing: Session, attribute: Literal["tokens", "refilled_s"], value: float) -> None: ...
    @overload
    def set(self, thing: Session, attribute: Literal["replaced"], value: bool) -> None: ...
    @overload
    def set(self, thing: Session, attribute: Literal["mailbox"], value: Mailbox) -> None: ...
    @overload
    def set(self, thing: Group, attribute: Literal["members"], value: dict[int, None]) -> None: ...
    @overload
    def set(self, thing: Alternation, attribute: Literal["last_sender", "count"], value: int) -> None: ...
    @overload
    def set(
        self,
        thing: State,
        attribute: Literal[
            "last_message_id",
            "last_mailbox_id",
            "last_group_id",
            "last_claim_id",
            "last_alarm_id",
            "last_watch_id",
            "last_schedule_id",
            "dropped_bounces",
            "registered",
        ],
        value: int,
    ) -> None: ...
    @overload
    def set(self, thing: Mailbox, attribute: Literal["overdue"], value: Overdue) -> None: ...
    @overload
    def set(self, thing: State, attribute: Literal["searched"], value: list[int]) -> None: ...
    @overload
    def set(self, thing: State, attribute: Literal["chore_s"], value: float) -> None: ...
    @overload
    def set(self, thing: State, attribute: Literal["radar_begun"], value: bool) -> None: ...
    @overload
    def set(self, thing: State, attribute: Literal["steps"], value: list[Step]) -> None: ...
    @overload
    def set(self, thing: State, attribute: Literal["expired_far"], value: list[tuple[int, int, str]]) -> None: ...
    @overload
    def set(self, thing: State, attribute: Literal["next_expiry_s", "scheduled_ahead_s"], value: float | None) -> None: ...
    def set(self, thing: object, attribute: str, value: object) -> None:
        self._undo.append((setattr, (thing, attribute, getattr(thing, attribute))))
        setattr(thing, attribute, value)

    def put(self, table: dict[Key, Value], key: Key, value: Value) -> None:
        if key in table:
            self._undo.append((table.__setitem__, (key, table[key])))
        else:
            self._undo.append((table.pop, (key, None)))
        table[key] = value

    def drop(self, table: dict[Key, Any], key: Key) -> None:
        if key in table:
            self._undo.append((table.__setitem__, (key, table.pop(key))))

    def add(self, members: Ids, item: int) -> None:
        if item not in members:
            members.add(item)
            self._undo.append((members.discard, (item,)))

    def discard(self, members: Ids, item: int) -> None:
        if item in members:
            members.discard(item)
            self._undo.append((members.add, (item,)))
