"""The one table of commands: what runs each, what it says of itself, its arguments.

Only the parser of the typed command is built. Fifteen parsers take as long as the request.
"""

from __future__ import annotations

from bridges.cli import arguments as takes
from bridges.cli import keeping_arguments as keeping
from bridges.cli import person_arguments as person
from bridges.cli import service_arguments as running
from bridges.cli.fast_parsing import NotOrdinary, parsed_fast
from broker.version import VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from bridges.cli.parsing import Parser

_EPILOG = """\
first steps:
  ipc demo                        three agents talk over three doors, in a temporary home
  ipc register fred               take a name; the service starts by itself
  ipc send claude "hello"         write to anyone, born or not
  ipc check --wait 30             read your mail
  ipc install                     connect the agents' hosts that this machine has

exit status: 0 done, 1 failed, 2 usage, 3 service not reachable, 4 not registered or not allowed,
5 refused by a limit (try again later), 130 interrupted
"""


class CommandRow:
    """One command. ``run`` is ``module:function``, imported when it runs: a module of this folder, or one named whole.

    Functions of ``quick`` modules take a ``broker.home.paths.Place`` and read no settings. The others take Settings.
    """

    __slots__ = ("arguments", "example", "quick", "run", "text")

    def __init__(self, run: str, text: str, example: str = "", arguments: Callable[[Parser], None] | None = None) -> None:
        self.run = run
        self.text = text
        self.example = example
        self.arguments = arguments
        self.quick = run.partition(":")[0] in QUICK_MODULES

    def options(self) -> dict[str, Any]:
        """The arguments that the parser is made with."""
        from bridges.cli.parsing import form

        epilog = f"example:\n  {self.example}" if self.example else None
        return {"description": self.text, "epilog": epilog, "formatter_class": form}

    def fill(self, parser: Parser) -> None:
        parser.set_defaults(run=self.run, quick=self.quick)
        if self.arguments is not None:
            self.arguments(parser)


BY_HOSTS = ""
"""In place of ``run``. bridges.cli.__main__ runs these before any parser is made; their rows are for their help."""
HERE = frozenset(
    {"backup", "demo", "keep", "keys", "import_mail", "log", "permissions", "service", "user_service"}
    | {"bridges.export.commands", "bridges.export.taking_in", "bridges.nats.commands", "bridges.web.commands"}
    | {"bridges.notify.commands", "bridges.tui.command"}
)
"""Modules about the service on this machine. With a key file, there is none."""
ELSEWHERE = {"status:status": "other_machine:status", "doctor:doctor": "other_machine:doctor"}
"""What runs in their place with a key file."""
QUICK_MODULES = frozenset(
    {"mail", "say", "conversation", "dead", "history", "team", "schedule", "sites", "watch", "log", "completion"}
)


