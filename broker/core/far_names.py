"""Names at other sites. Each that mail goes to or comes from has a mailbox here, under its address ``name@site``.

Nobody is registered as such a mailbox. Its unread mail is what is not read there yet, as far as is known here: so a sender
sees, takes back and is told of it as of any other mail. What is still in the outbox is in ``broker.core.link``.
"""

from broker.core.batch import Batch
from broker.core.mailboxes import new_mailbox
from broker.core.state import Mailbox
from broker.protocol import addresses
from broker.protocol.errors import IpcError


def far_name(batch: Batch, text: str) -> tuple[str, str]:
    """The name and site of an address that this broker may write to; the site is its own, or another that exists, or ``*``.

    Raises ``email_address``, ``no_site``, ``unknown_site``, ``invalid_recipient``. Before the first word of the admin was read
    no site is known, and mail for any waits.
    """
    found = addresses.parts(text)
    if found is None:
        raise IpcError("email_address", address=text[:80]) if addresses.is_email(text) else IpcError("invalid_recipient")
    own = batch.settings.site
    if not own:
        raise IpcError("no_site", address=text[:80])
    known = batch.state.link.keys
    site = found[1]
    if site not in (own, addresses.EVERY) and known and not (site in known and known[site].key):
        raise IpcError("unknown_site", name=site, did_you_mean=near(batch, site))
    return found


def near(batch: Batch, site: str) -> str | None:
    """A site whose name is one letter off."""
    close = [name for name, key in batch.state.link.keys.items() if key.key and abs(len(name) - len(site)) <= 1]
    return next((name for name in close if one_off(name, site)), None)


def one_off(one: str, other: str) -> bool:
    """Whether one letter more, less or changed makes the one of the other."""
    if len(one) > len(other):
        one, other = other, one
    start = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), len(one))
    return one[start:] == other[start + 1 :] or one[start + 1 :] == other[start + 1 :]


def namesake(batch: Batch, name: str) -> str | None:
    """The address of somebody who has that name at another site, and with whom mail was exchanged; None where several have."""
    mailboxes = batch.state.mailboxes
    found = [address for site in batch.state.link.boxes if (address := f"{name}@{site}") in mailboxes]
    return found[0] if len(found) == 1 else None


def other_sites(batch: Batch) -> list[str]:
    """Sites that exist, but this one; where no word of the admin was read, those that mail was exchanged with."""
    link, own = batch.state.link, batch.settings.site
    known = [site for site, key in link.keys.items() if key.key] if link.keys else list(link.boxes)
    return sorted(site for site in known if site != own)


def far_mailbox(batch: Batch, name: str, site: str) -> Mailbox:
    """The mailbox of a name at another site, made at its first use. Raises ``too_many_mailboxes``, but for ``*``."""
    state, address = batch.state, f"{name}@{site}"
    mailbox = state.mailboxes.get(address)
    if mailbox is None:
        limit = batch.settings.name_limit
        if name != addresses.EVERY and state.link.boxes.get(site, 0) >= limit:
            raise IpcError("too_many_mailboxes", limit=limit)
        mailbox = new_mailbox(batch, address)
    note_sign(batch, mailbox)
    return mailbox


def note_sign(batch: Batch, mailbox: Mailbox) -> None:
    """Mail goes to it or comes from it: it is kept for as long as that can be answered."""
    if batch.now.term_s > mailbox.last_seen_s:
        batch.journal.set(mailbox, "last_seen_s", batch.now.term_s)
        batch.journal.add(batch.state.touched, mailbox.id)
