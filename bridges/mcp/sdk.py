"""The one module that uses what is private or particular in the MCP SDK.

The tools are declared once, on a template. Each agent's session gets a server of its own over the same tools, since making
them anew would take 4 ms a tool. A context variable, which the SDK's tasks inherit, holds the session.
"""

import json
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any, cast

import mcp_types as types
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.mcpserver import MCPServer
from mcp.server.session import ServerSession
from mcp.server.subscriptions import InMemorySubscriptionBus, ResourceUpdated, SubscriptionBus
from mcp.shared.message import SessionMessage
from pydantic import ValidationError

from bridges.fence import one_line
from bridges.mcp.session import BridgeSession
from bridges.waking import CHANNEL_CAPABILITY, CHANNEL_METHOD

CURRENT: ContextVar[BridgeSession] = ContextVar("agent_ipc_session")
_ChannelMessage = types.Notification[dict[str, Any], str]
INBOX = "ipc://inbox"
"""The resource that changes when mail comes."""
_CLAUDE_CODE = "claude-code"
_MEANT = {"text": "content", "message": "content", "body": "content", "to": "to_id", "name": "instance_id"}
"""The argument that a model means by a name that the tools don't have."""
_HOSTS_OWN = frozenset({"wait_for_previous"})
"""Arguments that a host adds to every tool for itself (Gemini CLI)."""
PARSE_ERROR, INVALID_REQUEST, METHOD_NOT_FOUND = -32700, -32600, -32601


def current() -> BridgeSession:
    """The session on whose behalf a tool or resource runs."""
    return CURRENT.get()


