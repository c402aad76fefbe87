"""The table of actions is light to import, and whole."""

import subprocess
import sys
from pathlib import Path

import pytest

from broker.core.handlers import HANDLERS
from broker.protocol.actions import ACTIONS, DELIVERING
from broker.protocol.errors import IpcError
from broker.protocol.essentials import AUTOCHECK_MINUTES, STORES
from broker.protocol.rows import Field
from nlparse.autocheck import DEFAULT_MINUTES, MOST_MINUTES

ROOT = Path(__file__).parent.parent.parent
ROWS = ("mail", "agent", "schedule", "site", "owner", "permission")
OF_THE_PROCESS = {"ping", "status"}
"""The server itself answers these."""


def test_the_table_the_errors_the_names_and_the_ids_import_nothing_else() -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); before = set(sys.modules)\n"
        "from broker.protocol import actions, errors, names, ids\n"
        "print(*(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True, timeout=30)
    loaded = set(done.stdout.split()) - {"__future__", "time"}
    room = {
        f"broker.protocol.{name}"
        for name in ("actions", "rows", "essentials", "errors", "names", "ids", *(f"{one}_rows" for one in ROWS))
    }
    assert loaded == {"broker", "broker.version", "broker.protocol", *room}


def test_each_action_has_a_handler_and_each_handler_an_action() -> None:
    assert HANDLERS.keys() | OF_THE_PROCESS == ACTIONS.keys()


def test_plain_words_ask_for_no_more_minutes_than_the_table_allows() -> None:
    assert ACTIONS["autocheck"].field("minutes").most == MOST_MINUTES
    assert DEFAULT_MINUTES == AUTOCHECK_MINUTES


def test_what_stores_mail_takes_a_message_id_and_what_delivers_brings_messages() -> None:
    for name, action in ACTIONS.items():
        fields = {field.name for field in action.fields}
        assert ("message_id" in fields) == (name in STORES or name in ("import", "post")), name
        assert name not in DELIVERING or "messages" in action.reply_fields()[0], name


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        (Field("n", (int,), "", low=1, high=60), 61, "The field n must be from 1 to 60"),
        (Field("t", (str,), "", high=3), "four", "The length of field t must be at most 3"),
        (Field("n", (int,), ""), True, "Field n must be a whole number"),
        (Field("c", (str,), "", choices=("a", "b")), "x", "Field c must be one of a, b"),
    ],
)
def test_a_value_out_of_bounds_is_refused_in_words(field: Field, value: object, said: str) -> None:
    with pytest.raises(IpcError) as refused:
        field.check(value)
    assert refused.value.data["detail"] == said
