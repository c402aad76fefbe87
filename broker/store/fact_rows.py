"""What is known of agents and of the way of their mail (``broker.core.facts``): steps, activity, alarms, watches,
schedules."""

import json
from collections.abc import Iterable

from broker.core.facts import Activity, AgentWatch, Alarm, Call, Schedule, Step
from broker.core.state import State
from broker.store.schema import ActivityRow, AgentWatchRow, AlarmRow, ScheduleRow
from broker.store.transactions import Transactions

ADD_STEP = "INSERT OR IGNORE INTO step SELECT ?1,?2,?3,?4,?5,?6 WHERE EXISTS (SELECT 1 FROM message WHERE id = ?1)"
"""A message may be swept before its step is written."""
_SAVE_ACTIVITY = "INSERT OR REPLACE INTO activity VALUES (?,?,?,?,?,?,?,?,?)"


class FactRows(Transactions):
    """The step, activity, alarm, agent_watch and schedule tables."""

    def add_steps(self, steps: Iterable[Step]) -> None:
        """Not worth a sync: a step is written behind its message."""
        self._light.append((ADD_STEP, list(steps)))

    def steps_of(self, message_id: int, mailbox_id: int) -> list[Step]:
        """What is written of a message's way to a reader, the earliest first."""
        sql = "SELECT * FROM step WHERE message_id = ? AND mailbox_id = ? ORDER BY at_s, step"
        return [Step._make(row) for row in self._sql.execute(sql, (message_id, mailbox_id))]

    def save_activity(self, mailbox_id: int, a: Activity) -> None:
        """Not worth a sync: the next event of the agent says the same again."""
        row = (mailbox_id, a.state, a.since_s, a.event_s, a.tool, json.dumps(a.calls), a.digest, a.repeats, a.acted_s)
        self._light.append((_SAVE_ACTIVITY, row))

    def save_alarm(self, alarm: Alarm) -> None:
        fields = {name: getattr(alarm, name) for name in Alarm.__slots__}
        self._add(AlarmRow.replace(**fields))

    def forget_alarms(self, before_s: float) -> None:
        """Those that closed before then."""
        self._add(AlarmRow.delete().where(AlarmRow.closed_s < before_s))

    def asked(self, now_s: float) -> set[int]:
        """Mailboxes that owe an answer."""
        sql = "SELECT DISTINCT asked_id FROM question WHERE answer_id IS NULL AND deadline_s > ?"
        return {row[0] for row in self._sql.execute(sql, (now_s,))}

    def save_agent_watch(self, watch: AgentWatch) -> None:
        self._add(AgentWatchRow.replace(**{**watch._asdict(), "events": " ".join(watch.events)}))

    def drop_agent_watch(self, watch_id: int) -> None:
        self._add(AgentWatchRow.delete().where(AgentWatchRow.id == watch_id))

    def add_schedule(self, s: Schedule, content: str, data: bytes | None) -> None:
        self._add(ScheduleRow.insert(content=content, data=data, **s._asdict()))

    def save_schedule(self, s: Schedule) -> None:
        self._add(ScheduleRow.update(**s._asdict()).where(ScheduleRow.id == s.id))

    def drop_schedule(self, schedule_id: int) -> None:
        self._add(ScheduleRow.delete().where(ScheduleRow.id == schedule_id))

    def scheduled(self, schedule_id: int) -> tuple[str, bytes | None]:
        self._flush()
        content, data = self._sql.execute("SELECT content, data FROM schedule WHERE id = ?", (schedule_id,)).fetchone()
        return content, data

    def load_facts(self, state: State) -> None:
        """Into a state whose mailboxes are loaded."""
        for row in ActivityRow.select().tuples():
            if row[0] in state.by_id:
                told = Activity._make(row[1:])
                state.by_id[row[0]].activity = told._replace(calls=tuple(Call(*one) for one in json.loads(row[5])))
        for row in AlarmRow.select().where(AlarmRow.closed_s.is_null()).tuples():
            if row[1] in state.by_id:
                state.alarms[row[0]] = Alarm(*row)
        state.last_alarm_id = self._highest("alarm")
        for row in AgentWatchRow.select().tuples():
            if row[1] in state.by_id:
                state.agent_watches[row[0]] = AgentWatch._make((*row[:3], tuple(row[3].split()), *row[4:]))
        state.last_watch_id = self._highest("agent_watch")
        for row in ScheduleRow.select(*(getattr(ScheduleRow, name) for name in Schedule._fields)).tuples():
            if row[1] in state.by_id:
                state.schedules[row[0]] = Schedule._make(row)
        state.last_schedule_id = self._highest("schedule")

    def _highest(self, table: str) -> int:
        return int(self._sql.execute(f"SELECT ifnull(max(id), 0) FROM {table}").fetchone()[0])
