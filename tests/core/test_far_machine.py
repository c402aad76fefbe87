"""A random history of mail between two sites: what its sender is told is true, and told once."""

import re
import tempfile
from pathlib import Path

from hypothesis import HealthCheck
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.core.two_sites import BORN, Sites
from tests.engine import DAY, HOUR, Core
from tests.examples import examples

PATIENT = {"IPC_SESSION_TIMEOUT": str(9999 * DAY), "IPC_READ_TTL": str(9999 * DAY)}
STEPS = ("outbox", "stored", "at_site", "in_context", "expired", "refused", "withdrawn")


class FarMailHistory(RuleBasedStateMachine):
    """Ann of paris writes to Bob of rome. Parts of the way are gone at random, and time passes."""

    @initialize()
    def open(self) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="ipc-")
        self.sites = Sites(Path(self.folder.name), "paris", "rome", **PATIENT)
        self.paris, self.rome = self.sites.by_name["paris"], self.sites.by_name["rome"]
        self.paris.core.register("ann")
        self.rome.core.register("bob")
        self.numbers: list[str] = []
        self.withdrawn: set[str] = set()
        self.ended: set[str] = set()
        self.seen: list[str] = []
        self.acked: set[str] = set()
        self.refused: set[str] = set()
        self.told: dict[str, list[str]] = {}
        self.remade = 0

    def teardown(self) -> None:
        if not hasattr(self, "sites"):
            return
        self.sites.exchange()
        for number in self.acked:
            assert self.step_of(number) == "in_context", number
        for number in self.refused - {n for n in self.told if any("no word" in line for line in self.told[n])}:
            assert self.step_of(number) in ("refused", "expired"), number
        self.sites.close()
        self.folder.cleanup()

    def core(self, site: str) -> Core:
        return self.sites[site]

    def step_of(self, number: str) -> str:
        (row,) = self.paris.core.ask("ann", "receipts", ids=[number])["receipts"]
        return str(row["step"])

    @rule(ttl_s=st.sampled_from([None, None, 60, 7200]), land=st.sampled_from(["tool", "interrupt"]))
    def send(self, ttl_s: int | None, land: str) -> None:
        fields = {} if ttl_s is None else {"ttl_s": ttl_s}
        sent = self.paris.core.send("ann", "bob@rome", f"text {len(self.numbers)}", land=land, **fields)
        self.numbers.append(sent["number"])

    @rule(which=st.integers(0, 9))
    def withdraw(self, which: int) -> None:
        if self.numbers:
            number = self.numbers[which % len(self.numbers)]
            if self.paris.core.ask("ann", "withdraw", withdraw_id=number)["withdrawn"]:
                self.withdrawn.add(number)

    @rule(site=st.sampled_from(["paris", "rome"]))
    def publish(self, site: str) -> None:
        self.sites.publish(self.sites.by_name[site])

    @rule(site=st.sampled_from(["paris", "rome"]))
    def read_stream(self, site: str) -> None:
        self.sites.read(self.sites.by_name[site])

    @rule()
    def take_alone(self) -> None:
        """The door takes rows and dies."""
        self.paris.ask("link_take", lease=self.paris.lease)
        self.paris.open()

    @rule()
    def remake_stream(self) -> None:
        """What the servers had of ours is published again."""
        self.remade += 1
        self.paris.ask("link_streams", lease=self.paris.lease, born={"rome": [f"{BORN}{self.remade}", 0]})

    @rule(refuse=st.booleans())
    def bob_reads(self, refuse: bool) -> None:
        bob = self.rome.core
        for message in bob.check("bob", limit=1):
            number = self.numbers[int(message["message"]["content"].split()[1])]
            self.seen.append(number)
            if refuse:
                bob.ask("bob", "release", ids=[message["id"]], refuse=True, why="not mine")
                self.refused.add(number)
            else:
                bob.ask("bob", "ack", ids=[message["id"]])
                self.acked.add(number)

    @rule(seconds=st.sampled_from([30.0, HOUR, DAY, 8 * DAY]))
    def pass_time(self, seconds: float) -> None:
        self.sites.pass_time(seconds)
        self.rome.core.ask("bob", "count")

    @rule(seconds=st.sampled_from([30.0, HOUR, 8 * DAY]), left=st.booleans())
    def rome_is_away(self, seconds: float, left: bool) -> None:
        """What is under way for long, or waits here for long, and is read as soon as it comes."""
        self.send(60, "tool")
        if left:
            self.publish("paris")
        self.pass_time(seconds)
        self.what_is_told_is_true_and_told_once()
        self.publish("paris")
        self.read_stream("rome")
        self.bob_reads(False)

    @rule(site=st.sampled_from(["paris", "rome"]))
    def restart(self, site: str) -> None:
        self.core(site).restart()
        self.sites.by_name[site].open()

    @invariant()
    def what_is_told_is_true_and_told_once(self) -> None:
        if not hasattr(self, "sites"):
            return
        ann = self.paris.core
        for digest in ann.check("ann", limit=100):
            ann.ask("ann", "ack", ids=[digest["id"]])
            for number, said in re.findall(r"^#(\d+) to bob@rome, (.*?)\. It begins", digest["message"]["content"], re.M):
                self.told.setdefault(number, []).append(said)
                if said.startswith("expired: ") and "no word" not in said:
                    self.ended.add(number)
        for number, lines in self.told.items():
            assert len([line for line in lines if not line.startswith("refused")]) <= 1, (number, lines)
            assert len(lines) <= 2, (number, lines)
        assert len(self.seen) == len(set(self.seen)), "nothing comes twice"
        assert not (self.withdrawn | self.ended) & set(self.seen)
        assert all(self.step_of(number) in STEPS for number in self.numbers[-5:])


TestFarMailHistory = FarMailHistory.TestCase
TestFarMailHistory.settings = examples(100, stateful_step_count=20, suppress_health_check=[HealthCheck.too_slow])
