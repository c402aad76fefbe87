"""Our table in Codex CLI's configuration: what else is there stays byte for byte."""

import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from bridges.known_hosts.toml_entries import with_server, without_server
from broker.protocol.errors import IpcError

PATH = Path("config.toml")
ENTRY: dict[str, Any] = {
    "command": "/bin/ipc",
    "args": ["mcp", "--name", 'a"b'],
    "env": {"IPC_HOME": "/a b"},
    "env_vars": [],
    "tools": {"send": {"approval_mode": "approve"}},
}
WANTED = {key: value for key, value in ENTRY.items() if value}
TEXTS = {
    "empty": "",
    "comments": '# mine\ntheme = "dark" # keep\n\n[mcp_servers.other]\ncommand = "x"\n\n# the end\n',
    "tables behind": 'a=1\n[mcp_servers.other]\ncommand = "x"\n# about projects\n[projects."/x"]\ntrust_level = "trusted"\n',
    "tables apart": "[mcp_servers.a]\nx=1\n\n[p]\ny=2\n\n[mcp_servers.b]\nx=2 # c\n\n# z\n[q]\ny=3\n",
    "a header of its own": '[mcp_servers]\n\n[ mcp_servers . "other" ]\ncommand="x"\n\n[[z]]\nq=1\n',
    "dotted": 'mcp_servers.other.command = "x"\n[z]\nq=1\n',
    "lines of Windows": 'a = 1\r\n[mcp_servers.other]\r\ncommand = "x"\r\n\r\n[z]\r\nq=1\r\n',
    "words of ours in a text": 'note = """\n[mcp_servers.ipc]\n# >>> agent-ipc >>>\n"""\n',
}
LATER = "\n# about later\n[later]\nx = 1 # one\n"


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_the_table_is_put_in_once_and_all_else_stays(text: str) -> None:
    after = with_server(text, PATH, ENTRY)
    assert after.startswith(text) and with_server(after, PATH, ENTRY) == after
    config = tomllib.loads(after)
    assert config["mcp_servers"].pop("ipc") == WANTED
    assert config == {"mcp_servers": {}, **tomllib.loads(text)}


@pytest.mark.parametrize("later", ["", LATER], ids=["at the end", "before what came later"])
@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_taking_the_table_out_gives_back_every_byte(text: str, later: str) -> None:
    installed = with_server(text, PATH, ENTRY) + later
    assert without_server(installed, PATH) == text + later
    other = with_server(installed, PATH, {**ENTRY, "command": "/elsewhere/ipc"})
    assert without_server(other, PATH) == text + later


def test_a_text_without_an_end_of_line_gets_one() -> None:
    assert without_server(with_server("a = 1", PATH, ENTRY), PATH) == "a = 1\n"


def test_what_earlier_versions_wrote_is_replaced() -> None:
    old = '# >>> agent-ipc >>>\n[mcp_servers.ipc]\ncommand = "/old/ipc"\n# <<< agent-ipc <<<\n'
    after = with_server(f"a = 1\n\n{old}{LATER}", PATH, ENTRY)
    assert tomllib.loads(after)["mcp_servers"]["ipc"] == WANTED and "/old" not in after
    assert without_server(after, PATH) == "a = 1\n" + LATER
    assert without_server(old, PATH) == ""


def test_a_table_with_tables_in_it_goes_whole_and_the_comment_behind_it_stays() -> None:
    text = '[mcp_servers.ipc]\ncommand = "ipc"\nargs = ["mcp"]\n\n[mcp_servers.ipc.env]\nA = "b"\n\n# about z\n[z]\nx = 1\n'
    assert without_server(text, PATH) == "\n# about z\n[z]\nx = 1\n"


def test_a_server_of_that_name_that_is_not_ours_is_not_taken_out() -> None:
    text = '[mcp_servers.ipc]\ncommand = "/other/server"\n'
    assert without_server(text, PATH) == text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{broken", "is not valid TOML"),
        ("a = 1\na = 2\n", "is not valid TOML"),
        ('mcp_servers = { ipc = { command = "ipc", args = ["mcp"] } }\n', "edit it by hand"),
        ("mcp_servers = 3\n", "edit it by hand"),
        ('mcp_servers.ipc.command = "x"\n', "not ours"),
        ("[[mcp_servers]]\na = 1\n", "edit it by hand"),
    ],
)
def test_what_can_t_be_edited_is_refused_in_words(text: str, words: str) -> None:
    with pytest.raises(IpcError, match=words):
        with_server(text, PATH, ENTRY)


def test_only_an_edit_of_toml_imports_tomlkit() -> None:
    code = "import sys, bridges.install.install_command, bridges.cli.doctor; print('tomlkit' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
