"""Which of our tools a host may call without asking its user. The form is each host's own (its ``setup.py``).

That is all but ``share_file``, which reads a file of the user's for another agent. The host asks its user for that one in every
mode. ``say`` shares no file itself and points to ``share_file``.
"""

ALLOWED = (
    "ask",
    "broadcast",
    "check",
    "claim",
    "history",
    "list_instances",
    "manage",
    "register",
    "rename",
    "reply",
    "say",
    "send",
    "share_command",
)
ASKED = ("share_file",)


def sentence(asks_by_tool: bool = True) -> str:
    """The tools that are allowed and those that are not, in a sentence."""
    return f"without asking: {', '.join(ALLOWED)}; {'asking you each time' if asks_by_tool else 'left out'}: {', '.join(ASKED)}"
