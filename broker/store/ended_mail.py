"""What becomes of mail that nobody read: its receipt with the ending, and who is still to be told of it."""

from broker.core.facts import Mark, Step
from broker.core.storage import DeadLetter, Unread, Untold
from broker.store.folding import QUEUED_ID, Folding

END = (
    "INSERT INTO receipt (mailbox_id, message_id, read_s, ending, why, name, sender_id) SELECT ?1, ?2, ?3, ?4, ?5, "
    "(SELECT name FROM mailbox WHERE id = ?1), (SELECT sender_id FROM message WHERE id = ?2)"
)
OWE = (
    "INSERT OR IGNORE INTO untold SELECT m.sender_id, m.id, ?1 FROM message m WHERE m.id = ?2 AND m.sender_id NOT IN (0, ?1) "
    "AND NOT EXISTS (SELECT 1 FROM mailbox b WHERE b.id = m.sender_id AND instr(b.name, '@'))"
)
"""A sender at another site is told by the link."""
OWE_ONCE = (
    f"{OWE} AND NOT EXISTS (SELECT 1 FROM step s WHERE s.message_id = ?2 AND s.mailbox_id = ?1 AND s.step = {Mark.BOUNCED})"
)
"""Of mail that expired: whoever was told that its reader is away, was told that."""
_PAST = (
    "INSERT INTO receipt (mailbox_id, message_id, read_s, evidence, ending, why, name, sender_id, dropped) "
    "SELECT ?1, ?2, ?3, ?4, ?5, ?6, CASE WHEN ?5 IS NOT NULL THEN (SELECT name FROM mailbox WHERE id = ?1) END, "
    "CASE WHEN ?5 IS NOT NULL THEN (SELECT sender_id FROM message WHERE id = ?2) END, CASE WHEN ?5 IS NOT NULL THEN 7 END"
)
ROW = "SELECT id, mailbox_id, message_id, read_s, ending, why, name, sender_id, coalesce(dropped, 0) FROM receipt"
DEAD = "ending IS NOT NULL AND ending <> 'withdrawn'"
_LISTED = (
    f"SELECT * FROM ({ROW} WHERE sender_id = ?1 AND message_id < ?2 AND {DEAD} AND NOT coalesce(dropped, 0) & 1 "
    "ORDER BY message_id DESC LIMIT ?3) UNION "
    f"SELECT * FROM ({ROW} WHERE mailbox_id = ?1 AND message_id < ?2 AND {DEAD} AND NOT coalesce(dropped, 0) & 2 "
    "ORDER BY message_id DESC LIMIT ?3) ORDER BY message_id DESC, id LIMIT ?3"
)
_OF_MESSAGE = (
    f"{ROW} WHERE sender_id = ?1 AND message_id = ?2 AND {DEAD} UNION "
    f"{ROW} WHERE mailbox_id = ?1 AND message_id = ?2 AND {DEAD} ORDER BY id"
)
_UNREAD = (
    "SELECT q.message_id, m.sender_id, m.created_s, m.expires_s, m.brief, EXISTS (SELECT 1 FROM step s WHERE "
    f"s.message_id = q.message_id AND s.mailbox_id = q.mailbox_id AND s.step = {Mark.BOUNCED}) "
    "FROM queue q JOIN message m ON m.id = q.message_id WHERE q.mailbox_id = ? AND "
)
_UNTOLD = (
    "SELECT u.message_id, u.mailbox_id, q.message_id IS NOT NULL OR (r.message_id IS NULL AND EXISTS (SELECT 1 FROM message m "
    f"WHERE m.id = u.message_id AND m.to_id = u.mailbox_id AND m.id > {QUEUED_ID})), r.ending, r.why, r.name FROM untold u "
    "LEFT JOIN queue q ON q.mailbox_id = u.mailbox_id AND q.message_id = u.message_id "
    "LEFT JOIN receipt r ON r.mailbox_id = u.mailbox_id AND r.message_id = u.message_id "
    "WHERE u.sender_id = ? ORDER BY u.message_id, u.mailbox_id LIMIT ?"
)


