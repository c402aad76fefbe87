"""Rows of the table of requests: prompts of agents' hosts that the person may answer elsewhere.

No session decides. ``permission_ask`` is for hooks, at the broker's own socket alone, so that an entry ends with its hook.
"""

from __future__ import annotations

from broker.protocol.rows import Access, Action, Field

SHOWN_CHARS, TOOL_CHARS = 16_384, 128
"""Characters of a tool's input and name that can be shown. A longer one is never cut: nobody is asked about it here."""

PERMISSION_ROWS = (
    Action(
        "permission_ask",
        Access.SESSION,
        (
            Field("call", (str,), "which call it is: the same again is the same entry", required=True, low=1, high=128),
            Field("tool", (str,), "the tool, as the host names it", required=True, low=1, high=TOOL_CHARS),
            Field("shown", (str,), "its input, exactly as the host gave it", required=True, high=SHOWN_CHARS),
            Field("input", (str,), "a hash of tool and input: a report of a call that ended with the same ends it", high=64),
            Field("beside", (bool,), "a subagent's call, which goes on when its leader's turn ends"),
            Field("wait_s", (int, float), "how long to wait for the person; 0 looks only", low=0, high=3600),
        ),
        ("decision: allow, deny, or none where nobody has decided",),
        "For hooks: wait until the person has decided about a tool call.",
        here=True,
    ),
    Action(
        "permission_decide",
        Access.OWNER,
        (
            Field("permission_id", (str,), "as overview shows it", required=True, low=1, high=64),
            Field("decision", (str,), "what the host is told", required=True, choices=("allow", "deny")),
        ),
        ("decided: allow or deny", "name: the agent whose host asked", "tool"),
        "Decide about a tool call, once. Nothing that an agent's host has started may.",
    ),
)
