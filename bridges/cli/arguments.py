"""The arguments of each command, as its parser takes them."""

from __future__ import annotations

from bridges.cli import values
from broker.protocol.essentials import AUTOCHECK_MINUTES, LANDINGS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from bridges.cli.parsing import Parser


_ADDRESS = "bob@rome is bob at the site rome"


def register(command: Parser) -> None:
    command.add_argument("name", metavar="NAME", help="1-32 letters, digits, hyphens, underscores")
    command.add_argument("--force", action="store_true", help="take it from who has it now; they are told")


def send(command: Parser) -> None:
    command.add_argument("to", metavar="TO", help=f"the recipient's name, or a group's; {_ADDRESS}, '*@rome' everyone there")
    text(command)
    command.add_argument("--ttl", type=values.ttl_s, metavar="S", help="withdraw it if it is unread after S seconds, %(type)s")
    command.add_argument("--thread", type=values.message_id, metavar="ID", help="continue the thread of that message")
    command.add_argument(
        "--supersedes", type=values.message_id, metavar="ID", help="withdraw that message of yours if it is still unread"
    )


def reply(command: Parser) -> None:
    command.add_argument(
        "message", type=values.message_id, metavar="ID", help="the message that is answered: the number after #"
    )
    text(command)


def ask(command: Parser) -> None:
    command.add_argument("to", metavar="TO", help=f"who is asked; {_ADDRESS}")
    text(command)
    command.add_argument(
        "--wait", type=values.wait_s, default=60.0, metavar="S", help="wait S seconds for the answer, %(type)s (default 60)"
    )
    command.add_argument(
        "--deadline", type=values.deadline_s, metavar="S", help="the question is stale after S seconds, %(type)s (default 600)"
    )


def asks(command: Parser) -> None:
    from broker.protocol.actions import ACTIONS

    command.add_argument("--state", choices=ACTIONS["asks"].field("state").choices, help="only these")
    common(command)


def forward(command: Parser) -> None:
    command.add_argument("message", type=values.message_id, metavar="ID", help="the message: the number after #")
    command.add_argument("to", metavar="TO", help=f"who gets it; {_ADDRESS}")
    command.add_argument("--note", metavar="TEXT", help="a line of your own before it")
    common(command)


def one_message(command: Parser) -> None:
    command.add_argument(
        "message", type=values.message_id, metavar="ID", help="a message you sent: the number that send printed"
    )
    common(command)


def any_message(command: Parser) -> None:
    command.add_argument("message", type=values.message_id, metavar="ID", help="a message you sent or got: the number after #")
    common(command)


def receipts(command: Parser) -> None:
    command.add_argument(
        "messages", type=values.message_id, metavar="ID", nargs="+", help="messages you sent: the numbers that send printed"
    )
    common(command)


def history(command: Parser) -> None:
    command.add_argument("--peer", metavar="NAME", help="only mail to and from that name")
    command.add_argument("--thread", type=values.message_id, metavar="ID", help="only the thread of that message")
    page(command)


def search(command: Parser) -> None:
    command.add_argument("words", metavar="WORD", nargs="+", help="all must occur; the last may be a beginning")
    page(command)


def page(command: Parser) -> None:
    command.add_argument("--before", type=values.message_id, metavar="ID", help="older than that message")
    command.add_argument("--limit", type=values.page_size, metavar="N", help="at most N messages, %(type)s (default 50)")
    common(command)


def dead(command: Parser) -> None:
    command.add_argument("what", nargs="?", choices=("list", "show", "send", "drop"), default="list")
    command.add_argument("messages", nargs="*", type=values.message_id, metavar="ID", help="which; send takes one")
    command.add_argument("--to", metavar="NAME", help="send: to another recipient")
    command.add_argument("--before", type=values.message_id, metavar="ID", help="list: only older messages")
    command.add_argument("--limit", type=values.page_size, default=50, metavar="N", help="list: %(type)s (default 50)")
    common(command)


def group(command: Parser) -> None:
    command.add_argument("what", choices=("create", "join", "leave"))
    command.add_argument("group", metavar="GROUP")
    common(command)


def presence(command: Parser) -> None:
    from broker.protocol.actions import ACTIONS

    command.add_argument("state", nargs="?", choices=ACTIONS["presence"].field("state").choices)
    command.add_argument("note", nargs="*", metavar="NOTE", help="on what")
    common(command)


def block(command: Parser) -> None:
    command.add_argument("name", metavar="NAME")
    command.add_argument("--mute", action="store_true", help="take its mail, but straight into the history")
    common(command)


def one_name(command: Parser) -> None:
    command.add_argument("name", metavar="NAME")
    common(command)


def claim(command: Parser) -> None:
    command.add_argument("resource", metavar="RESOURCE", help="a file, a pattern (quote it), or any name")
    command.add_argument("--ttl", type=values.claim_s, metavar="S", help="for S seconds, %(type)s (default 1800)")
    command.add_argument("--note", metavar="TEXT", help="what for")
    common(command)