class EndedMail(Folding):
    """Rows of the receipt table that have an ending, and the untold table."""

    def end_mail(self, mailbox_id: int, ids: list[int], ending: str, why: str, now_s: float) -> None:
        """Move deliveries from the queue to the receipts. Whoever sent them is owed word of it, but of what was withdrawn."""
        deliveries = [(mailbox_id, i) for i in ids]
        self._statements.append((END, [(*one, now_s, ending, why) for one in deliveries]))
        self.unqueue(mailbox_id, ids)
        if ending != "withdrawn":
            self._statements.append((OWE, deliveries))

    def file_past(
        self, mailbox_id: int, message_id: int, now_s: float, evidence: str | None, ending: str | None, why: str | None
    ) -> None:
        self._statements.append((_PAST, [(mailbox_id, message_id, now_s, evidence, ending, why)]))

    def was_read(self, mailbox_id: int, message_id: int, now_s: float, evidence: str | None) -> None:
        """A delivery that had ended for want of word was read after all."""
        sql = (
            "UPDATE receipt SET read_s = ?, ending = NULL, why = NULL, evidence = ? "
            "WHERE mailbox_id = ? AND message_id = ? AND ending IS NOT NULL"
        )
        self._statements.append((sql, (now_s, evidence, mailbox_id, message_id)))
        self._statements.append(("DELETE FROM untold WHERE message_id = ? AND mailbox_id = ?", (message_id, mailbox_id)))

    def dead_of(self, mailbox_id: int, before: int | None, limit: int) -> list[DeadLetter]:
        """Dead letters that a mailbox sent or was to get and has not dropped, the newest messages first."""
        self._flush()
        return [DeadLetter._make(row) for row in self._sql.execute(_LISTED, (mailbox_id, before or 2**62, limit))]

    def dead_rows(self, mailbox_id: int, message_id: int) -> list[DeadLetter]:
        """One message's, dropped or not."""
        self._flush()
        return [DeadLetter._make(row) for row in self._sql.execute(_OF_MESSAGE, (mailbox_id, message_id))]

    def drop_dead(self, receipt_id: int, side: int) -> None:
        """Take a dead letter off the list of its sender (1), reader (2) or the data folder's owner (4)."""
        self._statements.append(("UPDATE receipt SET dropped = coalesce(dropped, 0) | ? WHERE id = ?", (side, receipt_id)))

    # whose sender is to be told

    def unread_of(self, mailbox_id: int, ids: list[int]) -> list[Unread]:
        """Those of these messages that the mailbox has unread."""
        self.settle(mailbox_id)
        self._flush()
        rows = (self._sql.execute(_UNREAD + "q.message_id = ?", (mailbox_id, i)).fetchone() for i in ids)
        return [Unread._make(row) for row in rows if row]

    def unread_after(self, mailbox_id: int, after: int, limit: int) -> list[Unread]:
        """The first unread messages with a higher id."""
        self.settle(mailbox_id)
        self._flush()
        found = self._sql.execute(_UNREAD + "q.message_id > ? ORDER BY q.message_id LIMIT ?", (mailbox_id, after, limit))
        return [Unread._make(row) for row in found]

    def add_untold(self, rows: list[tuple[int, int, int]]) -> None:
        self._statements.append(("INSERT OR IGNORE INTO untold VALUES (?,?,?)", rows))

    def untold_of(self, sender_id: int, limit: int) -> list[Untold]:
        """What a sender is to be told, the oldest messages first."""
        self._flush()
        return [Untold._make(row) for row in self._sql.execute(_UNTOLD, (sender_id, limit))]

    def drop_untold(self, sender_id: int, rows: list[Untold], steps: list[Step]) -> None:
        told = [(sender_id, row.message_id, row.mailbox_id) for row in rows]
        self._statements.append(("DELETE FROM untold WHERE sender_id = ? AND message_id = ? AND mailbox_id = ?", told))
        self._statements.append(("INSERT OR IGNORE INTO step VALUES (?,?,?,?,?,?)", steps))

    def untold_senders(self) -> list[int]:
        """Who is to be told of anything. Each look-up skips all rows of a sender."""
        found: list[int] = []
        while True:
            after = found[-1] if found else -1
            row = self._sql.execute("SELECT min(sender_id) FROM untold WHERE sender_id > ?", (after,)).fetchone()
            if row[0] is None:
                return found
            found.append(int(row[0]))
