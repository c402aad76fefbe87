"""Accounts: mailboxes, sessions, forwards, groups, blocks and claims. They change rarely and live in memory too."""

import json
from collections.abc import Iterable

from broker.core.state import Claim, Group, Mailbox, NameForward, Session
from broker.store.folding import Folding
from broker.store.last_ids import RAISE_MARK
from broker.store.schema import (
    ActivityRow,
    BlockRow,
    ClaimRow,
    ForwardRow,
    GroupRow,
    MailboxRow,
    MemberRow,
    PauseRow,
    SessionRow,
    UntoldRow,
)

_MOVED = (
    "(SELECT message_id FROM queue WHERE mailbox_id = ?2 "
    "UNION ALL SELECT message_id FROM receipt WHERE mailbox_id = ?2 AND ending IS NOT NULL)"
)
_MOVE = (
    "UPDATE letter SET peer_id = ?1 WHERE peer_id = ?2 AND (mailbox_id, message_id) IN "
    f"(SELECT sender_id, id FROM message WHERE id IN {_MOVED})",
    "UPDATE OR IGNORE letter SET mailbox_id = ?1 WHERE mailbox_id = ?2",
    f"UPDATE message SET to_id = ?1 WHERE to_id = ?2 AND id IN {_MOVED}",
    "UPDATE question SET asked_id = ?1 WHERE asked_id = ?2",
    f"UPDATE OR IGNORE step SET mailbox_id = ?1 WHERE mailbox_id = ?2 AND message_id IN {_MOVED}",
    "UPDATE OR IGNORE untold SET mailbox_id = ?1 WHERE mailbox_id = ?2 "
    f"AND (sender_id, message_id) IN (SELECT sender_id, id FROM message WHERE id IN {_MOVED})",
    "UPDATE receipt SET mailbox_id = ?1 WHERE mailbox_id = ?2 AND ending IS NOT NULL",
    "UPDATE queue SET mailbox_id = ?1 WHERE mailbox_id = ?2",
)
"""?1 is the mailbox that gets it, ?2 the one that had it."""


class Records(Folding):
    """Rows that ``load`` makes the state of."""

    def move_mail(self, from_mailbox_id: int, to_mailbox_id: int) -> None:
        """Make one mailbox's waiting mail another's, in the archive too."""
        self.settle(from_mailbox_id)
        ids = (to_mailbox_id, from_mailbox_id)
        self._statements += [(sql, ids) for sql in _MOVE]

    def save_mailbox(self, m: Mailbox) -> None:
        self._add(
            MailboxRow.replace(
                id=m.id,
                name=m.name,
                claimed=m.claimed,
                created_s=m.created_s,
                last_seen_s=m.last_seen_s,
                renamed_s=m.renamed_s,
                presence=m.presence,
                note=m.note,
                autocheck_min=m.autocheck_min,
                bounced_s=m.bounced_s,
            )
        )

    def drop_mailbox(self, mailbox_id: int) -> None:
        self._add(MailboxRow.delete().where(MailboxRow.id == mailbox_id))
        self._add(ActivityRow.delete().where(ActivityRow.mailbox_id == mailbox_id))
        self._add(PauseRow.delete().where((PauseRow.mailbox_id == mailbox_id) | (PauseRow.other_id == mailbox_id)))
        self._add(UntoldRow.delete().where(UntoldRow.sender_id == mailbox_id))
        # letters, blocks and groups may still name it
        self._statements.append((RAISE_MARK, ("last_mailbox_id", str(mailbox_id))))

    def save_session(self, s: Session) -> None:
        self._add(
            SessionRow.replace(
                token_hash=s.token_hash,
                mailbox_id=s.mailbox.id,
                uid=s.uid,
                created_s=s.created_s,
                last_seen_s=s.last_seen_s,
                replaced=s.replaced,
                body=None if s.body is None else json.dumps(s.body),
            )
        )

    def drop_session(self, token_hash: bytes) -> None:
        self._add(SessionRow.delete().where(SessionRow.token_hash == token_hash))

    def save_forward(self, name: str, forward: NameForward) -> None:
        self._add(ForwardRow.replace(name=name, mailbox_id=forward.mailbox.id, until_s=forward.until_s))

    def drop_forward(self, name: str) -> None:
        self._add(ForwardRow.delete().where(ForwardRow.name == name))

    def touch(self, mailboxes: Iterable[Mailbox], sessions: Iterable[Session]) -> None:
        """Note when mailboxes and sessions were last active; not worth a sync."""
        rows = [(m.last_seen_s, m.id) for m in mailboxes]
        keys = [(s.last_seen_s, s.token_hash) for s in sessions]
        self._write_now(
            ("UPDATE mailbox SET last_seen_s = ? WHERE id = ?", rows),
            ("UPDATE session SET last_seen_s = ? WHERE token_hash = ?", keys),
        )

    def save_group(self, group: Group) -> None:
        """The group and who is in it, in the order they joined."""
        self._add(GroupRow.replace(id=group.id, name=group.name, created_s=group.created_s))
        self._add(MemberRow.delete().where(MemberRow.group_id == group.id))
        for mailbox_id in group.members:
            self._add(MemberRow.insert(group_id=group.id, mailbox_id=mailbox_id))

    def drop_group(self, group_id: int) -> None:
        self._add(MemberRow.delete().where(MemberRow.group_id == group_id))
        self._add(GroupRow.delete().where(GroupRow.id == group_id))

    def save_block(self, mailbox_id: int, sender_id: int, mode: str | None) -> None:
        """None takes the block away."""
        if mode is None:
            self._add(BlockRow.delete().where(BlockRow.mailbox_id == mailbox_id, BlockRow.sender_id == sender_id))
        else:
            self._add(BlockRow.replace(mailbox_id=mailbox_id, sender_id=sender_id, mode=mode))

    def save_claim(self, claim: Claim) -> None:
        self._add(
            ClaimRow.replace(
                id=claim.id,
                mailbox_id=claim.mailbox.id,
                resource=claim.resource,
                since_s=claim.since_s,
                until_s=claim.until_s,
                note=claim.note,
            )
        )

    def drop_claim(self, claim_id: int) -> None:
        self._add(ClaimRow.delete().where(ClaimRow.id == claim_id))
