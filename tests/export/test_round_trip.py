"""Export, import into an empty data folder, export again: the same mail under other ids. Real engines over real stores."""

import io
import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from bridges.export import json_lines
from bridges.export.letters import ExportedMail
from bridges.export.taking_in import Import, ImportReport
from tests.engine import OWNER, Core
from tests.examples import examples

NAMES = ("fred", "claude", "bob")
TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=40) | st.sampled_from(["x\r\n\0", "ü" * 400, "From me"])
DATA = st.none() | st.lists(st.integers(-5, 5) | st.text(st.characters(exclude_categories=("Cs",)), max_size=3), max_size=3)
WHO = st.sampled_from(NAMES)
LAND = st.sampled_from([None, "digest", "turn", "interrupt"])
DOING = st.lists(
    st.one_of(
        st.tuples(st.just("send"), WHO, st.sampled_from([*NAMES, "devs", "nova"]), TEXT, DATA, LAND),
        st.tuples(st.just("broadcast"), WHO, TEXT),
        st.tuples(st.just("ask"), WHO, st.sampled_from([*NAMES]), TEXT),
        st.tuples(st.just("reply"), WHO, st.integers(1, 12), TEXT),
        st.tuples(st.just("forward"), WHO, st.integers(1, 12), WHO),
        st.tuples(st.just("withdraw"), WHO, st.integers(1, 12)),
        st.tuples(st.just("read"), WHO, st.sampled_from([None, "hook", "inferred"])),
        st.tuples(st.just("refuse"), WHO),
        st.tuples(st.just("wait"), st.integers(1, 4000)),
    ),
    min_size=1,
    max_size=25,
)


def act(core: Core, what: str, *of: Any) -> None:
    core.pass_time(0.125)
    if what == "send":
        who, to, text, data, land = of
        message = {"content": text} if data is None else {"content": text, "data": data}
        core.ask(who, "send", to_id=to, message=message, **({"land": land} if land else {}))
    elif what == "broadcast":
        core.ask(of[0], "broadcast", message={"content": of[1]})
    elif what == "ask":
        core.ask(of[0], "ask", to_id=of[1], message={"content": of[2]})
    elif what == "reply":
        core.ask(of[0], "reply", to_message=str(of[1]), message={"content": of[2]})
    elif what == "forward":
        core.ask(of[0], "forward", forward_id=str(of[1]), to_id=of[2])
    elif what == "withdraw":
        core.ask(of[0], "withdraw", withdraw_id=str(of[1]))
    elif what == "read":
        core.ask(of[0], "ack", ids=[m["id"] for m in core.check(of[0])], **({"evidence": of[1]} if of[1] else {}))
    elif what == "refuse":
        core.ask(of[0], "release", ids=[m["id"] for m in core.check(of[0], limit=1)], refuse=True, why="no")
    else:
        core.pass_time(of[0])


@contextmanager
def core_in(folder: str) -> Iterator[Core]:
    home = Path(folder)
    home.mkdir()
    core = Core(home, env={"IPC_LARGE_MESSAGE_BYTES": "300", "IPC_WAKE_PAUSE": "0", "IPC_PAIR_LIMIT": "0"})
    try:
        yield core
    finally:
        core.store.close()


def owner_of(core: Core) -> Any:
    return lambda bodies: core.batch(*[{**body, "as_": "page", "session_token": OWNER} for body in bodies])


def exported(core: Core, **fields: Any) -> bytes:
    mail = ExportedMail(owner_of(core), {"limit": 3, **fields}, lambda *_: None)
    return b"".join([json_lines.head("abc", "now"), *map(json_lines.line, mail), json_lines.end(mail.count)])


def imported(core: Core, file: bytes) -> ImportReport:
    report = ImportReport()
    Import(owner_of(core), report, unread=True, own="other").run(io.BytesIO(file), lambda *_: None, 0)
    return report


def but_for_ids(file: bytes) -> list[dict[str, Any]]:
    """The messages, with places in the file for ids. A thread whose beginning is gone is called by its first message."""
    rows = [json.loads(line) for line in file.splitlines()][1:-1]
    places: dict[str, int] = {}
    for place, row in enumerate(rows):
        places[row["id"]] = place
        places.setdefault(f"thread {row['thread']}", place)
    for row in rows:
        row.pop("was", None)
        row["id"], row["thread"] = places[row["id"]], places[f"thread {row['thread']}"]
        for field in ("reply_to", "supersedes"):
            if field in row:
                row[field] = places.get(row[field])
    return rows


def test_a_thread_whose_beginning_is_not_in_the_file_begins_with_its_first_message() -> None:
    folder = tempfile.mkdtemp(prefix="ipc-")
    try:
        with core_in(f"{folder}/a") as one, core_in(f"{folder}/b") as two:
            one.register(*NAMES)
            act(one, "send", "fred", "claude", "beginning", None, None)
            one.pass_time(60)
            for text in ("first", "second", "third"):
                act(one, "reply", "claude", 1, text)
            imported(two, exported(one, since_s=one.wall_s - 30))
            rows = [json.loads(line) for line in exported(two).splitlines()][1:-1]
            assert [(row["message"]["content"], row["thread"], row.get("reply_to")) for row in rows] == [
                ("first", rows[0]["id"], None),
                ("second", rows[0]["id"], None),
                ("third", rows[0]["id"], None),
            ]
    finally:
        shutil.rmtree(folder)


@examples(100)
@given(DOING)
def test_what_comes_in_is_what_went_out(doing: list[tuple[Any, ...]]) -> None:
    folder = tempfile.mkdtemp(prefix="ipc-")
    try:
        with core_in(f"{folder}/a") as one, core_in(f"{folder}/b") as two:
            one.register(*NAMES)
            one.ask("fred", "group_create", group="devs")
            one.ask("claude", "group_join", group="devs")
            for what in doing:
                act(one, *what)
            first = exported(one)
            two.wall_s = one.wall_s
            report = imported(two, first)
            assert (report.bad, report.already_there, report.imported) == (0, 0, len(but_for_ids(first))), report.shown
            assert two.late == two.keep_house() == []
            assert but_for_ids(exported(two)) == but_for_ids(first)
            two.restart()
            again = imported(two, first)
            assert (again.imported, again.already_there) == (0, report.imported)
            assert but_for_ids(exported(two)) == but_for_ids(first)
            for name in NAMES:
                two.register(name)
                assert [m["was"] for m in two.check(name)] == [m["id"] for m in unread(one, name)]
    finally:
        shutil.rmtree(folder)


def unread(core: Core, name: str) -> list[dict[str, Any]]:
    core.ask(name, "release")
    return core.check(name)
