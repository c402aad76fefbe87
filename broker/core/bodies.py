"""Bodies: who acts for a name, whether that one lives, and who may take the name from it.

    lives        its process does, or somebody is subscribed or waits by a connection; the person: a page or terminal view runs
    has ended    its process is gone, or its agent said that it ends
    not known    an old client said nothing of itself, or the process can't be seen from here

The name of a body that lives changes hands only with ``force``. So does that of one that can't be seen, until it has given no
sign for ``body_timeout_s``. Whoever said nothing of itself keeps its name as long as it is subscribed or waits.
"""

from typing import Any

from broker.core.batch import Batch, Incoming
from broker.core.facts import Body
from broker.core.standing import free_beside
from broker.core.state import Mailbox, Session
from broker.core.values import iso_term
from broker.protocol.errors import IpcError

KINDS = ("terminal", "session", "process")
_TEXTS = {"key": 200, "started": 100, "host": 32, "where": 300}
"""Most characters of each."""
_PIDS = range(2**32)


def read_body(batch: Batch, request: Incoming) -> Body | None:
    """The body that a request names. Raises ``bad_request``."""
    given = request.body.get("body")
    if given is None:
        return None
    kind, pid = given.get("kind"), given.get("pid", 0)
    if kind not in KINDS:
        raise IpcError("bad_request", detail=f"body.kind must be one of {', '.join(KINDS)}")
    if type(pid) is not int or pid not in _PIDS:
        raise IpcError("bad_request", detail="body.pid must be a process id")
    texts = {name: given.get(name, "") for name in _TEXTS}
    for name, value in texts.items():
        if not isinstance(value, str) or len(value) > _TEXTS[name] or not value.isprintable():
            raise IpcError("bad_request", detail=f"body.{name} must be one line of at most {_TEXTS[name]} characters")
    if not texts["key"]:
        raise IpcError("bad_request", detail="body needs a key, which tells it from others of its kind")
    return Body(kind, pid=pid, person=kind == "terminal" and batch.is_person(request.route), **texts)


def alive(batch: Batch, mailbox: Mailbox) -> bool | None:
    """Whether the body of a name lives; None where that is not known."""
    session = mailbox.session
    if session is None or session.replaced or mailbox.presence == "gone" or mailbox.activity.state == "ended":
        return False
    if mailbox.attended:
        return True
    body = session.body
    if body is None or not body.pid:
        return None
    if body.person and body.kind == "process" and batch.state.feeds:
        return True  # page and terminal view share one session: it lives as long as one of them, whichever made it
    if body not in batch.lives:
        batch.lives[body] = batch.is_alive(body.pid, body.started)
    return batch.lives[body]


def is_held(batch: Batch, mailbox: Mailbox) -> bool:
    """True if the name is not to be had by another body without ``force``."""
    found = alive(batch, mailbox)
    if found is None and mailbox.session is not None and mailbox.session.body is not None:
        return batch.now.term_s - mailbox.last_seen_s <= batch.settings.body_timeout_s
    return found is True


def check_free(batch: Batch, mailbox: Mailbox, request: Incoming, body: Body | None) -> None:
    """Raise ``name_held`` where another body than the one that registers holds the name."""
    session = mailbox.session
    if session is None or request.body.get("force") or not is_held(batch, mailbox) or is_same(mailbox, session, request, body):
        return
    batch.event("name_refused", name=mailbox.name, holder=who(session.body))
    raise IpcError(
        "name_held",
        name=mailbox.name,
        who=who(session.body),
        since=iso_term(batch, session.created_s),
        seen=iso_term(batch, mailbox.last_seen_s),
        free=free_beside(batch, mailbox.name),
        holder={**holder(batch, session), "last_seen": iso_term(batch, mailbox.last_seen_s), "alive": alive(batch, mailbox)},
    )


def is_same(mailbox: Mailbox, session: Session, request: Incoming, body: Body | None) -> bool:
    """True if it is the holder itself that registers: by its body, or by the connection that it registered or listens on."""
    if body is not None and session.body is not None and body[:2] == session.body[:2]:
        return True
    waiting = {(one.route, "") for one in (*mailbox.waiters, *mailbox.askers)}
    listening = {(one.route, one.client) for one in (*mailbox.watchers, mailbox.subscription) if one is not None}
    return connection_of(request) in {session.client, *waiting, *listening}


def connection_of(request: Incoming) -> tuple[bytes, str]:
    """The client's own connection, also behind a door that serves many."""
    return request.route, request.body.get("client") or ""


def holder(batch: Batch, session: Session) -> dict[str, Any]:
    """What is shown of who holds a name, without empty fields. ``where`` is this machine's alone."""
    body = session.body
    shown = {} if body is None else {"kind": body.kind, "host": body.host, "where": body.where, "person": body.person}
    return {**{name: value for name, value in shown.items() if value}, "since": iso_term(batch, session.created_s)}


def who(body: Body | None) -> str:
    """A body in words."""
    if body is None:
        return "another program"
    what = {"terminal": "a terminal", "session": f"a session of {body.host or 'a host'}", "process": "a program"}[body.kind]
    if body.kind == "process" and body.person:
        what = "the person's page or terminal view"
    elif body.kind != "session" and body.host:
        what += f" ({body.host})"
    return f"{what} at {body.where}" if body.where else what


def replaced(batch: Batch, mailbox: Mailbox, by: Session | None) -> IpcError:
    """What is told to a session that has lost its name: who has it, and since when."""
    if by is None or by.replaced:
        return IpcError("session_ended", name=mailbox.name)
    since = iso_term(batch, by.created_s)
    return IpcError("session_replaced", name=mailbox.name, who=who(by.body), since=since, holder=holder(batch, by))
