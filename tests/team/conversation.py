"""What a request tells a model, in one form for the three forms in which Claude Code, Codex CLI and opencode ask."""

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple


class Tool(NamedTuple):
    """A tool that the request offers. ``whose``: the words of the server or folder of tools that it belongs to."""

    name: str
    description: str
    properties: dict[str, dict[str, Any]]
    required: tuple[str, ...]
    whose: str
    deferred: bool = False
    """Only the name is told yet."""


class Call(NamedTuple):
    """A call of the model's own, and what came back."""

    tool: str
    arguments: dict[str, Any]
    result: str

    def holds(self, text: str) -> bool:
        return any(text in str(value) for value in self.arguments.values())


class Conversation(NamedTuple):
    """``heard`` is all that others said, in order, results of tools among it."""

    tools: list[Tool]
    heard: list[str]
    calls: list[Call]

    def text(self) -> str:
        return "\n".join(self.heard)

    def gave(self, value: str) -> bool:
        """Whether one of the model's calls gave exactly that."""
        return any(value in call.arguments.values() for call in self.calls)

    def said(self, text: str) -> Call | None:
        """The latest of the model's calls that holds the text."""
        return next((call for call in reversed(self.calls) if call.holds(text)), None)


def conversation(body: dict[str, Any]) -> Conversation:
    heard: list[str] = []
    calls: dict[str, Call] = {}
    for kind, number, content in _items(body):
        if kind == "call":
            calls[number] = Call(content["name"], content["arguments"], "")
        else:
            heard.append(content)
            if number in calls:
                calls[number] = calls[number]._replace(result=content)
    text = "\n".join(heard)
    loaded = list(_tools(body, text))
    known = {tool.name for tool in loaded}
    deferred = [Tool(name, "", {}, (), _server(name, text), True) for name in _deferred(text) if name not in known]
    return Conversation(loaded + deferred, heard, list(calls.values()))


def _items(body: dict[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """("call", its number, name and arguments), or ("heard", number of the call that it answers or empty, text)."""
    for block in body.get("system", ()):
        yield "heard", "", block["text"]
    for message in body.get("messages", ()):
        yield from _of_message(message)
    for item in body.get("input", ()):
        if item["type"] == "message" and item["role"] != "assistant":
            yield "heard", "", _text(item["content"])
        elif item["type"] == "function_call":
            name = f"{item['namespace']}__{item['name']}" if item.get("namespace") else item["name"]
            yield "call", item["call_id"], {"name": name, "arguments": json.loads(item["arguments"])}
        elif item["type"] == "function_call_output":
            yield "heard", item["call_id"], _text(item["output"])


def _of_message(message: dict[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """Of the Messages API, or of Chat Completions."""
    for call in message.get("tool_calls") or ():
        function = call["function"]
        yield "call", call["id"], {"name": function["name"], "arguments": json.loads(function["arguments"])}
    if message["role"] == "tool":
        yield "heard", message["tool_call_id"], _text(message["content"])
        return
    for block in message["content"] if isinstance(message["content"], list) else [message]:
        if block.get("type") == "tool_use":
            yield "call", block["id"], {"name": block["name"], "arguments": block["input"]}
        elif block.get("type") == "tool_result":
            yield "heard", block["tool_use_id"], _text(block["content"])
        elif message["role"] != "assistant":
            yield "heard", "", _text(block["content"] if block is message else block.get("text", ""))


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(str(block.get("text", "")) for block in content or ())


def _tools(body: dict[str, Any], text: str) -> Iterator[Tool]:
    for one in body.get("tools", ()):
        if one.get("type") == "namespace":
            for tool in one["tools"]:
                yield _tool(tool, f"{one['name']}__{tool['name']}", one["description"])
        else:
            tool = one.get("function", one)
            yield _tool(tool, tool.get("name", one.get("type")), _server(tool.get("name", ""), text))


def _tool(tool: dict[str, Any], name: str, whose: str) -> Tool:
    schema = tool.get("input_schema") or tool.get("parameters") or {}
    return Tool(name, tool.get("description", ""), schema.get("properties", {}), tuple(schema.get("required", ())), whose)


def _deferred(text: str) -> list[str]:
    """The names that Claude Code lists of tools that are to be loaded first."""
    lists: list[str] = re.findall(r"deferred tools are now available.*?:\n((?:\w[\w-]*\n)+)", text)
    return [name for found in lists for name in found.split()]


_INSTRUCTIONS = (r"^## (?P<name>\S+)\n(?P<words>.+)$", r'<server name="(?P<name>[^"]+)">\s*(?P<words>.+)')
"""How Claude Code and opencode show a server's instructions; Codex CLI shows them with the server's tools."""


def _server(tool: str, text: str) -> str:
    """The instructions of the server that a tool belongs to, by its name."""
    for form in _INSTRUCTIONS:
        for found in re.finditer(form, text, re.MULTILINE):
            server = re.sub(r"[^\w-]", "_", found["name"])
            if re.match(rf"(mcp__)?{re.escape(server)}_", tool):
                return found["words"]
    return ""
