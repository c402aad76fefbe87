"""What one host has of ours, what ``ipc install`` would change in it, and the change itself."""

from collections.abc import Callable
from pathlib import Path

from bridges.install import own_folder
from bridges.install.install_record import InstallRecord, replace
from bridges.known_hosts.catalogue import about, names
from bridges.known_hosts.host_facts import RUN
from bridges.known_hosts.installation import Installation, Options, plan
from bridges.known_hosts.json_entries import read
from bridges.terminal import say
from broker.home.files import write_private
from broker.home.settings import Settings
from broker.protocol.errors import IpcError


class Change:
    """What installing with these options would change. Nothing is written before ``make``. Raises IpcError."""

    def __init__(self, record: InstallRecord, wanted: Installation, chosen: Options) -> None:
        own_folder.refuse_others(wanted, record.files())
        self._record, self.wanted, self.chosen = record, wanted, chosen
        self.facts = about(wanted.host)
        self._edits = [
            (edit, text, after)
            for edit in [*wanted.retired, *wanted.edits]
            if (text := read(edit.path)) != (after := edit.put(text))
        ]
        self._files = [(path, text) for path, text in files_of(wanted) if read(path) != text]
        for path, text in [*self._files, *((edit.path, after) for edit, _, after in self._edits)]:
            _refuse_what_is_no_text(path, text)

    def __bool__(self) -> bool:
        """False where all is there already."""
        return bool(self._edits or self._files)

    def words(self) -> list[str]:
        """What would be written where, a line for each place."""
        lines = []
        if self._files:
            folder = self.wanted.folder
            lines.append(f"{'renews' if folder and folder.exists() else 'makes'} the folder {folder}")
        for edit, text, after in self._edits:
            if not after:
                lines.append(f"removes {edit.path}")
            elif edit in self.wanted.retired:
                lines.append(f"takes the server of an earlier version out of {edit.path}")
            elif not text:
                lines.append(f"makes {edit.path}")
            else:
                lines.append(f"{'adds our entries to' if edit.take(text) == text else 'changes our entries in'} {edit.path}")
        return lines

    def make(self) -> None:
        """Write it. What was written before a failure is noted, so that uninstalling takes it back."""
        record = self._record
        before = record.files()
        record.begin(self.chosen, [path for path, _ in files_of(self.wanted)])
        try:
            for path, text in self._files:
                record.folders_of(path.parent)
                write_private(path, text)
            # the host would still load files of an earlier version
            own_folder.remove(self.wanted, before, but=record.files())
            for edit, text, after in self._edits:
                record.folders_of(edit.path.parent)
                record.edited(edit.path, text, after, replace(edit.path, text, after))
        finally:
            record.save()

    def show(self) -> None:
        """Print what would be there, file by file."""
        for path, text in files_of(self.wanted):
            say(f"# {path}")
            say(text.rstrip())
        for edit, _, after in self._edits:
            say(f"# {edit.path}")
            say(after.rstrip())


def take_out(record: InstallRecord, wanted: Installation) -> bool:
    """Take out what is ours. False if there was nothing."""
    found = [edit for edit in wanted.edits if (text := read(edit.path)) != edit.take(text)]
    there = own_folder.is_ours(wanted, record.files())
    if there:
        own_folder.refuse_others(wanted, record.files())
    for edit in wanted.edits:
        record.restore(edit)
    for edit in wanted.retired:
        if (after := edit.put(text := read(edit.path))) != text:
            replace(edit.path, text, after)
    if wanted.folder is not None and there:
        own_folder.remove(wanted, record.files())
        own_folder.tell_of_rest(wanted.folder)
    record.forget()
    return bool(found or there)


def installed(settings: Settings, scope: str) -> list[tuple[InstallRecord, Installation]]:
    """Each host that has something of ours, with how it was installed."""
    records = [InstallRecord(settings, host, scope) for host in names() if about(host).evidence == RUN]
    return [(record, wanted) for record in records if (wanted := _there(record)) is not None]


def _there(record: InstallRecord) -> Installation | None:
    """A file that can't be read hides what is ours in it; then the note of the installation tells."""
    try:
        wanted = plan(record.host, record.scope, record.options())
    except IpcError:  # nothing of ours can be there: the host takes no such installation
        return None
    if record.known or own_folder.is_ours(wanted, record.files()):
        return wanted
    return wanted if any(_has_ours(edit.path, edit.take) for edit in wanted.edits) else None


def _has_ours(path: Path, take: Callable[[str], str]) -> bool:
    try:
        return take(text := read(path)) != text
    except IpcError:
        return False


def files_of(wanted: Installation) -> list[tuple[Path, str]]:
    """The files of the folder that is ours alone."""
    return [(wanted.folder / name, text) for name, text in wanted.files.items()] if wanted.folder else []


def _refuse_what_is_no_text(path: Path, text: str) -> None:
    """Raise IpcError for what can't be written, such as a data folder whose name is no UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError as e:
        raise IpcError("bad_request", detail=f"{path} can't be written as UTF-8 ({e}); nothing was changed") from None


def place(wanted: Installation) -> str:
    """Where what is ours is, in words."""
    edited = [str(e.path) for e in wanted.edits if wanted.folder is None or e.path.exists()]
    return all_of([str(wanted.folder), *edited] if wanted.folder else edited)


def all_of(words: list[str]) -> str:
    """``A, B and C``."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
