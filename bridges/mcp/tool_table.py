"""What a tool is: a function, its arguments' annotations and its description. Nothing of the SDK, whose import takes a second.

tools/*.py --McpTool--> called at once, where the arguments are what the published schema says (bridges.mcp.light_calls)
                    --> the SDK's tool (bridges.mcp.server), which makes the schema, and judges all other arguments
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple


class Arg:
    """What an argument's schema says of it beside its type; ``whole``: in place of its type."""

    def __init__(self, *, whole: dict[str, Any] | None = None, **fields: Any) -> None:
        self.fields = fields
        """As pydantic's ``Field`` takes them: ``description``, ``ge``, ``le``."""
        self.whole = whole


class ToolResult(NamedTuple):
    """Texts for the model, and a structure of the same content."""

    texts: list[str]
    structured: Mapping[str, Any] | None = None
    is_error: bool = False


Run = Callable[..., Awaitable[ToolResult]]


class McpTool(NamedTuple):
    """One tool."""

    name: str
    run: Run
    description: str
    shape: type | None
    """The TypedDict of its structure, for the published schema; None: it returns text alone."""
    read_only: bool
    idempotent: bool


def tool(
    description: str, *, shape: type | None = None, read_only: bool = False, idempotent: bool = False
) -> Callable[[Run], McpTool]:
    """Make a tool of a function, by its name."""

    def make(run: Run) -> McpTool:
        return McpTool(run.__name__, run, description, shape, read_only, idempotent or read_only)

    return make
