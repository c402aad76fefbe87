"""The one table of commands: what runs each, what it says of itself, its arguments.

Only the parser of the command that was typed is built: fifteen of them cost as much as the request.
"""

from __future__ import annotations

import argparse

from bridges.cli import values
from bridges.cli.parsing import Parser, form
from broker.version import VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_EPILOG = """\
first steps:
  ipc demo                        three agents talk over three doors, in a temporary home
  ipc register fred               take a name; the service starts by itself
  ipc send claude "hello"         write to anyone, born or not
  ipc check --wait 30             read your mail
  ipc install claude              connect Claude Code (or gemini, codex)

exit status: 0 done, 1 failed, 2 usage, 3 service not reachable, 4 not registered or not allowed,
5 refused by a limit (try again later), 130 interrupted
"""


class CommandRow:
    """One row. ``run`` is ``module:function``, imported when it runs: a module of this folder, or one named whole.

    The functions of ``quick`` modules take a ``broker.home.paths.Place`` and read no settings, the others take Settings.
    """

    __slots__ = ("arguments", "example", "quick", "run", "text")

    def __init__(self, run: str, text: str, example: str = "", arguments: Callable[[Parser], None] | None = None) -> None:
        self.run = run
        self.text = text
        self.example = example
        self.arguments = arguments
        self.quick = run.partition(":")[0] in QUICK_MODULES

    def options(self) -> dict[str, Any]:
        """What the parser is made with."""
        epilog = f"example:\n  {self.example}" if self.example else None
        return {"description": self.text, "epilog": epilog, "formatter_class": form}

    def fill(self, parser: Parser) -> None:
        parser.set_defaults(run=self.run, quick=self.quick)
        if self.arguments is not None:
            self.arguments(parser)


BY_HOSTS = ""
"""In place of ``run``: bridges.cli.__main__ runs these before any parser is made; here they stand for their help."""
HERE = frozenset({"backup", "demo", "keys", "import_mail", "service"})
"""Modules about the service on this machine: with a key file, there is none."""
ELSEWHERE = {"service:status": "other_machine:status", "service:doctor": "other_machine:doctor"}
"""What runs in their place where there is a counterpart."""
QUICK_MODULES = frozenset({"mail", "say", "talk", "team", "watch"})


def _up(command: Parser) -> None:
    how = command.add_mutually_exclusive_group()
    how.add_argument("--detach", action="store_true", help="return when it answers (the default)")
    how.add_argument("--foreground", action="store_true", help="stay in the foreground, for a service manager")


def _status(command: Parser) -> None:
    _json(command)
    command.add_argument("--config", action="store_true", help="every setting and where its value came from")


def _register(command: Parser) -> None:
    command.add_argument("name", metavar="NAME", help="1-32 letters, digits, hyphens, underscores")


LANDINGS = ("interrupt", "tool", "turn")


def _send(command: Parser) -> None:
    command.add_argument("to", metavar="TO", help="the recipient's name, or a group's")
    _text(command)
    command.add_argument("--ttl", type=values.seconds, metavar="S", help="withdraw it if it is unread after S seconds")
    command.add_argument("--thread", type=values.message_id, metavar="ID", help="continue the thread of that message")
    command.add_argument(
        "--supersedes", type=values.message_id, metavar="ID", help="withdraw that message of yours if it is still unread"
    )


def _reply(command: Parser) -> None:
    command.add_argument(
        "message", type=values.message_id, metavar="ID", help="the message that is answered: the number after #"
    )
    _text(command)


def _ask(command: Parser) -> None:
    command.add_argument("to", metavar="TO", help="who is asked")
    _text(command)
    command.add_argument(
        "--wait", type=values.wait_s, default=60.0, metavar="S", help="wait S seconds for the answer (default 60)"
    )
    command.add_argument(
        "--deadline", type=values.seconds, metavar="S", help="the question is stale after S seconds (default 600)"
    )


def _asks(command: Parser) -> None:
    command.add_argument("--state", choices=("open", "answered", "stale"), help="only these")
    _common(command)


def _forward(command: Parser) -> None:
    command.add_argument("message", type=values.message_id, metavar="ID", help="the message: the number after #")
    command.add_argument("to", metavar="TO", help="who gets it")
    command.add_argument("--note", metavar="TEXT", help="a line of your own before it")
    _common(command)


def _one_message(command: Parser) -> None:
    command.add_argument(
        "message", type=values.message_id, metavar="ID", help="a message you sent: the number that send printed"
    )
    _common(command)


