"""Mail to real hosts that are killed at random, by a broker that is, too: what is said of each message is true."""

import json
import os
from pathlib import Path

import pytest

from bench.hosts.machine import missing
from bench.hosts.recording_model import RecordingModel
from tests.hosts.kill_rig import KillProof

MESSAGES = int(os.environ.get("AGENT_IPC_TEST_KILL_MESSAGES", "300"))
SEED = int(os.environ.get("AGENT_IPC_TEST_SEED", "13"))
SECONDS = MESSAGES * 0.8
ABSENT = missing("claude", "tmux")
pytestmark = [
    pytest.mark.host,
    pytest.mark.timeout(900),
    pytest.mark.skipif(bool(ABSENT), reason=f"not installed: {', '.join(ABSENT)} (see bench/hosts/machine.py)"),
]


def test_receipts_say_what_the_models_of_killed_hosts_really_saw(home: Path) -> None:
    with RecordingModel() as model:
        proof = KillProof(home, model, SEED)
        try:
            proof.run(MESSAGES, SECONDS)
            amid = proof.verdict()
            verdict = proof.until_quiet(120)
        finally:
            proof.close()
    counts = {
        "messages": MESSAGES,
        "seed": SEED,
        "requests": len(model.requests),
        "hosts killed": sum(agent.kills for agent in proof.agents),
        "brokers killed": proof.broker_kills,
        "inferred": verdict.inferred,
        **{name: len(getattr(verdict, name)) for name in ("false", "lost", "waiting", "unproven")},
    }
    print(json.dumps(counts))
    assert (amid.false, amid.lost) == ([], [])
    assert (verdict.false, verdict.lost, verdict.waiting) == ([], [], [])