def resource(command: Parser) -> None:
    command.add_argument("resource", metavar="RESOURCE", nargs="?", help="default: all")
    common(command)


def claims(command: Parser) -> None:
    command.add_argument("--all", action="store_true", help="also those at other sites, which hold nobody off here")
    resource(command)


def tell_me(command: Parser) -> None:
    told = "when NAME is idle, ended, failed or stuck; or NAME joins; or NAME edits, claims or releases [PATTERN]; each; wake"
    command.add_argument("words", metavar="WORD", nargs="+", help=told)
    command.add_argument("--ttl", type=values.watch_s, metavar="S", help="for S seconds, %(type)s (default a week)")
    common(command)


def unwatch(command: Parser) -> None:
    command.add_argument(
        "watch", type=values.watch_number, metavar="WATCH", nargs="?", help="its number; default: all of yours"
    )
    common(command)


def schedule(command: Parser) -> None:
    command.add_argument("to", metavar="TO", nargs="?", help="the recipient; or drop ID; without it: list yours")
    command.add_argument("--in", dest="in_", type=values.seconds, metavar="TIME", help="once, after 90s, 20m, 1h30m, 2d")
    command.add_argument("--at", type=values.moment, metavar="WHEN", help="once, at 17:30 or '2027-03-01 08:00'")
    command.add_argument("--every", type=values.seconds, metavar="TIME", help="again and again, each 60s or more")
    command.add_argument("--cron", metavar="FIELDS", help="again and again: minute hour day month weekday, as '0 9 * * 1-5'")
    command.add_argument("--until", type=values.moment, metavar="WHEN", help="no more after that")
    text(command)


def autocheck(command: Parser) -> None:
    command.add_argument("what", nargs="?", choices=("start", "stop", "status"), default="status")
    command.add_argument(
        "minutes",
        nargs="?",
        type=values.minutes,
        default=AUTOCHECK_MINUTES,
        metavar="MINUTES",
        help="%(type)s (default %(default)s)",
    )
    common(command)


def keys(command: Parser) -> None:
    from argparse import SUPPRESS

    json(command)
    what = command.add_subparsers(dest="what", metavar="WHAT", parser_class=type(command))
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
        one.add_argument("--json", action="store_true", default=SUPPRESS, help="as JSON")


def nats(command: Parser) -> None:
    what = command.add_subparsers(dest="what", metavar="WHAT", parser_class=type(command), required=True)
    init = what.add_parser("init", help="make or check what must be at the servers; the first time, make the admin's key")
    init.add_argument("servers", nargs="*", metavar="SERVER", help="nats://HOST:4222, tls:// with TLS (default: as last time)")
    init.add_argument("--ca", metavar="FILE", help="the authority of the servers' certificates, in PEM form")
    init.add_argument("--streams", type=values.streams, metavar="N", help="streams of mail, %(type)s (default 1)")
    init.add_argument(
        "--replicas", type=values.copies, metavar="N", help="copies of each message, %(type)s (default 3, on fewer nodes 1)"
    )
    init.add_argument(
        "--disk", type=values.disk_gib, metavar="GIB", help="GiB of each node's disk for mail, %(type)s (default 4)"
    )
    add = what.add_parser("add-site", help="let a machine in: its keys in one file, and its account for the servers")
    add.add_argument("name", metavar="NAME", help="1-32 small letters, digits or hyphens: others write to somebody@NAME")
    add.add_argument("--out", metavar="FILE", help="where its keys go (default NAME.site)")
    remove = what.add_parser("remove-site", help="put a machine out")
    remove.add_argument("name", metavar="NAME")
    accounts = what.add_parser("accounts", help="print the accounts of the servers' configuration, with all sites")
    join = what.add_parser("join", help="make this machine's broker the site that a file of add-site is for")
    join.add_argument("file", metavar="FILE", help="what ipc nats add-site wrote")
    join.add_argument("--replace", action="store_true", help="even if it is another site now")
    check = what.add_parser("check", help="check everything between this machine and the others, and say what to do")
    tidy = what.add_parser("tidy", help="remove from the servers what the sites have read (it goes by itself after 7 days)")
    for one in (init, add, remove, accounts, check, tidy):
        one.add_argument("--admin", metavar="FILE", help="the admin's key (default ipc-admin.json in this folder)")
    monitors = "where the servers tell of themselves (default port 8222 of each and of this machine; several with commas)"
    for one in (init, check):
        one.add_argument("--monitor", metavar="URL", help=monitors)


def backup(command: Parser) -> None:
    command.add_argument("file", metavar="FILE", help="a new file; it holds keys and is yours alone")
    command.add_argument("--json", action="store_true", help="as JSON")


def restore(command: Parser) -> None:
    backup(command)
    command.add_argument("--force", action="store_true", help="set aside the mail that is there")


