"""The rate limit: a token bucket for each session, one token a message and recipient."""

from broker.core.batch import Batch
from broker.core.state import Session
from broker.protocol.errors import IpcError


def take_tokens(batch: Batch, session: Session, count: int) -> None:
    """Charge the session's token bucket or raise ``rate_limited`` with the time to wait."""
    rate, filled = bucket(batch, session)
    if rate <= 0:
        return
    cost = min(
        float(count), float(batch.settings.rate_burst)
    )  # more than the bucket empties it rather than never being allowed
    if filled < cost:
        raise IpcError("rate_limited", limit=rate, retry_after_s=(cost - filled) / rate)
    batch.journal.set(session, "tokens", filled - cost)
    batch.journal.set(session, "refilled_s", batch.now.mono_s)


def bucket(batch: Batch, session: Session) -> tuple[float, float]:
    """(messages/s that flow into the session's token bucket, 0 = it has none; tokens in it now)"""
    settings = batch.settings
    rate = settings.instance_rate_limits.get(session.mailbox.name, settings.rate_limit)
    return rate, min(float(settings.rate_burst), session.tokens + max(0.0, batch.now.mono_s - session.refilled_s) * rate)


def affordable(batch: Batch, session: Session) -> int:
    """Messages that the session's rate limit allows now."""
    rate, filled = bucket(batch, session)
    return int(filled) if rate > 0 else _NO_LIMIT


_NO_LIMIT = 2**62
