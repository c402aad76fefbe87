"""The view itself: Now on the screen, keys to act, the broker behind it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from typing import Any, ClassVar

from textual import events
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Input, Static

from bridges.person import Person
from bridges.tui.board import MOVES, Board
from bridges.tui.dialogs import Reading, Sure, Typed
from bridges.tui.lines import LastWord, Row, cut, now_of, rows_of, summary
from bridges.tui.live import OverviewFeed
from bridges.tui.talk import TalkScreen
from bridges.view.needs import Need
from broker.client.aio import AsyncConnection
from broker.home.files import owner_key
from broker.home.settings import Settings
from broker.protocol.errors import IpcError

_AGAIN_S = 5.0
"""Ages on the screen are told anew so often."""
INTERRUPTED = 130
_KEYS = "enter read  a answer  w write  m mute  y/n permit  / find  ? keys  q quit"
HELP = """\
j k, arrows      choose a line; page up, page down, g and G go further
enter            read: the conversation, the whole question, the dead letter
a                answer the chosen question
w                write to the chosen agent
m                mute: nothing wakes the chosen agent, or wakes again
p                pause a pair: what they write to each other is refused
d                send the chosen dead letter again, as you
y n              allow or deny the chosen permission; you are shown all of it first
/                show only lines with these words; esc shows all
q                quit

