"""Mail that comes in by a webhook: the owner's listener posts it under the reserved name of its source.

Its sender is no mailbox, like that of notices: nobody is registered as it, so nobody writes as it, and no answer can go to it.
A delivery's id is remembered for as long as the message.
"""

from typing import Any

from broker.core import reach
from broker.core.batch import Batch, Incoming
from broker.core.drafts import Draft, store_message
from broker.core.outcomes import SENT
from broker.core.recipients import Target, resolve, with_room
from broker.core.repeats import Repeat, answered_before, sent_before
from broker.core.sending import outcome_of
from broker.core.standing import Kind, standing
from broker.core.state import Mailbox
from broker.core.values import read_land, read_message
from broker.protocol.errors import IpcError
from broker.protocol.names import WEBHOOK, is_name

_NO_MAILBOX = 0


def post(batch: Batch, _session: None, request: Incoming) -> dict[str, Any]:
    body = request.body
    sender, delivery = source_of(batch, body["source"]), body["message_id"]
    content, data = read_message(batch, body["message"])
    client_id = f"{sender.name}:{delivery}"
    known = sent_before(batch, sender, Repeat(client_id, content, data, body["to_id"]), forever=True)
    if known is not None:
        return answered_before(known, delivery)
    target, full = with_room(batch, sender, at_home(resolve(batch, sender, body["to_id"])))
    if target.group is not None:
        target = target._replace(outcome=outcome_of(target, target.group))
    message_id = store_message(batch, Draft(sender, target, content, data, client_id, land=read_land(body)))
    reply = {"message": target.outcome or SENT, "message_id": delivery, "number": str(message_id)}
    if full:
        reply["mailbox_full"] = full
    return {**reply, **reach.told(batch, target.mailboxes, (sender.name,))}


def source_of(batch: Batch, source: str) -> Mailbox:
    """The sender that stands for a source. Raises ``bad_request``, and ``name_taken`` where somebody has had the name since
    before it was reserved."""
    name = WEBHOOK + source
    if not is_name(name):
        raise IpcError("bad_request", detail="A webhook's source has 1 to 24 letters, digits, hyphens or underscores")
    if standing(batch.state, name, batch.now.due_s).kind is not Kind.RESERVED:
        raise IpcError("name_taken", name=name)
    return Mailbox(_NO_MAILBOX, name, claimed=False, created_s=batch.now.wall_s, last_seen_s=batch.now.term_s)


def at_home(target: Target) -> Target:
    """The target without members of other sites: what they are told of a webhook they could not check."""
    here = [mailbox for mailbox in target.mailboxes if not mailbox.site]
    if not here and target.mailboxes:
        raise IpcError("bad_request", detail="A webhook's mail goes to names and groups of this site")
    return target._replace(mailboxes=here)
