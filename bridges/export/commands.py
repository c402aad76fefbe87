"""``ipc export``: mail of everybody as JSON lines, mbox or Markdown."""

import argparse
import sys
from collections.abc import Generator
from contextlib import closing
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from bridges.export import json_lines, markdown, mbox
from bridges.export.letters import ExportedMail, asking, origin_of
from bridges.export.whole_file import whole_file
from bridges.plurals import number_of
from bridges.progress import Progress
from bridges.terminal import complain, say, say_json
from broker.home.settings import Settings
from broker.protocol.errors import IpcError

OK = 0
_BY_ENDING = {".mbox": "mbox", ".md": "markdown"}
_FIELDS = ("name", "peer", "thread", "group", "since_s")


def export(settings: Settings, options: argparse.Namespace) -> int:
    """Write what is there now. Without a file it goes to standard output, but never to a terminal: it is text of others."""
    fields = {field: getattr(options, field) for field in _FIELDS if getattr(options, field) is not None}
    form = options.format or (_BY_ENDING.get(Path(options.output).suffix.lower(), "jsonl") if options.output else "jsonl")
    if options.output is None and sys.stdout.isatty():
        raise IpcError("bad_request", detail="an export does not go to a terminal: name a file with -o, or pipe it on")
    with asking(settings) as ask, Progress(Progress.messages) as tell:
        mail = ExportedMail(ask, fields, tell)
        parts = _parts(form, mail, origin_of(settings), fields)
        with closing(parts):
            if options.output is None:
                for part in parts:
                    sys.stdout.buffer.write(part)
                sys.stdout.buffer.flush()
            else:
                target = Path(options.output).expanduser().absolute()
                with whole_file(target, force=options.force) as out:
                    for part in parts:
                        out.write(part)
    return _show(mail, options)


def _parts(form: str, mail: ExportedMail, origin: str, fields: dict[str, Any]) -> Generator[bytes, None, None]:
    """The file, piece by piece."""
    if form == "jsonl":
        yield json_lines.head(origin, datetime.now(timezone.utc).isoformat(timespec="microseconds"))
        yield from map(json_lines.line, mail)
        yield json_lines.end(mail.count)
    elif form == "mbox":
        for row in mail:
            yield mbox.entry(row, origin)
    else:
        yield markdown.title(fields).encode()
        for row in mail:
            yield markdown.entry(row).encode()


def _show(mail: ExportedMail, options: argparse.Namespace) -> int:
    if options.output is not None and options.json:
        say_json({"messages": mail.count, "missing": mail.missing, "file": options.output})
    elif options.output is not None:
        say(f"{number_of(mail.count, 'message')} written to {options.output}")
    if mail.missing and not (options.output is not None and options.json):
        complain(
            f"the files of {number_of(mail.missing, 'large message')} are gone: the export has their beginnings, and says so"
        )
    return OK
