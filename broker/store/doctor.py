"""Repair of the database by hand, while no broker has it: what ``ipc doctor --repair`` does."""

from broker.core.storage import StoreError
from broker.home import restore_journal
from broker.home.files import no_service, prepare_home
from broker.home.settings import Settings


class InUse(Exception):
    """The service runs in this data folder."""


def repair_now(settings: Settings) -> str:
    """Examine the database thoroughly and repair it if need be; what was found, as a sentence. Raises InUse, OSError."""
    from broker.store import recovery

    prepare_home(settings)
    with no_service(settings) as stopped:
        if not stopped:
            raise InUse
        path = settings.home / "ipc.db"
        restore_journal.finish(settings.home)
        finished = recovery.finish(settings)
        if finished is not None:
            return finished.sentence()
        if not path.exists():
            return "There is no database yet."
        reason = recovery.examine(path, thorough=True)
        if reason is None:
            recovery.renew_text_index(path)
            return "The database is sound; the text index will be made anew."
        try:
            return recovery.repair(settings, reason).sentence()
        except StoreError as e:
            raise OSError(str(e)) from e


def loss(saved: int, lost: int | None) -> str:
    """How much a repair could not save, in words."""
    if lost is not None:
        return f"{lost} unread {'one' if lost == 1 else 'ones'} could not be read"
    return "how many are lost is unknown" + ("" if saved else ", perhaps all")
