"""``tools/call`` without the SDK: the tool is called with the arguments that the SDK would have called it with.

That is so where the arguments are, type by type, what the published schema says. The SDK also takes others, such as the text
"5" for a number, and says in words what is wrong with the rest: all those calls are the SDK's.
"""

import json
import math
from typing import Any, NamedTuple

from bridges.mcp.known_answers import known, ordinary_meta
from bridges.mcp.tool_table import ToolResult
from bridges.mcp.tools import TOOLS

HOSTS_OWN = frozenset({"wait_for_previous"})
"""Arguments that a host adds to every tool for itself (Gemini CLI)."""
_EXACT = 2**53


class Unfit(Exception):
    """The SDK must judge it."""


class LightCall(NamedTuple):
    """A call that is ready to be made."""

    number: Any
    name: str
    arguments: dict[str, Any]

    async def run(self) -> ToolResult:
        return await TOOLS[self.name].run(**self.arguments)


class LightCalls:
    """The tools by name, with the schemas of their arguments."""

    def __init__(self) -> None:
        self._schemas = {row["name"]: row["inputSchema"] for row in known("tools/list")["tools"]}

    def call(self, message: dict[str, Any]) -> LightCall | None:
        """The call that an ordinary request means; None if the SDK must judge it."""
        params = message.get("params")
        if message.get("method") != "tools/call" or not isinstance(params, dict) or not ordinary_meta(params):
            return None
        name, given = params.get("name"), params.get("arguments", {})
        if not params.keys() <= {"name", "arguments", "_meta"} or name not in self._schemas or not isinstance(given, dict):
            return None
        try:
            arguments = _fitting(self._schemas[name], given)
        except Unfit:
            return None
        return LightCall(message["id"], str(name), arguments)


def answer_of(number: Any, result: ToolResult) -> dict[str, Any]:
    """The answer to a call, as the SDK writes it."""
    told: dict[str, Any] = {"content": [{"text": text, "type": "text"} for text in result.texts], "isError": result.is_error}
    if result.structured is not None:
        told["structuredContent"] = result.structured
    return {"jsonrpc": "2.0", "id": number, "result": told}


def _fitting(schema: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """The arguments, if they are what the schema says. Raises Unfit."""
    properties, required = schema["properties"], schema.get("required", ())
    if any(name not in given for name in required):
        raise Unfit
    found = {}
    for name, value in given.items():
        if name in properties:
            has_text = name in required or "default" in properties[name]
            found[name] = _value(properties[name], value, may_be_null=not has_text)
        elif name not in HOSTS_OWN:
            raise Unfit
    return found


def _value(schema: dict[str, Any], value: Any, *, may_be_null: bool) -> Any:
    kind = schema.get("type")
    if value is None and may_be_null:
        return None
    if kind == "string" and type(value) is str and value in schema.get("enum", (value,)):
        if may_be_null and _means_other(value):
            raise Unfit
        return value
    if kind == "boolean" and type(value) is bool:
        return value
    if kind in ("number", "integer") and type(value) in (int, float):
        return _number(schema, value)
    if kind == "array" and schema["items"] == {"type": "string"} and type(value) is list:
        return [_value(schema["items"], part, may_be_null=False) for part in value]
    if kind == "object" and type(value) is dict:
        return value
    raise Unfit


def _number(schema: dict[str, Any], value: float) -> float:
    whole = schema["type"] == "integer"
    if (whole and type(value) is float) or not math.isfinite(value) or abs(value) > _EXACT:
        raise Unfit
    if not schema.get("minimum", value) <= value <= schema.get("maximum", value):
        raise Unfit
    return value if whole else float(value)


def _means_other(text: str) -> bool:
    """True if the SDK would read this text, for an argument that may be null, as the JSON of something else."""
    try:
        return not isinstance(json.loads(text), (str, int, float))
    except (ValueError, RecursionError):
        return False
