"""An MCP server of the Python SDK with the tools that MCP's conformance tests of servers call.

Only those tools whose scenarios depend on HTTP: sessions, event streams and requests of the server.
"""

from __future__ import annotations

import asyncio

from fastmcp.server.event_store import EventStore
from mcp.server.mcpserver import Context, MCPServer
from mcp.types import SamplingMessage, TextContent
from pydantic import BaseModel
from starlette.applications import Starlette

#: Pause between two notifications in seconds, as the scenarios demand.
_PAUSE = 0.05


class _User(BaseModel):
    username: str
    email: str


def scenario_app(server: MCPServer) -> Starlette:
    """Add the tools to a server, and return its application, whose streams can be resumed."""
    server.tool()(test_simple_text)
    server.tool()(test_error_handling)
    server.tool()(test_tool_with_progress)
    server.tool()(test_sampling)
    server.tool()(test_elicitation)
    server.tool()(test_reconnection)
    return server.streamable_http_app(event_store=EventStore(), retry_interval=100)


def test_simple_text() -> str:
    """Return a text."""
    return "This is a simple text response for testing."


def test_error_handling() -> str:
    """Fail."""
    raise RuntimeError("This tool intentionally returns an error for testing")


async def test_tool_with_progress(ctx: Context) -> str:
    """Report progress."""
    for progress in (0, 50, 100):
        await ctx.report_progress(progress, 100)
        await asyncio.sleep(_PAUSE)
    return "done"


async def test_sampling(prompt: str, ctx: Context) -> str:
    """Ask the client's model."""
    message = SamplingMessage(role="user", content=TextContent(type="text", text=prompt))
    # Without the ID the request goes to the stream of a GET, which the client may not have opened.
    result = await ctx.session.create_message(
        messages=[message], max_tokens=100, related_request_id=ctx.request_id
    )
    assert isinstance(result.content, TextContent)
    return f"LLM response: {result.content.text}"


async def test_elicitation(message: str, ctx: Context) -> str:
    """Ask the user."""
    result = await ctx.elicit(message, _User)
    content = result.data.model_dump_json() if result.action == "accept" else "{}"
    return f"User response: action={result.action}, content={content}"


async def test_reconnection(ctx: Context) -> str:
    """End the response, so that the client has to request the rest of it."""
    await ctx.info("Before the stream ends")
    await ctx.close_sse_stream()
    await asyncio.sleep(2 * _PAUSE)
    await ctx.info("After the stream ended")
    return "done"