class Voice:
    """What a session's server sends to its client unasked."""

    def __init__(self) -> None:
        self._bus: SubscriptionBus = InMemorySubscriptionBus()
        self._session: ServerSession | None = None
        self._watched: set[str] = set()

    async def inbox_changed(self) -> None:
        """Tell clients that asked: by ``resources/subscribe``, or by ``subscriptions/listen`` of the later protocol."""
        await self._bus.publish(ResourceUpdated(uri=INBOX))
        if self._session is not None and INBOX in self._watched:
            await self._session.send_resource_updated(INBOX)

    async def channel(self, text: str, meta: dict[str, str]) -> None:
        """Send a channel's message. A host without channels drops it; so does the later protocol."""
        if self._session is not None:
            message = _ChannelMessage(method=CHANNEL_METHOD, params={"content": text, "meta": meta})
            await self._session.send_notification(cast(types.ServerNotification, message))  # not in the SDK's list

    async def subscribe(self, _ctx: Any, params: types.SubscribeRequestParams) -> types.EmptyResult:
        self._watched.add(str(params.uri))
        return types.EmptyResult()

    async def unsubscribe(self, _ctx: Any, params: types.UnsubscribeRequestParams) -> types.EmptyResult:
        self._watched.discard(str(params.uri))
        return types.EmptyResult()

    async def hear(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        """Middleware: keeps the SDK session through which the client is told."""
        self._session = ctx.session
        return await call_next(ctx)


async def remember_request(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
    """Middleware: notes the MCP request to which a tool's requests to the broker belong."""
    if ctx.request_id is not None:
        current().begin_request(request_key(ctx.request_id))
    return await call_next(ctx)


def request_key(number: Any) -> str:
    """The same text for one JSON-RPC id in every process; 1 and "1" differ."""
    return json.dumps(number)


async def run(
    template: MCPServer[None],
    read: MemoryObjectReceiveStream[SessionMessage | Exception],
    write: MemoryObjectSendStream[SessionMessage],
    voice: Voice,
) -> None:
    """Serve the current session until ``read`` ends, with the template's tools and resources."""
    server: MCPServer[None] = MCPServer(
        template.name,
        version=template.version,
        instructions=template.instructions,
        log_level="ERROR",
        middleware=[remember_request, voice.hear, _argument_check(template)],
        subscriptions=voice._bus,
    )
    server._tool_manager = template._tool_manager
    server._resource_manager = template._resource_manager
    low = server._lowlevel_server
    for method in ("prompts/list", "prompts/get"):  # without handlers, prompts are not announced: we have none
        low._request_handlers.pop(method, None)
    low.add_request_handler("resources/subscribe", types.SubscribeRequestParams, voice.subscribe)
    low.add_request_handler("resources/unsubscribe", types.UnsubscribeRequestParams, voice.unsubscribe)
    await low.run(read, write, low.create_initialization_options(experimental_capabilities=CHANNEL_CAPABILITY))


def _argument_check(template: MCPServer[None]) -> Any:
    """Middleware: refuses a call with an argument that the tool does not have, whose value would be lost."""
    known = {tool.name: list(tool.parameters.get("properties", {})) for tool in template._tool_manager.list_tools()}

    async def check(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        params = ctx.params or {}
        name, given = params.get("name"), params.get("arguments")
        if ctx.method == "tools/call" and name in known and isinstance(given, Mapping):
            unknown = [k for k in given if k not in known[name] and k not in _HOSTS_OWN]
            if unknown:
                meant = _MEANT.get(unknown[0], "")
                hint = f" Did you mean {meant}?" if meant in known[name] else ""
                text = f"{name} has no argument {unknown[0][:64]!r}.{hint} It takes: {', '.join(known[name])}."
                return types.CallToolResult(content=[types.TextContent(type="text", text=one_line(text))], is_error=True)
        return await call_next(ctx)

    return check


def trim_schemas(server: MCPServer[None]) -> None:
    """Leave out of the tools' schemas what pydantic adds and no model needs.

    That is titles, descriptions of structures, and null as a value of what may be left out.
    """
    for tool in server._tool_manager.list_tools():
        tool.parameters = trimmed(tool.parameters)
        if tool.fn_metadata.output_schema is not None:
            tool.fn_metadata.output_schema = trimmed(tool.fn_metadata.output_schema)


def trimmed(schema: Any, *, names: bool = False) -> Any:
    """A schema without ``title`` and without descriptions of structures. ``names``: its keys are names."""
    if isinstance(schema, list):
        return [trimmed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if names:
        return {k: trimmed(v) for k, v in schema.items()}
    kinds = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
    if len(kinds) == 1:
        schema = {**kinds[0], **{k: v for k, v in schema.items() if k not in ("anyOf", "default")}}
    dropped = {"title"} | ({"description"} if "properties" in schema else set())
    if "default" in schema and schema["default"] is None:
        dropped.add("default")
    return {k: trimmed(v, names=k in ("properties", "$defs")) for k, v in schema.items() if k not in dropped}


def parse(line: bytes) -> SessionMessage:
    """One line as a message. Raises ValueError."""
    try:
        return SessionMessage(types.jsonrpc_message_adapter.validate_json(line, by_name=False))
    except ValidationError as e:
        raise ValueError(str(e)) from None


def refused(line: bytes) -> bytes:
    """The answer to a line that ``parse`` refused, with the line's id if it has one."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return error_line(None, PARSE_ERROR, "Not JSON")
    number = value.get("id") if isinstance(value, dict) else None
    if isinstance(number, bool) or not isinstance(number, (int, str)):
        number = None
    if number is None or value.get("method") != "tools/call" or not _has_half_a_pair(value):
        return error_line(number, INVALID_REQUEST, "Not a JSON-RPC message")
    text = "The arguments hold half of a surrogate pair, which is no character. Next: leave it out."
    result = {"content": [{"type": "text", "text": text}], "isError": True, "resultType": "complete"}
    return json.dumps({"jsonrpc": "2.0", "id": number, "result": result}).encode() + b"\n"


def _has_half_a_pair(value: Any) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    return False


def to_line(message: SessionMessage) -> bytes:
    return message.message.model_dump_json(by_alias=True, exclude_unset=True).encode() + b"\n"


def answered(message: SessionMessage) -> str | None:
    """The key of the request that a message answers; None if it is no answer."""
    inner = message.message
    if isinstance(inner, (types.JSONRPCResponse, types.JSONRPCError)):
        return request_key(inner.id)
    return None


def client_of(message: SessionMessage) -> str | None:
    """The client's name, if a message tells it: ``initialize`` does, and each request of the later protocol."""
    inner = message.message
    if not isinstance(inner, types.JSONRPCRequest):
        return None
    params = inner.params or {}
    meta = params.get("_meta")
    info = params.get("clientInfo") if inner.method == "initialize" else None
    client = info or (meta.get(types.CLIENT_INFO_META_KEY) if isinstance(meta, Mapping) else None)
    return str(client.get("name", "")) if isinstance(client, Mapping) else None


def cancelled(message: SessionMessage) -> str | None:
    """The key of the request that a message gives up; None if it gives up none."""
    inner = message.message
    if isinstance(inner, types.JSONRPCNotification) and inner.method == "notifications/cancelled":
        return request_key((inner.params or {}).get("requestId"))
    return None


def refusal(message: SessionMessage, environment: Mapping[str, str]) -> bytes | None:
    """The answer to a message that the SDK must not see, None for all others.

    Claude Code asks ``server/discover`` first. An answer would choose a protocol that can't carry channel messages, and Claude
    Code would register no channel. Refused, it says ``initialize``. Every other client is served as it asks.
    """
    inner = message.message
    if not isinstance(inner, types.JSONRPCRequest) or inner.method != "server/discover":
        return None
    named = (client_of(message) or "").lower().startswith(_CLAUDE_CODE)
    if not named and not any(name == "CLAUDECODE" or name.startswith("CLAUDE_CODE_") for name in environment):
        return None
    return error_line(inner.id, METHOD_NOT_FOUND, "Method not found")


def error_line(number: Any, code: int, text: str) -> bytes:
    error = {"jsonrpc": "2.0", "id": number, "error": {"code": code, "message": text}}
    return json.dumps(error).encode() + b"\n"
