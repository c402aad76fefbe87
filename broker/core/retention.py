"""How long read mail of a group or a thread is kept, where the owner of the data folder wants another time than ``read_ttl_s``.

A rule for a group holds for its name, also once nobody is in it: an agent that leaves must not end what the owner wants kept.
A rule for a thread is gone with the last of its mail. Of several rules for one message the longest counts. What is unread is
kept for ``unread_ttl_s`` as before; from then on, or when it is read, its rule counts.
"""

from typing import Any

from broker.core.batch import Batch, Incoming
from broker.core.groups import find
from broker.core.letters import thread_of
from broker.core.values import parse_id
from broker.protocol.addresses import is_address
from broker.protocol.errors import IpcError

_RULES = 1000
_TIMES = 32
"""Different times: there is a sweep for each."""


def keep(batch: Batch, _session: None, request: Incoming) -> dict[str, Any]:
    """Set or drop a rule, and list them all."""
    body, keeps = request.body, batch.state.keeps
    group, thread, keep_s = body.get("group"), body.get("thread"), body.get("keep_s")
    if group is not None and thread is not None:
        raise IpcError("bad_request", detail="A rule is for a group or for a thread")
    if (group is None and thread is None) != (keep_s is None):
        raise IpcError("bad_request", detail="A rule needs keep_s, and a group or a thread")
    if keep_s:
        key = ("group", known_group(batch, group)) if group is not None else ("thread", known_thread(batch, str(thread)))
        if key not in keeps and len(keeps) >= _RULES:
            raise IpcError("bad_request", detail=f"There may be {_RULES:,} rules: drop one")
        if keep_s not in keeps.values() and len(set(keeps.values())) >= _TIMES:
            raise IpcError("bad_request", detail=f"The rules may have {_TIMES} different times: take one of those")
        batch.journal.put(keeps, key, float(keep_s))
        batch.store.save_keep(*key, float(keep_s))
    elif keep_s is not None:
        key = ("group", group) if group is not None else ("thread", str(thread))
        if key not in keeps and thread is not None:
            key = ("thread", known_thread(batch, thread))
        if key not in keeps:
            raise IpcError("bad_request", detail=f"There is no rule for the {key[0]} {key[1][:64]}")
        batch.journal.drop(keeps, key)
        batch.store.save_keep(*key, None)
    return {"rules": [{kind: of, "keep_s": seconds} for (kind, of), seconds in sorted(keeps.items())]}


def known_group(batch: Batch, name: str) -> str:
    """Also a group of another site, whose members this broker does not know."""
    return name if is_address(name) else find(batch, name).name


def known_thread(batch: Batch, text_id: str) -> str:
    message_id = parse_id(text_id)
    letter = None if message_id is None else batch.store.find_letter(message_id)
    if letter is None:
        raise IpcError("unknown_message", id=text_id)
    return str(thread_of(letter))