def say(command: Parser) -> None:
    command.add_argument("words", nargs="+", metavar="WORDS", help="what you want, in plain words")
    command.add_argument("--dry-run", action="store_true", help="show what was understood, do nothing")
    command.add_argument("--yes", action="store_true", help="take the question it would ask back as answered with yes")
    common(command)


def watch(command: Parser) -> None:
    from argparse import REMAINDER

    command.add_argument(
        "--pause",
        type=values.wait_s,
        default=1.0,
        metavar="S",
        help="try a command that failed again after S seconds, %(type)s (default 1)",
    )
    command.add_argument(
        "--exec",
        dest="run_command",
        nargs=REMAINDER,
        metavar="COMMAND",
        help="run this command for each message, with the message on its standard input (last option); a message whose "
        "command fails is unread again, and a dead letter after the third time",
    )
    common(command)


def check(command: Parser) -> None:
    command.add_argument("--wait", type=values.wait_s, default=0.0, metavar="S", help="wait up to S seconds for mail, %(type)s")
    command.add_argument("--limit", type=values.count, default=100, metavar="N", help="at most N, %(type)s (default 100)")
    common(command)


def list_instances(command: Parser) -> None:
    command.add_argument(
        "--all", action="store_true", help="also names that only mail waits for, those of other sites, and who holds each name"
    )
    common(command)


def rename(command: Parser) -> None:
    command.add_argument("name", metavar="NEW_NAME")
    common(command)


def mcp(command: Parser) -> None:
    command.add_argument("--name", help="register this name by itself")


def install(command: Parser) -> None:
    _one_host(command, "without one: all that this machine has")
    how = command.add_mutually_exclusive_group()
    how.add_argument("--print", dest="print_only", action="store_true", help="show what would be written")
    how.add_argument("--check", action="store_true", help="verify every piece of what is installed")
    how.add_argument("--plugin", metavar="DIR", help="write a plugin folder with the tools, for any program that takes one")
    command.add_argument("-y", "--yes", action="store_true", help="ask nothing, for scripts")
    command.add_argument("--name", type=values.name, help="register this name by itself in each session")
    command.add_argument("--claims", action="store_true", help="warn before edits of files that another agent has claimed")
    command.add_argument("--approvals", action="store_true", help="have its permission prompts wait for ipc permit, too")
    command.add_argument("--rewake", action="store_true", help="claude: wake by a background hook too (not for claude -p)")
    from argparse import BooleanOptionalAction

    allow = "let the host call the mail tools without asking, all but share_file (asked at a terminal)"
    command.add_argument("--allow", action=BooleanOptionalAction, default=None, help=allow)
    command.add_argument("--scope", choices=("user", "project"), default="user", help="whose configuration (default user)")


def uninstall(command: Parser) -> None:
    _one_host(command, "without one: all that have something of ours")
    command.add_argument("-y", "--yes", action="store_true", help="ask nothing, for scripts")
    command.add_argument("--scope", choices=("user", "project"), default="user", help="whose configuration (default user)")


def _one_host(command: Parser, help_text: str) -> None:
    from argparse import SUPPRESS

    from bridges.known_hosts.catalogue import names

    command.add_argument("host", nargs="?", type=values.host, choices=names(), help=help_text)
    command.add_argument("more", nargs="*", type=values.no_more_hosts, help=SUPPRESS)


def hook(command: Parser) -> None:
    from bridges.known_hosts.catalogue import names

    command.add_argument("host", choices=names())
    command.add_argument("event", metavar="EVENT", help="the host's own name of it; its JSON comes on standard input")
    command.add_argument("--name", help="register this name")


def session(command: Parser) -> None:
    command.add_argument("session", nargs="?", metavar="SESSION", help="the host's id of it ($CLAUDE_CODE_SESSION_ID)")


def demo(command: Parser) -> None:
    command.add_argument(
        "--sites", type=int, choices=(3, 4, 5), metavar="N", help="N brokers that exchange mail over three NATS servers, 3 to 5"
    )


def guard(command: Parser) -> None:
    how = command.add_mutually_exclusive_group()
    how.add_argument("--install", action="store_true", help="add it to this repository's pre-commit hook")
    how.add_argument("--remove", action="store_true", help="take it out again")


def text(command: Parser) -> None:
    command.add_argument("text", nargs="*", metavar="TEXT", help="the message, or - for standard input")
    command.add_argument("--file", metavar="FILE", help="take the message from a file")
    command.add_argument("--data", metavar="JSON", help="structured data to go with it")
    command.add_argument("--id", metavar="ID", help="your own id of this message: a script that repeats it stores it once")
    command.add_argument("--land", choices=LANDINGS[::-1], help="when it should reach a working agent (default tool)")
    common(command)


def common(command: Parser) -> None:
    command.add_argument("--as", dest="as_", metavar="NAME", help="act as another registered name ($IPC_NAME)")
    json(command)


def json(command: Parser) -> None:
    command.add_argument("--json", action="store_true", help="as JSON")