def _receipts(command: Parser) -> None:
    command.add_argument(
        "messages", type=values.message_id, metavar="ID", nargs="+", help="messages you sent: the numbers that send printed"
    )
    _common(command)


def _history(command: Parser) -> None:
    command.add_argument("--peer", metavar="NAME", help="only mail to and from that name")
    command.add_argument("--thread", type=values.message_id, metavar="ID", help="only the thread of that message")
    _page(command)


def _search(command: Parser) -> None:
    command.add_argument("words", metavar="WORD", nargs="+", help="all must occur; the last may be a beginning")
    _page(command)


def _page(command: Parser) -> None:
    command.add_argument("--before", type=values.message_id, metavar="ID", help="older than that message")
    command.add_argument("--limit", type=values.page_size, metavar="N", help="at most N messages (default 50)")
    _common(command)


def _group(command: Parser) -> None:
    command.add_argument("what", choices=("create", "join", "leave"))
    command.add_argument("group", metavar="GROUP")
    _common(command)


def _presence(command: Parser) -> None:
    command.add_argument("state", nargs="?", choices=("working", "idle", "gone"))
    command.add_argument("note", nargs="*", metavar="NOTE", help="on what")
    _common(command)


def _block(command: Parser) -> None:
    command.add_argument("name", metavar="NAME")
    command.add_argument("--mute", action="store_true", help="take its mail, but straight into the history")
    _common(command)


def _one_name(command: Parser) -> None:
    command.add_argument("name", metavar="NAME")
    _common(command)


def _claim(command: Parser) -> None:
    command.add_argument("resource", metavar="RESOURCE", help="a file, a pattern (quote it), or any name")
    command.add_argument("--ttl", type=values.seconds, metavar="S", help="for S seconds (default 1800)")
    command.add_argument("--note", metavar="TEXT", help="what for")
    _common(command)


def _resource(command: Parser) -> None:
    command.add_argument("resource", metavar="RESOURCE", nargs="?", help="default: all")
    _common(command)


def _autocheck(command: Parser) -> None:
    command.add_argument("what", nargs="?", choices=("start", "stop", "status"), default="status")
    command.add_argument("minutes", nargs="?", type=values.minutes, default=5, metavar="MINUTES", help="1 to 60 (default 5)")
    _common(command)


def _doctor(command: Parser) -> None:
    command.add_argument(
        "--repair", action="store_true", help="with the service stopped: check thoroughly, save what is readable"
    )


def _keys(command: Parser) -> None:
    _json(command)
    what = command.add_subparsers(dest="what", metavar="WHAT", parser_class=Parser)
    new = what.add_parser("new", help="make a key for another machine and let it in")
    new.add_argument("name", metavar="NAME", help="the one name that the key may act as")
    new.add_argument("--out", metavar="FILE", help="where the key goes (default NAME.key)")
    allow = what.add_parser("allow", help="let in a key that was made elsewhere")
    allow.add_argument("name", metavar="NAME", help="the one name that the key may act as")
    allow.add_argument("key", metavar="PUBLIC_KEY", help="64 hex digits, or 40 characters of Z85")
    for one in (new, allow):
        one.add_argument("--host", metavar="HOST", help="this machine's name or address, as the other one knows it")
    revoke = what.add_parser("revoke", help="shut out a key, or all keys of a name, at once")
    revoke.add_argument("which", metavar="NAME|PUBLIC_KEY")
    for one in (new, allow, revoke):
        one.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="as JSON")


def _backup(command: Parser) -> None:
    command.add_argument("file", metavar="FILE", help="a new file; it holds keys and is yours alone")
    command.add_argument("--json", action="store_true", help="as JSON")


def _restore(command: Parser) -> None:
    _backup(command)
    command.add_argument("--force", action="store_true", help="set aside the mail that is there")


def _say(command: Parser) -> None:
    command.add_argument("words", nargs="+", metavar="WORDS", help="what you want, in plain words")
    command.add_argument("--dry-run", action="store_true", help="show what was understood, do nothing")
    command.add_argument("--yes", action="store_true", help="take the question it would ask back as answered with yes")
    _common(command)


def _watch(command: Parser) -> None:
    command.add_argument(
        "--pause",
        type=values.wait_s,
        default=1.0,
        metavar="S",
        help="try a command that failed again after S seconds (default 1)",
    )
    command.add_argument(
        "--exec",
        dest="run_command",
        nargs=argparse.REMAINDER,
        metavar="COMMAND",
        help="run this command for each message, with the message on its standard input (last option); a message whose "
        "command fails is unread again, and set aside after the third time",
    )
    _common(command)


