"""The one module that uses what is private or particular in the MCP SDK.

The tools are declared once, on a template. Each agent's session gets a server of its own over the same tools, since making
them anew would take 4 ms a tool. A context variable, which the SDK's tasks inherit, holds the session.
"""

import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any, get_args, get_origin

import anyio
import mcp_types as types
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.mcpserver import MCPServer
from mcp.server.session import ServerSession
from mcp.server.subscriptions import InMemorySubscriptionBus, ResourceUpdated, SubscriptionBus
from mcp.shared.message import SessionMessage
from pydantic import Field, ValidationError, WithJsonSchema

from bridges.fence import one_line
from bridges.mcp.json_rpc import request_key
from bridges.mcp.light_calls import HOSTS_OWN
from bridges.mcp.session import current
from bridges.mcp.tool_table import McpTool, ToolResult
from bridges.mcp.voice import INBOX
from bridges.waking import CHANNEL_CAPABILITY

_MEANT = {"text": "content", "message": "content", "body": "content", "to": "to_id", "name": "instance_id"}
"""The argument that a model means by a name that the tools don't have."""


class InboxWatch:
    """Tells a session's client that the inbox changed, if it asked to be told."""

    def __init__(self) -> None:
        self.bus: SubscriptionBus = InMemorySubscriptionBus()
        self._session: ServerSession | None = None
        self._watched: set[str] = set()
        self.missed = False
        """The inbox changed before a process that goes on for another one heard again who asked to be told."""

    async def changed(self) -> None:
        """Tell clients that asked: by ``resources/subscribe``, or by ``subscriptions/listen`` of the later protocol."""
        await self.bus.publish(ResourceUpdated(uri=INBOX))
        if self._session is not None and INBOX in self._watched:
            await self._session.send_resource_updated(INBOX)

    async def subscribe(self, _ctx: Any, params: types.SubscribeRequestParams) -> types.EmptyResult:
        self._watched.add(str(params.uri))
        if self.missed:
            self.missed = False
            await self.changed()
        return types.EmptyResult()

    async def unsubscribe(self, _ctx: Any, params: types.UnsubscribeRequestParams) -> types.EmptyResult:
        self._watched.discard(str(params.uri))
        return types.EmptyResult()

    async def hear(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        """Middleware: keeps the SDK session through which the client is told."""
        self._session = ctx.session
        return await call_next(ctx)


class SdkSession:
    """The SDK's part of one host's session. ``said`` takes each message of the SDK to the host."""

    def __init__(self, template: MCPServer[None], said: Callable[[bytes, str | None], Awaitable[None]]) -> None:
        self._template = template
        self._said = said
        self.inbox = InboxWatch()
        self._to_sdk, self._sdk_reads = anyio.create_memory_object_stream[SessionMessage | Exception](0)

    async def run(self) -> None:
        """Serve until ``end``."""
        sdk_writes, from_sdk = anyio.create_memory_object_stream[SessionMessage](0)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._pump, from_sdk)
            await run(self._template, self._sdk_reads, sdk_writes, self.inbox)

    async def take(self, line: bytes) -> bool:
        """Give the SDK a line of the host. False if it is no message."""
        try:
            message = parse(line)
        except ValueError:
            return False
        await self._to_sdk.send(message)
        return True

    def end(self) -> None:
        self._to_sdk.close()

    async def _pump(self, from_sdk: MemoryObjectReceiveStream[SessionMessage]) -> None:
        async with from_sdk:
            async for message in from_sdk:
                inner = message.message
                key = request_key(inner.id) if isinstance(inner, (types.JSONRPCResponse, types.JSONRPCError)) else None
                line = inner.model_dump_json(by_alias=True, exclude_unset=True).encode() + b"\n"
                await self._said(line, key)


async def remember_request(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
    """Middleware: notes the MCP request to which a tool's requests to the broker belong."""
    if ctx.request_id is not None and ctx.method == "tools/call":
        current().begin_request(request_key(ctx.request_id))
    return await call_next(ctx)


async def run(
    template: MCPServer[None],
    read: MemoryObjectReceiveStream[SessionMessage | Exception],
    write: MemoryObjectSendStream[SessionMessage],
    inbox: InboxWatch,
) -> None:
    """Serve the current session until ``read`` ends, with the template's tools and resources."""
    server: MCPServer[None] = MCPServer(
        template.name,
        version=template.version,
        instructions=template.instructions,
        log_level="ERROR",
        middleware=[remember_request, inbox.hear, _argument_check(template)],
        subscriptions=inbox.bus,
    )
    server._tool_manager = template._tool_manager
    server._resource_manager = template._resource_manager
    low = server._lowlevel_server
    for method in ("prompts/list", "prompts/get"):  # without handlers, prompts are not announced: we have none
        low._request_handlers.pop(method, None)
    low.add_request_handler("resources/subscribe", types.SubscribeRequestParams, inbox.subscribe)
    low.add_request_handler("resources/unsubscribe", types.UnsubscribeRequestParams, inbox.unsubscribe)
    await low.run(read, write, low.create_initialization_options(experimental_capabilities=CHANNEL_CAPABILITY))


def _argument_check(template: MCPServer[None]) -> Any:
    """Middleware: refuses a call with an argument that the tool does not have, whose value would be lost."""
    known = {tool.name: list(tool.parameters.get("properties", {})) for tool in template._tool_manager.list_tools()}

    async def check(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        params = ctx.params or {}
        name, given = params.get("name"), params.get("arguments")
        if ctx.method == "tools/call" and name in known and isinstance(given, Mapping):
            unknown = [k for k in given if k not in known[name] and k not in HOSTS_OWN]
            if unknown:
                meant = _MEANT.get(unknown[0], "")
                hint = f" Did you mean {meant}?" if meant in known[name] else ""
                text = f"{name} has no argument {unknown[0][:64]!r}.{hint} It takes: {', '.join(known[name])}."
                return types.CallToolResult(content=[types.TextContent(type="text", text=one_line(text))], is_error=True)
        return await call_next(ctx)

    return check


def add_tool(server: MCPServer[None], tool: McpTool) -> None:
    """Declare a tool to the SDK, with what it says of itself as pydantic says it."""
    given = inspect.signature(tool.run, eval_str=True)
    returns = types.CallToolResult if tool.shape is None else Annotated[types.CallToolResult, tool.shape]
    parameters = [one.replace(annotation=_as_pydantic(one.annotation)) for one in given.parameters.values()]

    async def call(**arguments: Any) -> types.CallToolResult:
        return _as_result(await tool.run(**arguments))

    call.__signature__ = given.replace(parameters=parameters, return_annotation=returns)  # type: ignore[attr-defined]
    annotations = types.ToolAnnotations(
        read_only_hint=tool.read_only or None,
        destructive_hint=False,
        idempotent_hint=tool.idempotent or None,  # a hint that is left out means no
        open_world_hint=False,
    )
    server.add_tool(call, name=tool.name, description=tool.description, annotations=annotations)


def _as_pydantic(annotation: Any) -> Any:
    if get_origin(annotation) is not Annotated:
        return annotation
    kind, *said = get_args(annotation)
    return Annotated[(kind, *(WithJsonSchema(one.whole) if one.whole else Field(**one.fields) for one in said))]


def _as_result(result: ToolResult) -> types.CallToolResult:
    content: list[types.ContentBlock] = [types.TextContent(type="text", text=text) for text in result.texts]
    structured = None if result.structured is None else dict(result.structured)
    return types.CallToolResult(content=content, structured_content=structured, is_error=result.is_error)


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