Reading takes no mail from anybody. Colours say nothing that is not there as a word."""


class Top(App[None]):
    """Now, live, for the person."""

    ENABLE_COMMAND_PALETTE = False
    AUTO_FOCUS = "Board"
    CSS = """
    #head { height: 1; text-style: bold; }
    #said { height: 1; }
    #keys { height: 1; text-style: dim; }
    #filter { display: none; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        *MOVES,  # also where nothing has the focus, as for a moment after a dialog
        Binding("enter", "read"),
        Binding("a", "answer"),
        Binding("w", "write"),
        Binding("m", "mute"),
        Binding("p", "pair"),
        Binding("d", "again"),
        Binding("y", "decide('allow')"),
        Binding("n", "decide('deny')"),
        Binding("slash", "filter"),
        Binding("escape", "all"),
        Binding("question_mark", "help"),
        Binding("q", "leave"),
        Binding("ctrl+c", "interrupt", priority=True),
    ]

    def __init__(self, settings: Settings) -> None:
        super().__init__(ansi_color=True)
        self.theme = "ansi-dark"  # the colours of the terminal itself, dark or light
        self._settings = settings
        self._overview: dict[str, Any] = {}
        self._dead: list[dict[str, Any]] = []
        self._read_s = 0.0
        self._away = "asking the broker"
        self._said = ""
        self._columns = 80
        self._seen: set[str] = set()

    def compose(self) -> ComposeResult:
        yield Static("", id="head", markup=False)
        yield Board()
        yield Input(placeholder="words that a line must have", id="filter", compact=True)
        yield Static("", id="said", markup=False)
        yield Static("", id="keys", markup=False)

    async def on_mount(self) -> None:
        key = owner_key(self._settings.home)
        self._broker = AsyncConnection(self._settings, autostart=False, door="tui")
        self._person = Person(self._broker, self._settings, key)
        self._feed = OverviewFeed(self._broker, key, self._shown, self._is_away)
        self._feeding = asyncio.ensure_future(self._feed.run())
        self.set_interval(_AGAIN_S, self._draw)
        self.run_worker(self._tried(self._person.session()))

    async def on_unmount(self) -> None:
        self._feeding.cancel()
        await self._broker.close()

    # what is shown

    @property
    def person_name(self) -> str:
        return self._person.name

    def now_s(self) -> float:
        return now_of(self._overview, time.monotonic() - self._read_s)

    def _shown(self, overview: dict[str, Any], dead: list[dict[str, Any]]) -> None:
        self._overview, self._dead, self._read_s, self._away = overview, dead, time.monotonic(), ""
        self._draw()
        if isinstance(self.screen, TalkScreen):
            self.screen.news()

    def _is_away(self, why: str) -> None:
        self._away = why
        self._draw()

    def on_resize(self, event: events.Resize) -> None:
        self._columns = event.size.width
        self._draw()

    def _draw(self) -> None:
        base, columns = self.screen_stack[0], self._columns
        field = base.query_one("#filter", Input)
        head = f"agent-ipc  {summary(self._overview, self.person_name)}" if self._overview else "agent-ipc"
        if field.value and not field.display:
            head = f"only {field.value} (esc: all)  {head}"
        if self._away:
            head = f"AWAY: {self._away}" + (" (what is below was true before)" if self._overview else "")
        base.query_one("#head", Static).update(cut(head, columns))
        base.query_one("#said", Static).update(cut(self._said, columns))
        base.query_one("#keys", Static).update(cut(_KEYS, columns))
        if self._overview:
            seen = LastWord(self._overview, self._dead, self.person_name, self.now_s())
            base.query_one(Board).show(rows_of(seen, columns - 1, field.value))

    def say(self, what: str) -> None:
        """One line at the foot: what came of the last key."""
        self._said = what
        self._draw()
        if len(self.screen_stack) > 1:
            self.screen.query_one("#keys", Static).update(cut(what, self.size.width))

    # keys

    async def _tried(self, doing: Awaitable[Any], done: str = "") -> Any:
        """What was asked for, or None where it was refused, which is said."""
        try:
            found = await doing
        except IpcError as e:
            self.say(f"{e.text}. {e.hint}" if e.hint and e.code != "bad_request" else e.text)
            return None
        if done:
            self.say(done)
        self._feed.ask_again()
        return found

    def _do(self, doing: Awaitable[Any], done: str) -> None:
        self.run_worker(self._tried(doing, done))

    async def owner(self, action: str, **fields: Any) -> Any:
        """The reply to an owner's request, or None where it was refused, which is said."""
        try:
            return await self._person.own(action, **fields)
        except IpcError as e:
            self.say(e.text)
            return None

    def has_read(self, ids: list[str]) -> None:
        """The person has this mail before their eyes, and it is theirs."""
        if new := [one for one in ids if one not in self._seen]:
            self._seen.update(new)
            self.run_worker(self._ack(new))

    async def _ack(self, ids: list[str]) -> None:
        if await self._tried(self._person.ack(ids)) is None:
            self._seen.difference_update(ids)  # at the next look

    @property
    def _row(self) -> Row | None:
        return self.query_one(Board).chosen

    def action_move(self, by: int) -> None:
        self.query_one(Board).action_move(by)

    def action_page(self, by: int) -> None:
        self.query_one(Board).action_page(by)

    def action_read(self) -> None:
        row = self._row
        if row is None:
            return
        need = row.need
        if need is not None and need.kind == "permission":
            self.push_screen(Reading(f"{need.name} wants to use {need.tool}", [(need.text, "")], exact=True))
        elif need is not None and need.kind == "bounce":
            self.run_worker(self._show_dead(need))
        elif need is not None and need.kind == "question" and need.id:
            self.push_screen(TalkScreen(self, f"{need.name} asks", {"thread": need.id}, need.name))
        elif len(row.pair) == 2:
            self.push_screen(TalkScreen(self, " and ".join(row.pair), {"name": row.pair[0], "peer": row.pair[1]}, row.pair[0]))
        elif row.name:
            self.push_screen(TalkScreen(self, f"Mail of {row.name}", {"name": row.name}, row.name))

    async def _show_dead(self, need: Need) -> None:
        found = await self.owner("dead_letters", dead_id=need.id)
        if found and found["dead"]:
            one = found["dead"][0]
            head = f"{one['from']} to {one['to']}, {one['ending']}" + (f": {one['why']}" if one["why"] else "")
            await self.push_screen(Reading(f"Dead letter #{need.id}", [(head, "bold"), (one["content"], "")]))

    def action_answer(self) -> None:
        row = self._row
        if row and row.need and row.need.kind == "question" and row.need.id:
            proposed = f"\n\nIt proposes: {' / '.join(row.need.buttons)}" if row.need.buttons else ""
            self.answer(row.need.id, row.need.name, row.need.text + proposed)
        elif row and row.need and row.need.kind == "permission":
            self.say("y allows it, n denies it; both show all of it first")
        else:
            self.say("No question is chosen; w writes")

    def answer(self, message_id: str, name: str, text: str) -> None:
        def typed(answer: str | None) -> None:
            if answer:
                self._do(self._person.reply(message_id, answer), f"{name} has your answer")

        self.push_screen(Typed(f"Answer {name}", text), typed)

    def action_write(self) -> None:
        if self._row and self._row.name:
            self.write_to(self._row.name)

    def write_to(self, name: str) -> None:
        def typed(text: str | None) -> None:
            if text:
                self._do(self._person.send(name, text), f"Sent to {name}")

        self.push_screen(Typed(f"Write to {name}"), typed)

    def action_mute(self) -> None:
        row = self._row
        if row is None or not row.name:
            return
        if len(row.pair) == 2:
            self.say("This is a pair; p ends its pause")
            return
        held = any(p["name"] == row.name and not p.get("other") for p in self._overview.get("pauses", ()))
        done = f"Mail wakes {row.name} again" if held else f"Nothing wakes {row.name} until m again"
        self._do(self._person.pause(row.name, on=not held), done)

    def action_pair(self) -> None:
        row = self._row
        if row and len(row.pair) == 2:
            self.pause_pair(*row.pair)
        elif row and row.name:
            self.ask_pair(row.name)

    def ask_pair(self, name: str) -> None:
        def typed(other: str | None) -> None:
            if other:
                self.pause_pair(name, other)

        self.push_screen(Typed(f"Pause {name} and whom?", "What the two write to each other is refused until p again."), typed)

    def pause_pair(self, name: str, other: str) -> None:
        """Begin or end the pause of two."""
        held = any({p["name"], p.get("other")} == {name, other} for p in self._overview.get("pauses", ()))
        done = f"{name} and {other} may write to each other again" if held else f"{name} and {other} are paused"
        self._do(self._person.pause(name, other, on=not held), done)

    def action_again(self) -> None:
        need = self._row.need if self._row else None
        if need is None or need.kind != "bounce":
            self.say("No dead letter is chosen")
            return

        def sure(yes: bool | None) -> None:
            if yes:
                self._do(self._person.dead_forward(need.id, need.other), f"#{need.id} is sent again")

        self.push_screen(Sure(f"Send #{need.id} again, as {self.person_name}?", f"{need.name} {need.text}"), sure)

    def action_decide(self, decision: str) -> None:
        need = self._row.need if self._row else None
        if need is None or need.kind != "permission" or not need.id:
            self.say("No permission that can be given here is chosen")
            return

        def sure(yes: bool | None) -> None:
            if yes:
                done = f"{need.name} may" if decision == "allow" else f"{need.name} may not"
                self._do(self._person.permission_decide(need.id, decision), f"{done} use {need.tool}")

        host = f" ({need.host})" if need.host else ""
        ask = f"{'Allow' if decision == 'allow' else 'Deny'} {need.name}{host} to use {need.tool}?"
        self.push_screen(Sure(ask, need.text), sure)

    def action_filter(self) -> None:
        field = self.query_one("#filter", Input)
        field.display = True
        self.screen.set_focus(field)  # now: the next key belongs to it

    def action_all(self) -> None:
        field = self.query_one("#filter", Input)
        field.value = ""
        field.display = False
        self.screen.set_focus(self.query_one(Board))

    def on_input_changed(self, _changed: Input.Changed) -> None:
        self._draw()

    def on_input_submitted(self, typed: Input.Submitted) -> None:
        typed.input.display = False
        self.screen.set_focus(self.query_one(Board))
        self._draw()

    def action_help(self) -> None:
        self.push_screen(Reading("Keys", [(HELP, "")]))

    def action_leave(self) -> None:
        self.exit()

    def action_interrupt(self) -> None:
        self.exit(return_code=INTERRUPTED)