COMMANDS = {
    "up": CommandRow("service:up", "start the service, if it does not run", "ipc up", running.up),
    "down": CommandRow("service:down", "stop the service; mail stays"),
    "status": CommandRow("status:status", "what runs, who is registered, how much mail waits", "", running.status),
    "top": CommandRow("bridges.tui.command:top", "everything live in the terminal: what needs you, who does what", "ipc top"),
    "web": CommandRow("bridges.web.commands:run", "print a one-time link to your page", "ipc web --open", person.web),
    "notify": CommandRow(
        "bridges.notify.commands:run", "how you are told what waits for you, and what failed", "ipc notify test", person.notify
    ),
    "service": CommandRow(
        "user_service:run",
        "have systemd run the service: install, remove, status",
        "ipc service install",
        running.service,
    ),
    "doctor": CommandRow("doctor:doctor", "check everything and say what to do", "", running.doctor),
    "log": CommandRow("log:log", "what the service's processes noted", "ipc log -f --level warning", running.log),
    "backup": CommandRow("backup:backup", "save mail, keys and settings in one file", "ipc backup ~/mail.tar", takes.backup),
    "restore": CommandRow(
        "backup:restore", "make the data folder what a backup holds", "ipc restore ~/mail.tar", takes.restore
    ),
    "keys": CommandRow("keys:run", "who may come in from other machines", "ipc keys new fred", takes.keys),
    "nats": CommandRow(
        "bridges.nats.commands:run",
        "exchange mail with brokers on other machines, over nats-server",
        "ipc nats init nats://HOST:4222\n  ipc nats add-site rome\n  ipc nats join rome.site",
        takes.nats,
    ),
    "register": CommandRow("mail:register", "take a name", "ipc register fred", takes.register),
    "send": CommandRow(
        "mail:send",
        "send a message",
        'ipc send claude "the build is green"\n  git diff | ipc send claude -\n  ipc send bob@rome "lunch"',
        takes.send,
    ),
    "broadcast": CommandRow("mail:broadcast", "send to every registered agent", 'ipc broadcast "lunch at noon"', takes.text),
    "check": CommandRow("mail:check", "read new mail", "ipc check --wait 30", takes.check),
    "reply": CommandRow("conversation:reply", "answer a message", 'ipc reply 42 "done"', takes.reply),
    "ask": CommandRow(
        "conversation:ask", "ask, and wait for the answer", 'ipc ask claude "which branch?" --wait 120', takes.ask
    ),
    "asks": CommandRow("conversation:asks", "questions you asked or were asked", "ipc asks --state open", takes.asks),
    "forward": CommandRow("conversation:forward", "pass a message on", "ipc forward 42 claude", takes.forward),
    "withdraw": CommandRow(
        "conversation:withdraw", "take back a message that is still unread", "ipc withdraw 42", takes.one_message
    ),
    "receipts": CommandRow("conversation:receipts", "what became of messages you sent", "ipc receipts 42", takes.receipts),
    "dead": CommandRow(
        "dead:dead", "mail that ended unread: list, show, send again, drop", "ipc dead send 42 --to claude-2", takes.dead
    ),
    "show": CommandRow(
        "conversation:show_one", "one message, and its way to its readers step by step", "ipc show 42", takes.any_message
    ),
    "count": CommandRow("mail:count", "how much mail waits; delivers none", "", takes.common),
    "history": CommandRow("history:history", "mail you got and sent", "ipc history --peer claude", takes.history),
    "search": CommandRow("history:search", "find words in mail you got and sent", "ipc search parser bug", takes.search),
    "watch": CommandRow("watch:watch", "print mail as it comes", "ipc watch --exec notify-send mail", takes.watch),
    "say": CommandRow("say:say_it", "say it in plain words", 'ipc say "tell fred the build is green"', takes.say),
    "list": CommandRow("mail:list_instances", "who is registered", "ipc list --all", takes.list_instances),
    "sites": CommandRow("sites:sites", "other sites: what waits for each, since when and why", "ipc sites", takes.json),
    "rename": CommandRow(
        "mail:rename", "take another name; the old one forwards for two hours", "ipc rename fred-2", takes.rename
    ),
    "unregister": CommandRow("mail:unregister", "give your name back; its mail stays", "", takes.common),
    "whoami": CommandRow("mail:whoami", "which name this shell has", "", takes.common),
    "presence": CommandRow("team:presence", "say what you are doing", "ipc presence working the parser", takes.presence),
    "groups": CommandRow("team:groups", "every group and who is in it", "", takes.common),
    "group": CommandRow("team:group", "create, join or leave a group", "ipc group create builders", takes.group),
    "block": CommandRow("team:block", "refuse the mail of a name", "ipc block spammer", takes.block),
    "unblock": CommandRow("team:unblock", "take its mail again", "", takes.one_name),
    "blocks": CommandRow("team:blocks", "whom you have blocked or muted", "", takes.common),
    "claim": CommandRow("team:claim", "say that you work on something", "ipc claim 'src/api/**' --note routes", takes.claim),
    "release": CommandRow("team:release", "end a claim of yours, or all", "ipc release 'src/api/**'", takes.resource),
    "claims": CommandRow("team:claims", "who works on what", "ipc claims src/api/users.py", takes.claims),
    "tell-me": CommandRow(
        "watches:tell_me",
        "be told when something happens to another agent",
        "ipc tell-me when claude is idle\n  ipc tell-me claude edits 'src/**' each wake",
        takes.tell_me,
    ),
    "watches": CommandRow("watches:watches", "what you are told of", "", takes.common),
    "unwatch": CommandRow("watches:unwatch", "be told no more", "ipc unwatch 3", takes.unwatch),
    "schedule": CommandRow(
        "schedule:schedule",
        "send later, or again and again; list what is due; drop one",
        'ipc schedule bob "stand up" --cron "0 9 * * 1-5"\n  ipc schedule fred "look" --in 20m\n  ipc schedule drop 3',
        takes.schedule,
    ),
    "alarms": CommandRow("watches:alarms", "agents that are stuck, and how that is known", "", takes.common),
    "permissions": CommandRow(
        "permissions:permissions", "prompts of agents' hosts that wait for you", "ipc install claude --approvals", takes.json
    ),
    "permit": CommandRow(
        "permissions:permit", "allow what a host's prompt asks for", "ipc permit 4f1c09ab2e", person.permission
    ),
    "deny": CommandRow("permissions:deny", "refuse what a host's prompt asks for", "ipc deny 4f1c09ab2e", person.permission),
    "autocheck": CommandRow("team:autocheck", "have your doors look for mail", "ipc autocheck start 3", takes.autocheck),
    "mcp": CommandRow("mcp_start:mcp", "MCP server on standard input and output, for an agent's host to start", "", takes.mcp),
    "keep": CommandRow(
        "keep:keep",
        "keep read mail of a group or thread for another time than other mail",
        "ipc keep --group devs 365d\n  ipc keep --thread 42 --drop",
        keeping.keep,
    ),
    "export": CommandRow(
        "bridges.export.commands:export",
        "write the mail of everybody to a file",
        "ipc export -o mail.jsonl\n  ipc export --name fred -o fred.mbox\n  ipc export --thread 42 -o talk.md",
        keeping.export,
    ),
    "import": CommandRow(
        "bridges.export.taking_in:import_file",
        "take over the mail of an export",
        "ipc import mail.jsonl",
        keeping.import_file,
    ),
    "import-legacy": CommandRow(
        "import_mail:run", "take over unread mail from an older system's SQLite database", "", keeping.import_legacy
    ),
    "install": CommandRow(
        "bridges.install.install_command:run",
        "connect agents' hosts to the mail",
        "ipc install",
        takes.install,
    ),
    "uninstall": CommandRow(
        "bridges.install.install_command:remove",
        "take it out of agents' hosts again",
        "ipc uninstall claude",
        takes.uninstall,
    ),
    "hook": CommandRow(BY_HOSTS, "for a host's hooks: mail at the boundaries of an agent's turns", "", takes.hook),
    "monitor": CommandRow(BY_HOSTS, "for Claude Code's monitors: a line for each arrival of mail", "", takes.session),
    "wait": CommandRow(BY_HOSTS, "for Claude Code's asyncRewake hooks: status 2 at the first mail", "", takes.session),
    "guard": CommandRow(BY_HOSTS, "git pre-commit: refuse files that others have claimed", "ipc guard --install", takes.guard),
    "completion": CommandRow(
        "completion:completion",
        "print what completes commands, options and names in a shell",
        'eval "$(ipc completion bash)"\n  ipc completion fish > ~/.config/fish/completions/ipc.fish',
        running.completion,
    ),
    "demo": CommandRow(
        "demo:run", "three agents exchange messages over three doors, in a temporary home", "ipc demo --sites 3", takes.demo
    ),
}


def parser_of(name: str) -> Parser:
    """The parser of one command alone."""
    from bridges.cli.parsing import Parser

    command = COMMANDS[name]
    parser = Parser(prog=f"ipc {name}", **command.options())
    command.fill(parser)
    parser.set_defaults(command=name)
    return parser


def options_of(name: str, arguments: list[str]) -> Any:
    """The options of a command, by argparse only where that has something to say."""
    command = COMMANDS[name]
    try:
        options = parsed_fast(command.arguments, arguments)
    except NotOrdinary:
        from bridges.cli.parsing import parsed

        return parsed(parser_of(name), arguments)
    options.run, options.quick, options.command = command.run, command.quick, name
    return options


def whole_parser() -> Parser:
    """The parser of ``ipc`` with all its commands, for its help."""
    from bridges.cli.parsing import Parser, form

    parser = Parser(prog="ipc", description="Mail between AI agents on this machine.", epilog=_EPILOG, formatter_class=form)
    parser.add_argument("--version", action="version", version=f"agent-ipc {VERSION}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=Parser, required=True)
    for name, command in COMMANDS.items():
        command.fill(commands.add_parser(name, help=command.text, **command.options()))
    return parser