def _check(command: Parser) -> None:
    command.add_argument("--wait", type=values.wait_s, default=0.0, metavar="S", help="wait up to S seconds for mail")
    command.add_argument("--limit", type=values.count, default=100, metavar="N", help="at most N messages (default 100)")
    _common(command)


def _rename(command: Parser) -> None:
    command.add_argument("name", metavar="NEW_NAME")
    _common(command)


def _mcp(command: Parser) -> None:
    command.add_argument("--name", help="register this name by itself")


def _import_legacy(command: Parser) -> None:
    command.add_argument("file", metavar="FILE")
    _json(command)


def _install(command: Parser) -> None:
    command.add_argument("host", nargs="?", choices=("claude", "gemini", "codex"), help="with --check all that are installed")
    how = command.add_mutually_exclusive_group()
    how.add_argument("--print", dest="print_only", action="store_true", help="show what would be written")
    how.add_argument("--check", action="store_true", help="verify every piece of what is installed")
    command.add_argument("--name", help="register this name by itself in each session")
    command.add_argument("--claims", action="store_true", help="warn before edits of files that another agent has claimed")
    command.add_argument("--rewake", action="store_true", help="claude: wake by a background hook too (not for claude -p)")
    allow = "let the host call the mail tools without asking, all but share_file (asked at a terminal)"
    command.add_argument("--allow", action=argparse.BooleanOptionalAction, default=None, help=allow)
    command.add_argument("--scope", choices=("user", "project"), default="user", help="whose configuration (default user)")


def _uninstall(command: Parser) -> None:
    command.add_argument("host", choices=("claude", "gemini", "codex"))
    command.add_argument("--scope", choices=("user", "project"), default="user", help="whose configuration (default user)")


def _hook(command: Parser) -> None:
    command.add_argument("host", choices=("claude", "gemini", "codex"))
    command.add_argument("event", metavar="EVENT", help="the host's own name of it; its JSON comes on standard input")
    command.add_argument("--name", help="register this name")


def _session(command: Parser) -> None:
    command.add_argument("session", nargs="?", metavar="SESSION", help="the host's id of it ($CLAUDE_CODE_SESSION_ID)")


def _guard(command: Parser) -> None:
    how = command.add_mutually_exclusive_group()
    how.add_argument("--install", action="store_true", help="add it to this repository's pre-commit hook")
    how.add_argument("--remove", action="store_true", help="take it out again")


def _text(command: Parser) -> None:
    command.add_argument("text", nargs="*", metavar="TEXT", help="the message, or - for standard input")
    command.add_argument("--file", metavar="FILE", help="take the message from a file")
    command.add_argument("--data", metavar="JSON", help="structured data to go with it")
    command.add_argument("--id", metavar="ID", help="your own id of this message: a script that repeats it stores it once")
    command.add_argument("--land", choices=LANDINGS, help="when it should reach a working agent (default tool)")
    _common(command)


def _common(command: Parser) -> None:
    command.add_argument("--as", dest="as_", metavar="NAME", help="act as another registered name ($IPC_NAME)")
    _json(command)


def _json(command: Parser) -> None:
    command.add_argument("--json", action="store_true", help="as JSON")


