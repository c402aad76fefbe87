"""The tools, in the order in which hosts list them."""

from bridges.mcp.tool_table import McpTool
from bridges.mcp.tools import reading, say, team, writing

TOOLS: dict[str, McpTool] = {
    tool.name: tool for tools in (writing.TOOLS, reading.TOOLS, team.TOOLS, say.TOOLS) for tool in tools
}
