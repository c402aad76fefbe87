"""The command that a person types next after an error. The catalogue's own hints speak of requests."""

from __future__ import annotations

from broker.protocol.errors import NAME_LOST

TYPE_CHECKING = False
if TYPE_CHECKING:
    from broker.protocol.errors import IpcError

_HINTS = {
    "bad_request": "ipc {command} --help",
    "unknown_action": "ipc down; ipc up (the service that runs is of another version)",
    "unauthorized": "ipc register NAME",
    "session_expired": "ipc register NAME",
    "invalid_name": "ipc register NAME",
    "name_held": "ipc register OTHER, or the same with --force: its holder is told",
    "invalid_recipient": "ipc list shows who is registered",
    "spoofed_sender": "ipc whoami",
    "unknown_message": "ipc history shows the numbers of your mail",
    "unknown_group": "ipc groups lists them; ipc group create NAME makes one",
    "unknown_site": "ipc sites lists them",
    "unknown_name": "ipc list shows who is registered",
    "id_conflict": "leave --id out, or give each message an id of its own",
    "not_understood": "ipc say help",
    "claim_conflict": "ipc claims shows who works on what",
    "too_many_claims": "ipc claims lists them; ipc release RESOURCE ends one",
    "too_many_groups": "ipc groups lists them",
    "too_many_mailboxes": "ipc list shows who is registered",
    "overloaded": "try again in a moment",
    "internal": "ipc doctor",
}
"""Hints by error code. Any other error has the catalogue's hint."""


def words(error: IpcError) -> str:
    """What happened. Of a lost name the catalogue's hint tells it; the text is for old scripts."""
    return error.hint if error.code in NAME_LOST and error.hint else error.text


def hint(error: IpcError, command: str) -> str:
    """The next step after an error of a command."""
    if error.code in NAME_LOST:
        return f"ipc register OTHER, or ipc register {error.data.get('name', 'NAME')} --force to take it back"
    near = error.data.get("did_you_mean")
    step = _HINTS.get(error.code, error.hint or "ipc {command} --help").replace("{command}", command)
    return f"did you mean {near}? {step}" if isinstance(near, str) and near not in step else step