COMMANDS = {
    "up": CommandRow("service:up", "start the service, if it does not run", "ipc up", _up),
    "down": CommandRow("service:down", "stop the service; mail stays"),
    "status": CommandRow("service:status", "what runs, who is registered, how much mail waits", "", _status),
    "doctor": CommandRow("service:doctor", "check everything and say what to do", "", _doctor),
    "backup": CommandRow("backup:backup", "save mail, keys and settings in one file", "ipc backup ~/mail.tar", _backup),
    "restore": CommandRow("backup:restore", "make the data folder what a backup holds", "ipc restore ~/mail.tar", _restore),
    "keys": CommandRow("keys:run", "who may come in from other machines", "ipc keys new fred", _keys),
    "register": CommandRow("mail:register", "take a name", "ipc register fred", _register),
    "send": CommandRow(
        "mail:send", "send a message", 'ipc send claude "the build is green"\n  git diff | ipc send claude -', _send
    ),
    "broadcast": CommandRow("mail:broadcast", "send to every registered agent", 'ipc broadcast "lunch at noon"', _text),
    "check": CommandRow("mail:check", "read new mail", "ipc check --wait 30", _check),
    "reply": CommandRow("talk:reply", "answer a message", 'ipc reply 42 "done"', _reply),
    "ask": CommandRow("talk:ask", "ask, and wait for the answer", 'ipc ask claude "which branch?" --wait 120', _ask),
    "asks": CommandRow("talk:asks", "questions you asked or were asked", "ipc asks --state open", _asks),
    "forward": CommandRow("talk:forward", "pass a message on", "ipc forward 42 claude", _forward),
    "withdraw": CommandRow("talk:withdraw", "take back a message that is still unread", "ipc withdraw 42", _one_message),
    "receipts": CommandRow("talk:receipts", "what became of messages you sent", "ipc receipts 42", _receipts),
    "count": CommandRow("talk:count", "how much mail waits; delivers none", "", _common),
    "history": CommandRow("talk:history", "mail you got and sent", "ipc history --peer claude", _history),
    "search": CommandRow("talk:search", "find words in mail you got and sent", "ipc search parser bug", _search),
    "watch": CommandRow("watch:watch", "print mail as it comes", "ipc watch --exec notify-send mail", _watch),
    "say": CommandRow("say:say_it", "say it in plain words", 'ipc say "tell fred the build is green"', _say),
    "list": CommandRow("mail:list_instances", "who is registered", "", _common),
    "rename": CommandRow("mail:rename", "take another name; the old one forwards for two hours", "ipc rename fred-2", _rename),
    "whoami": CommandRow("mail:whoami", "which name this shell has", "", _common),
    "presence": CommandRow("team:presence", "say what you are doing", "ipc presence working the parser", _presence),
    "groups": CommandRow("team:groups", "every group and who is in it", "", _common),
    "group": CommandRow("team:group", "create, join or leave a group", "ipc group create builders", _group),
    "block": CommandRow("team:block", "refuse the mail of a name", "ipc block spammer", _block),
    "unblock": CommandRow("team:unblock", "take its mail again", "", _one_name),
    "blocks": CommandRow("team:blocks", "whom you have blocked or muted", "", _common),
    "claim": CommandRow("team:claim", "say that you work on something", "ipc claim 'src/api/**' --note routes", _claim),
    "release": CommandRow("team:release", "end a claim of yours, or all", "ipc release 'src/api/**'", _resource),
    "claims": CommandRow("team:claims", "who works on what", "ipc claims src/api/users.py", _resource),
    "autocheck": CommandRow("team:autocheck", "have your doors look for mail", "ipc autocheck start 3", _autocheck),
    "mcp": CommandRow("mcp_start:mcp", "MCP server on standard input and output, for an agent's host to start", "", _mcp),
    "import-legacy": CommandRow(
        "import_mail:run", "take over unread mail from an older system's SQLite database", "", _import_legacy
    ),
    "install": CommandRow(
        "bridges.install.install:run", "connect an agent's host to the mail", "ipc install claude --print", _install
    ),
    "uninstall": CommandRow(
        "bridges.install.install:remove", "take it out of an agent's host again", "ipc uninstall claude", _uninstall
    ),
    "hook": CommandRow(BY_HOSTS, "for a host's hooks: mail at the boundaries of an agent's turns", "", _hook),
    "monitor": CommandRow(BY_HOSTS, "for Claude Code's monitors: a line for each arrival of mail", "", _session),
    "wait": CommandRow(BY_HOSTS, "for Claude Code's asyncRewake hooks: status 2 at the first mail", "", _session),
    "guard": CommandRow(BY_HOSTS, "git pre-commit: refuse files that others have claimed", "ipc guard --install", _guard),
    "demo": CommandRow("demo:run", "three agents exchange messages over three doors, in a temporary home"),
}


def parser_of(name: str) -> Parser:
    """The parser of one command alone."""
    command = COMMANDS[name]
    parser = Parser(prog=f"ipc {name}", **command.options())
    command.fill(parser)
    parser.set_defaults(command=name)
    return parser


def whole_parser() -> Parser:
    """The parser of ``ipc`` with all its commands, for its help."""
    parser = Parser(prog="ipc", description="Mail between AI agents on this machine.", epilog=_EPILOG, formatter_class=form)
    parser.add_argument("--version", action="version", version=f"agent-ipc {VERSION}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=Parser, required=True)
    for name, command in COMMANDS.items():
        command.fill(commands.add_parser(name, help=command.text, **command.options()))
    return parser
