"""The rate limit: each session has a bucket of ``rate_burst`` tokens that fills at ``rate_limit``/s; a recipient costs one."""

from broker.core.batch import Batch
from broker.core.state import Session
from broker.protocol.errors import IpcError


def take_tokens(batch: Batch, session: Session, count: int) -> None:
    """Charge the session's token bucket or raise ``rate_limited`` with the time to wait."""
    rate, filled = bucket(batch, session)
    if rate <= 0:
        return
    # a message to more than the bucket holds empties it: it would never be allowed otherwise
    cost = min(float(count), float(batch.settings.rate_burst))
    if filled < cost:
        raise IpcError("rate_limited", limit=rate, retry_after_s=(cost - filled) / rate)
    charge(batch, session, filled - cost)


def charge(batch: Batch, session: Session, left: float) -> None:
    """So many tokens are left in the session's bucket now."""
    batch.journal.set(session, "tokens", left)
    batch.journal.set(session, "refilled_s", batch.now.mono_s)


def bucket(batch: Batch, session: Session) -> tuple[float, float]:
    """Tokens per second that flow into the session's bucket (0: no limit), and tokens in it now."""
    settings = batch.settings
    rate = settings.instance_rate_limits.get(session.mailbox.name, settings.rate_limit)
    return rate, min(float(settings.rate_burst), session.tokens + max(0.0, batch.now.mono_s - session.refilled_s) * rate)
