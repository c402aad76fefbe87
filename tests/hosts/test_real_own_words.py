"""What Claude Code's model is told of the host's own mail beside ours."""

import pytest

from bench.hosts.machine import Machine
from bench.hosts.recording_model import RecordingModel
from bridges.known_hosts.claude.hooks import BESIDE
from tests.hosts.real import machine, needs

pytestmark = [pytest.mark.host, pytest.mark.timeout(120), needs("claude")]
__all__ = ["machine"]


@pytest.mark.parametrize("own", [True, False], ids=["with its own tools", "without them"])
def test_claude_code_is_told_once_which_tools_reach_whom_where_it_has_both(machine: Machine, own: bool) -> None:
    (sentence,) = BESIDE.values()
    machine.ipc("install", "claude", "--allow")
    with RecordingModel() as model:
        switch = {} if own else {"CLAUDE_CODE_HARBOR_KITE": "0"}  # the host's own switch
        machine.run("claude", "-p", "hello", **machine.claude_env(model.url), **switch)
        (request,) = model.requests
    assert ("ListAgents" in [tool["name"] for tool in request.body["tools"]]) == own
    assert request.told.count(sentence) == own
