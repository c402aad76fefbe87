"""A random history against a model: what was acknowledged is delivered, once acked it is gone, order is kept."""

import shutil
import tempfile
from pathlib import Path

from hypothesis import HealthCheck
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from broker.protocol.essentials import LANDINGS
from tests.engine import Core
from tests.examples import examples

NAMES = ("a", "b", "c")


class Deliveries(RuleBasedStateMachine):
    """Three agents; the model holds what each has unread, in order."""

    sent = Bundle("sent")

    def __init__(self) -> None:
        super().__init__()
        self.home = Path(tempfile.mkdtemp(prefix="ipc-"))
        self.core = Core(self.home, {"IPC_BOUNCE_INTERRUPT": "86400"})  # the model knows no notices
        self.core.register(*NAMES)
        self.unread: dict[str, list[str]] = {n: [] for n in NAMES}
        self.out: dict[str, dict[str, str]] = {n: {} for n in NAMES}
        self.handed_out: set[str] = set()
        self.lands: dict[str, str] = {}
        self.promoted: set[str] = set()
        self.count = 0

    def teardown(self) -> None:
        self.core.store.close()
        shutil.rmtree(self.home)

    @rule(target=sent, who=st.sampled_from(NAMES), to=st.sampled_from(NAMES), land=st.sampled_from(LANDINGS))
    def send(self, who: str, to: str, land: str) -> tuple[str, str, str]:
        self.count += 1
        text = f"m{self.count}"
        assert self.core.send(who, to, text, message_id=text, land=land)["status"] == "ok"
        self.lands[text] = land
        self.unread[to].append(text)
        return who, to, text

    @rule(message=sent)
    def send_again(self, message: tuple[str, str, str]) -> None:
        who, to, text = message
        assert self.core.send(who, to, text, message_id=text)["duplicate"] is True

    @rule(who=st.sampled_from(NAMES))
    def broadcast(self, who: str) -> None:
        self.count += 1
        text = f"m{self.count}"
        assert self.core.ask(who, "broadcast", message={"content": text})["count"] == 2
        self.lands[text] = "digest"
        for name in NAMES:
            if name != who:
                self.unread[name].append(text)

    @rule(who=st.sampled_from(NAMES), limit=st.integers(1, 5), land=st.sampled_from(LANDINGS))
    def check(self, who: str, limit: int, land: str) -> None:
        messages = self.core.check(who, limit=limit, land=land)
        texts = [m["message"]["content"] for m in messages]
        held = set(self.out[who].values())
        mildest = LANDINGS.index(land)
        assert texts == [t for t in self.unread[who] if t not in held and LANDINGS.index(self.landing(t)) >= mildest][:limit]
        self.out[who].update({m["id"]: m["message"]["content"] for m in messages})
        self.handed_out.update(texts)

    def landing(self, text: str) -> str:
        """When it lands by now."""
        return "turn" if text in self.promoted else self.lands.get(text, "tool")

    @rule(message=sent)
    def withdraw(self, message: tuple[str, str, str]) -> None:
        who, to, text = message
        fresh = text in self.unread[to] and text not in self.handed_out
        assert self.core.ask(who, "withdraw", withdraw_id=text)["withdrawn"] == fresh
        if fresh:
            self.unread[to].remove(text)

    @rule(who=st.sampled_from(NAMES), data=st.data())
    def ack(self, who: str, data: st.DataObject) -> None:
        ids = data.draw(st.lists(st.sampled_from(sorted(self.out[who])), unique=True)) if self.out[who] else []
        assert self.core.ask(who, "ack", ids=ids)["acked"] == len(ids)
        for message_id in ids:
            self.unread[who].remove(self.out[who].pop(message_id))

    @rule(who=st.sampled_from(NAMES), data=st.data())
    def release(self, who: str, data: st.DataObject) -> None:
        ids = data.draw(st.lists(st.sampled_from(sorted(self.out[who])), unique=True)) if self.out[who] else []
        assert self.core.ask(who, "release", ids=ids)["released"] == len(ids)
        for message_id in ids:
            del self.out[who][message_id]

    @rule()
    def leases_end(self) -> None:
        self.core.pass_time(31)
        self.core.batch()
        for held in self.out.values():
            held.clear()

    @rule()
    def a_quarter_of_an_hour_passes(self) -> None:
        self.core.pass_time(901)
        self.core.batch()
        self.core.keep_house()
        for held in self.out.values():
            held.clear()
        self.promoted |= {t for t, land in self.lands.items() if land == "digest"}

    @rule()
    def crash(self) -> None:
        self.core.restart()
        self.core.keep_house()  # as at the start of the service: what is due is looked at again
        for held in self.out.values():
            held.clear()

    @rule(who=st.sampled_from(NAMES), to=st.sampled_from(NAMES))
    def disk_fails(self, who: str, to: str) -> None:
        self.core.store._sql.execute("PRAGMA query_only = 1")
        assert self.core.send(who, to, "lost")["code"] == "storage_full"
        self.core.store._sql.execute("PRAGMA query_only = 0")

    @invariant()
    def counts_agree(self) -> None:
        for name in NAMES:
            mailbox = self.core.engine.state.mailboxes[name]
            assert (mailbox.queued, len(mailbox.leased)) == (len(self.unread[name]), len(self.out[name]))
            assert len(mailbox.urgent) == sum(self.lands.get(t) == "interrupt" for t in self.unread[name])
            assert len(mailbox.later) == sum(self.landing(t) == "turn" for t in self.unread[name])
            assert len(mailbox.quiet) == sum(self.landing(t) == "digest" for t in self.unread[name])


Deliveries.TestCase.settings = examples(60, stateful_step_count=40, suppress_health_check=list(HealthCheck))
TestDeliveries = Deliveries.TestCase
