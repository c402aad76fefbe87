"""The owner's feed: page and terminal view are told that something has changed, and then read what they show.

    watch_all --> armed --a batch changes something--> told, one push --overview--> armed again

So nobody is told of more than it reads, however much is written, and a broker whose owner does not look does nothing for it.
"""

from typing import Any

from broker.core import looks
from broker.core.batch import Batch, Incoming, Outgoing
from broker.core.state import OwnerFeed


def watch_all(batch: Batch, _session: None, request: Incoming) -> dict[str, Any]:
    batch.journal.put(batch.state.feeds, request.route, OwnerFeed(request.body.get("id"), armed=False))
    for alarm in batch.state.alarms.values():  # the person's end with this
        if (mailbox := batch.state.by_id.get(alarm.mailbox_id)) is not None:
            looks.look(batch, mailbox)
    return {"watching": True}


def arm(batch: Batch, request: Incoming) -> None:
    """The connection has read what there is. This is not undone: a push too many does no harm."""
    feed = batch.state.feeds.get(request.route)
    if feed is not None:
        batch.state.feeds[request.route] = feed._replace(armed=True)


def tell(batch: Batch) -> None:
    """At the end of a batch: tell those who have read since they were last told."""
    if not batch.state.feeds or not batch.journal.mark():
        return
    for route, feed in list(batch.state.feeds.items()):
        if feed.armed:
            batch.journal.put(batch.state.feeds, route, feed._replace(armed=False))
            batch.out.append(Outgoing(route, {"push": "changed", "id": feed.request_id}))
