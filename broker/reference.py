"""``python -m broker.reference`` writes the pages of requests and errors, and PROTOCOL.md's table, from the tables."""

import re
import tomllib
from pathlib import Path

from broker.home.settings import SETTINGS
from broker.protocol.actions import ACTIONS
from broker.protocol.errors import CATALOGUE, ErrorKind
from broker.protocol.rows import Access, Action, Field

ROOT = Path(__file__).resolve().parent.parent
_TABLE_BEGINS, _TABLE_ENDS = "<!-- made by python -m broker.reference -->\n", "\n<!-- end -->"
_WHO = {Access.ANYONE: "anyone", Access.SESSION: "session", Access.OWNER: "owner"}
_TYPES = {str: "text", int: "integer", float: "number", list: "list", dict: "object", bool: "boolean"}
_FIELD = re.compile(r"{(\w+)[^}]*}")
_WORDS = {"detail": "WHAT IS WRONG", "problem": "WHAT IS NOT CLEAR", "known": "A LIST"}
"""What an error's page has in place of a value, where the name of the field is no help."""
_HEAD = """\
# Reference

Made from the tables in `broker/protocol/actions.py`, `broker/protocol/errors.py` and `broker/home/settings.py` by
`python -m broker.reference`; a test keeps it true.
The same requests work at every door: on the wire as MessagePack maps (`broker/PROTOCOL.md`), over TCP as
JSON objects, in Python as methods of `broker.Client`, in the shell as `ipc` commands, in MCP as tools.

## Requests

Every request is a map with `action`, the fields below and, but for `register`, `ping` and `status`, `session_token`. A field
in bold must be there. An answer is a map with `status`: `ok` and what the last column says, or `error` with `code`, `message`,
`hint` and, where the same request may succeed later, `retryable` and `retry_after_s`.
"""

_ERRORS_HEAD = """\
# Errors

What each error means and what to do. A reply has the code (`code`), the sentence (`message`) and what to do (`hint`). A command
shows the sentence, and behind `next:` what to type. Search for the code or for words of the sentence; words in CAPITALS stand
for names and numbers. Programs compare codes, never sentences.

`ipc doctor` finds what is wrong with the service, and `ipc status` shows what runs. A send that may or may not have been stored
is repeated with the same id.
"""


def page() -> str:
    """The whole page, Markdown."""
    parts = [_HEAD]
    for action in ACTIONS.values():
        parts.append(_action(action))
    parts.append("## Errors\n\n| code | class | message | what to do | retry |\n|---|---|---|---|---|")
    for kind in CATALOGUE.values():
        parts.append(f"| `{kind.code}` | {kind.http} | {kind.text} | {kind.hint} | {'yes' if kind.retryable else ''} |")
    parts.append("\n## Settings\n\n| setting | variable | default | unit and meaning |\n|---|---|---|---|")
    for setting in SETTINGS.values():
        default = f"{setting.default:.10g}" if isinstance(setting.default, float) else setting.default
        parts.append(f"| `{setting.name}` | `{setting.env}` | {default} | {setting.unit} |")
    return "\n".join(parts) + "\n"


def errors_page() -> str:
    """The page of errors, Markdown. A code that docs/errors.toml lacks comes last; a test of the site asks for its meaning."""
    meanings = tomllib.loads((ROOT / "docs" / "errors.toml").read_text(encoding="utf-8"))
    told = {code for group in meanings.values() for code in group}
    parts = [_ERRORS_HEAD]
    for heading, group in {**meanings, "Others": dict.fromkeys(sorted(CATALOGUE.keys() - told), "")}.items():
        kinds = [CATALOGUE[code] for code in group if code in CATALOGUE]
        parts += [f"## {heading}\n", *(_error(kind, group[kind.code]) for kind in kinds)] if kinds else []
    return "\n".join(parts)


def _error(kind: ErrorKind, meaning: str) -> str:
    sentence, hint = (_FIELD.sub(lambda found: _WORDS.get(found[1], found[1].upper()), text) for text in (kind.text, kind.hint))
    later = "; the same request may succeed later" if kind.retryable else ""
    lines = [f"### {kind.code}\n", f"“{sentence}” (class {kind.http}{later})\n"]
    lines += [f"{meaning}\n"] if meaning else []
    lines += [f"**Do:** {hint}\n"] if hint else []
    return "\n".join(lines)


def _action(action: Action) -> str:
    lines = [f"### {action.name}\n\n{action.doc}"]
    notes = [] if action.access is Access.SESSION else [f"By {action.access}."]
    if action.sends:
        notes.append("Counts against the rate limit.")
    if action.delivers:
        notes.append("The mail it brings is on lease: acknowledge it with `ack`.")
    if action.slow:
        notes.append("Run when nobody waits for anything else: its answer may come after those to later requests.")
    if notes:
        lines.append(" ".join(notes))
    if action.fields:
        lines.append("| field | type | meaning |\n|---|---|---|\n" + "\n".join(_field(f) for f in action.fields))
    lines.append(f"Answer: {_reply(action)}{f'. {action.note}' if action.note else ''}\n")
    return "\n\n".join(lines)


def _reply(action: Action) -> str:
    always = ", ".join(one for one in action.reply if not one.partition(":")[0].endswith("?"))
    sometimes = ", ".join(one.replace("?", "", 1) for one in action.reply if one.partition(":")[0].endswith("?"))
    return "; where they apply: ".join(part for part in (always, sometimes) if part)


def _field(field: Field) -> str:
    kind, bounds = _TYPES[field.types[-1]], field.bounds()
    name = f"**{field.name}**" if field.required else field.name
    doc = field.doc.replace("|", r"\|")
    return f"| {name} | {kind}{f' ({bounds})' if bounds else ''} | {doc} |"


def requests_table() -> str:
    """The table of all requests in PROTOCOL.md, Markdown."""
    rows = ["| action | who | required | optional | reply fields |", "|---|---|---|---|---|"]
    for action in ACTIONS.values():
        required, optional = (", ".join(f"`{f.name}`" for f in action.fields if f.required is must) for must in (True, False))
        replied = ", ".join(f"`{name}`" for name in (one.partition(":")[0] for one in action.reply))
        rows.append(f"| `{action.name}` | {_WHO[action.access]} | {required} | {optional} | {replied} |")
    return "\n".join(rows)


def with_requests(protocol: str) -> str:
    """The text of PROTOCOL.md with the table as it is now between its two marks."""
    head, _, rest = protocol.partition(_TABLE_BEGINS)
    return f"{head}{_TABLE_BEGINS}{requests_table()}{_TABLE_ENDS}{rest.partition(_TABLE_ENDS)[2]}"


def write() -> None:
    """Write all of them anew."""
    (ROOT / "docs" / "reference.md").write_text(page(), encoding="utf-8")
    (ROOT / "docs" / "errors.md").write_text(errors_page(), encoding="utf-8")
    protocol = ROOT / "broker" / "PROTOCOL.md"
    protocol.write_text(with_requests(protocol.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    write()
