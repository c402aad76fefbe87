"""What each host's hooks report, as others see it."""

from typing import Any

import pytest

from bridges.hosts.hook_event import HookEvent
from bridges.hosts.reports import report_of
from bridges.known_hosts.catalogue import hooks_of
from tests.conftest import Service
from tests.hosts.agent import Agent, recorded

MODULES = {host: hooks_of(host) for host in ("claude", "codex", "copilot", "gemini", "opencode", "qwen")}


def reported(name: str, called: str, **fields: Any) -> dict[str, Any] | None:
    host = name.partition("-")[0]
    return report_of(HookEvent("/nowhere", MODULES[host], called, None, {**recorded(name), **fields}))


@pytest.mark.parametrize(
    ("name", "called", "told"),
    [
        ("claude-UserPromptSubmit", "UserPromptSubmit", "turn_began"),
        ("claude-PreToolUse", "BeforeTool", "tool_began Write toolu_01"),
        ("claude-PostToolUse", "PostToolUse", "tool_ended Write toolu_01 /home/me/project/notes.txt"),
        ("claude-PermissionRequest", "PermissionRequest", "permission Bash"),
        ("claude-PermissionRequest-question", "PermissionRequest", "answer AskUserQuestion"),
        ("claude-PostToolUseFailure", "PostToolUseFailure", "tool_ended Bash toolu_01"),
        ("claude-StopFailure", "StopFailure", "failed"),
        ("claude-Notification-idle", "Notification", "turn_ended"),
        ("codex-Interrupt", "Interrupt", "turn_ended"),
        ("codex-PermissionRequest", "PermissionRequest", "permission Bash"),
        ("gemini-BeforeTool", "BeforeTool", "tool_began run_shell_command"),
        ("gemini-Notification", "Notification", "permission"),
        ("claude-SessionEnd", "SessionEnd", "ended"),
        ("codex-PreToolUse", "BeforeTool", "tool_began apply_patch c1"),
        ("codex-PreToolUse", "PostToolUse", "tool_ended apply_patch c1 /home/me/project/notes.txt"),
        ("codex-PreToolUse-heredoc", "PostToolUse", "tool_ended Bash call-1 /home/me/project/n.txt"),
        ("codex-PostToolUse", "PostToolUse", "tool_ended Bash call-1"),
        ("gemini-AfterTool", "BeforeTool", "tool_began list_directory"),
        ("gemini-AfterTool", "AfterTool", "tool_ended list_directory"),
        ("copilot-userPromptSubmitted", "userPromptSubmitted", "turn_began"),
        ("copilot-preToolUse", "BeforeTool", "tool_began apply_patch"),
        ("copilot-postToolUse", "postToolUse", "tool_ended apply_patch /home/me/web/notes.txt"),
        ("copilot-postToolUseFailure", "postToolUseFailure", "tool_ended view"),
        ("copilot-notification", "notification", "permission"),
        ("copilot-sessionEnd", "sessionEnd", "ended"),
        ("opencode-prompt", "prompt", "turn_began"),
        ("opencode-tool_began", "tool_began", "tool_began bash call_1"),
        ("opencode-tool-write", "tool", "tool_ended write call_2 /home/me/web/notes.txt"),
        ("opencode-tool_ended", "tool_ended", "tool_ended edit call_4"),
        ("opencode-permission", "permission", "permission external_directory"),
        ("opencode-tool-subagent", "tool", "sign ipc_check call_3"),
        ("qwen-UserPromptSubmit", "UserPromptSubmit", "turn_began"),
        ("qwen-PreToolUse", "BeforeTool", "tool_began edit toolu_1795908844698_w6eormi0w"),
        ("qwen-PreToolUse", "AfterTool", "tool_ended edit toolu_1795908844698_w6eormi0w /home/me/web/b.txt"),
        ("qwen-AfterTool", "AfterTool", "tool_ended read_file toolu_1795908844698_w6eormi0w"),
        ("qwen-PostToolUseFailure", "PostToolUseFailure", "tool_ended read_file toolu_1795908844757_8bpb16u4o"),
        ("qwen-PermissionRequest", "PermissionRequest", "permission run_shell_command"),
        ("qwen-Notification", "Notification", "turn_ended"),
        ("qwen-SessionEnd", "SessionEnd", "ended"),
    ],
)
def test_an_event_of_a_host_is_reported_with_its_tool_call_and_files(name: str, called: str, told: str) -> None:
    report = reported(name, called)
    assert report is not None
    words = [report["event"], report.get("tool"), report.get("call"), *report.get("paths", [])]
    assert " ".join(word for word in words if word) == told
    assert ("digest" in report) == (report["event"] == "tool_ended")


def test_the_digest_tells_a_repeated_result_from_another() -> None:
    def digest(**fields: Any) -> str:
        return str((reported("codex-PostToolUse", "PostToolUse", **fields) or {})["digest"])

    assert digest() == digest(tool_use_id="call-2") != digest(tool_response="hello?")


def test_waiting_for_mail_is_no_loop() -> None:
    report = reported("claude-PostToolUse", "PostToolUse", tool_name="mcp__plugin_agent-ipc_ipc__check")
    assert report is not None and "digest" not in report


@pytest.mark.parametrize(
    ("kind", "told"),
    [("permission_prompt", "permission"), ("elicitation_dialog", "answer"), ("idle_prompt", "turn_ended"), ("auth", None)],
)
def test_a_notice_to_the_user_is_reported_by_its_kind(kind: str, told: str | None) -> None:
    report = reported("claude-Stop", "Notification", notification_type=kind)
    assert (report or {}).get("event") == told


@pytest.mark.parametrize("called", ["BeforeTool", "PostToolUse", "PermissionRequest", "Stop", "SessionEnd", "StopFailure"])
def test_a_subagent_gives_signs_and_asks_but_has_no_turns(called: str) -> None:
    report = reported("claude-PostToolUse", called, agent_id="a1")
    assert (report or {}).get("event") == {"BeforeTool": "sign", "PostToolUse": "sign", "PermissionRequest": "permission"}.get(
        called
    )


def test_presence_follows_a_session_from_hook_to_hook(shared: Service, tag: str) -> None:
    agent = Agent(shared, project=f"web{tag}")
    logged = len(agent.log())
    with shared.connect(f"bob{tag}") as bob:

        def after(event: str, **fields: Any) -> str:
            assert agent.hook(event, **fields) == {}
            return next(str(row["presence"]) for row in bob.list() if row["id"] == f"web{tag}")

        agent.start()
        tool = {"tool_name": "Bash", "tool_use_id": "t1"}
        assert after("UserPromptSubmit") == "working"
        assert after("BeforeTool", **tool) == "working"
        assert after("PermissionRequest", **tool) == "waiting"
        assert after("PostToolUse", **tool) == "working"
        assert after("BeforeTool", tool_name="AskUserQuestion", tool_use_id="t2") == "waiting"
        assert after("PostToolUse", tool_name="AskUserQuestion", tool_use_id="t2") == "working"
        assert after("Stop", agent_id="a1") == "working"
        assert after("Stop") == "idle"
        assert after("BeforeTool", tool_name="Bash", tool_use_id="t3") == "working"  # woken, without a prompt
        assert after("Notification", notification_type="idle_prompt") == "idle"  # its user broke the turn off
        assert after("SessionEnd") == "gone"
        assert all(line["event"] != "hook_failed" for line in agent.log()[logged:])
