"""``ipc import FILE``: mail of an export comes in, as the past. Repeating is harmless.

The file is read twice. Nothing is imported of one that has a bad line, unless that is asked for. Ids in a file ascend, so two
flat lists of numbers hold which message is which here: 16 bytes a message.
"""

import argparse
from array import array
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from bridges.export.json_lines import Bad, Message, NotOurs, messages, read_head
from bridges.export.letters import Ask, asking, origin_of
from bridges.fence import one_line
from bridges.plurals import number_of
from bridges.progress import Progress
from bridges.terminal import complain, say, say_json
from broker.home.settings import Settings
from broker.protocol.errors import IpcError

OK, FAILED = 0, 1
_AT_ONCE = 200
_AT_ONCE_BYTES = 4 * 1024 * 1024
_SHOWN = 20
Tell = Callable[[str, int, int], None]


@dataclass
class ImportReport:
    """What became of the lines."""

    imported: int = 0
    already_there: int = 0
    bad: int = 0
    shown: list[Bad] = field(default_factory=list)
    """The first of the bad ones, and of those that the broker refused."""

    def refuse(self, line: int, reason: str) -> None:
        self.bad += 1
        if len(self.shown) < _SHOWN:
            self.shown.append(Bad(line, one_line(reason)[:300]))


def import_file(settings: Settings, options: argparse.Namespace) -> int:
    """Exit status 0 if every message was taken, or was there already."""
    path = Path(options.file).expanduser()
    try:
        with path.open("rb") as file, Progress(Progress.messages) as tell:
            found, total = _look(file, tell)
            if found.bad and not options.skip_bad:
                return _refuse(found, options)
            taken = ImportReport(bad=found.bad, shown=found.shown)
            with asking(settings) as ask:
                Import(ask, taken, unread=options.unread, own=origin_of(settings)).run(file, tell, total)
    except NotOurs as e:
        raise IpcError("bad_request", detail=f"{path} is no export of agent-ipc: {e}") from None
    return _show(taken, options)


def _look(file: IO[bytes], tell: Tell) -> tuple[ImportReport, int]:
    """Read the whole file; what is wrong with it, and how many messages it has."""
    read_head(file)
    found, good = ImportReport(), 0
    for one in messages(file):
        if isinstance(one, Bad):
            found.refuse(one.line, one.reason)
        else:
            good += 1
            if good % _AT_ONCE == 0:
                tell("checking", good, 0)
    return found, good


class Import:
    """The second reading: requests in batches, each with the new ids of what it names."""

    def __init__(self, ask: Ask, taken: ImportReport, *, unread: bool, own: str) -> None:
        self._ask = ask
        self._taken = taken
        self._unread = unread
        self._own = own
        """The origin of the mail of this data folder itself, most of which is here still."""
        self._old, self._new = array("q"), array("q")
        self._threads: dict[int, int] = {}
        """New ids of the first message of threads whose beginning is not in the file."""
        self._waiting: list[Message] = []
        self._named: dict[int, str] = {}
        """By old id what those that wait are known by; likewise the first of a thread whose beginning is not in the file."""
        self._begun: dict[int, str] = {}
        self._bytes = 0

    def run(self, file: IO[bytes], tell: Tell, total: int) -> None:
        file.seek(0)
        origin = read_head(file)
        for one in messages(file):
            if isinstance(one, Message):
                self._add(one, origin)
                if not self._waiting:
                    tell("importing", len(self._old), total)
        self._send()

    def _add(self, one: Message, origin: str) -> None:
        # backwards: the store keeps ids that ascend as runs, in which a second import would look for long
        one.request["message_id"] = f"{str(one.id)[::-1]}-{origin}"
        for field_name, old in one.refs.items():
            new = self._new_id(old) or (self._threads.get(old) if field_name == "thread" else None)
            if new is not None:
                one.request[field_name] = str(new)
            elif old != one.id and (known_by := self._named.get(old) or (field_name == "thread" and self._begun.get(old))):
                one.request[field_name] = known_by
        if self._unread:
            one.request["unread"] = True
        if origin == self._own:
            one.request["own"] = True
        self._waiting.append(one)
        known_by = f"{one.request['from_id']}/{one.request['message_id']}"
        self._named[one.id] = known_by
        self._begun.setdefault(one.refs.get("thread", one.id), known_by)
        self._bytes += len(one.request["message"]["content"])
        if len(self._waiting) >= _AT_ONCE or self._bytes >= _AT_ONCE_BYTES:
            self._send()

    def _new_id(self, old: int) -> int | None:
        place = bisect_left(self._old, old)
        return self._new[place] if place < len(self._old) and self._old[place] == old else None

    def _send(self) -> None:
        for one, reply in zip(self._waiting, self._ask([one.request for one in self._waiting]), strict=True):
            if reply["status"] != "ok":
                self._taken.refuse(one.line, str(reply["message"]))
                continue
            if reply.get("duplicate"):
                self._taken.already_there += 1
            else:
                self._taken.imported += 1
            self._old.append(one.id)
            self._new.append(int(reply["number"]))
            thread = one.refs.get("thread", one.id)
            if thread != one.id and self._new_id(thread) is None:
                self._threads.setdefault(thread, int(reply["number"]))
        self._waiting.clear()
        self._named.clear()
        self._begun.clear()
        self._bytes = 0


def _refuse(found: ImportReport, options: argparse.Namespace) -> int:
    if options.json:
        say_json(_as_map(found))
        return FAILED
    _say_lines(found)
    complain(f"{number_of(found.bad, 'line')} of {options.file} can't be imported, so nothing was", "ipc import --help")
    return FAILED


def _show(taken: ImportReport, options: argparse.Namespace) -> int:
    if options.json:
        say_json(_as_map(taken))
    else:
        _say_lines(taken)
        left = f", {number_of(taken.bad, 'line')} left out" if taken.bad else ""
        say(f"{number_of(taken.imported, 'message')} imported, {taken.already_there} were there already{left}")
    return FAILED if taken.bad else OK


def _as_map(taken: ImportReport) -> dict[str, Any]:
    counts = {"imported": taken.imported, "already_there": taken.already_there, "bad": taken.bad}
    return {**counts, "lines": [one._asdict() for one in taken.shown]}


def _say_lines(taken: ImportReport) -> None:
    for one in taken.shown:
        complain(f"line {one.line}: {one.reason}")
    if taken.bad > len(taken.shown):
        complain(f"and {number_of(taken.bad - len(taken.shown), 'line')} more")
