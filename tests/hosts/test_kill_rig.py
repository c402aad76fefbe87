"""The verdict over receipts: each kind of untruth is found."""

import json
from typing import Any

import pytest

from bench.hosts.recording_model import RecordingModel
from tests.hosts.kill_rig import judge

SEEN, UNSEEN = "mail-1", "mail-2"


def receipt(words: str, step: str, *steps: str) -> dict[str, Any]:
    return {"id": words, "to": "web", "step": step, "steps": [{"step": one} for one in ("stored", *steps)]}


@pytest.mark.parametrize(
    ("row", "found"),
    [
        (receipt(SEEN, "in_context", "in_context"), ""),
        (receipt(SEEN, "answered", "in_context", "answered"), ""),
        (receipt(SEEN, "pushed", "pushed"), "unproven"),
        (receipt(UNSEEN, "in_context", "in_context"), "false"),
        (receipt(UNSEEN, "dead", "in_context", "dead"), "false"),
        (receipt(UNSEEN, "answered", "answered"), "false"),
        (receipt(UNSEEN, "stored"), "waiting"),
        (receipt(UNSEEN, "expired"), "waiting"),
        (receipt(UNSEEN, "gone"), "lost"),
    ],
)
def test_a_receipt_is_judged_by_what_the_requests_held(row: dict[str, Any], found: str) -> None:
    with RecordingModel() as model:
        model.following({"tools": [{"name": "Read"}], "messages": [json.dumps({"text": f"[mail] {SEEN}"})]})
        verdict = judge([row], {SEEN: SEEN, UNSEEN: UNSEEN}, model)
    kinds = [kind for kind in ("false", "lost", "waiting", "unproven") if getattr(verdict, kind)]
    assert kinds == ([found] if found else [])
