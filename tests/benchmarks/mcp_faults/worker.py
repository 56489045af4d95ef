"""A process with one client, which follows commands.

Run ``python -m tests.benchmarks.mcp_faults.worker``. The first line of input contains the client's
name and setup, and the offsets of the clock. Each further line is a command, such as
``{"do": "call", "count": 2}``, whose result is printed as one line.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import sys
import time
from typing import TYPE_CHECKING, Any

from tests.fleet.clock import CLOCK

CLOCK.install()

from tests.benchmarks.mcp_faults.clients import CLIENTS, Setup  # noqa: E402 - after the clock

if TYPE_CHECKING:
    import httpx2

_VERSION = "2026-07-28"
_HEADERS = {
    "Accept": "application/json, text/event-stream",
    "MCP-Protocol-Version": _VERSION,
}
_SHOWN = 300


class Worker:
    """The state of the process."""

    def __init__(self, client: httpx2.AsyncClient, url: str) -> None:
        self._client = client
        self._url = url
        self._stream: asyncio.Task[int] | None = None
        self._open = asyncio.Event()

    async def call(self, count: int = 1, tool: str = "read") -> dict[str, Any]:
        """Send concurrent requests, and return the number of each outcome."""
        began = time.monotonic()
        outcomes = await asyncio.gather(*(self._call(tool) for _ in range(count)))
        return {"outcomes": outcomes, "seconds": time.monotonic() - began}

    async def _call(self, tool: str) -> str:
        body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool}}
        try:
            # The SDK's transports do not let the HTTP client follow redirects.
            response = await self._client.post(
                self._url, json=body, headers=_HEADERS, follow_redirects=False
            )
        except Exception as error:  # noqa: BLE001 - any error is an outcome
            while isinstance(error, ExceptionGroup):
                error = error.exceptions[0]
            return f"{type(error).__name__}: {error}"[:_SHOWN]
        return "" if response.status_code == 200 else f"status {response.status_code}"

    async def stream(self) -> bool:
        """Open the event stream, and return whether its first event has arrived."""
        self._stream = asyncio.create_task(self._listen())
        waiting = asyncio.create_task(self._open.wait())
        await asyncio.wait({self._stream, waiting}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        return self._open.is_set()

    async def _listen(self) -> int:
        events = 0
        options: dict[str, Any] = {"headers": _HEADERS, "follow_redirects": False, "timeout": None}
        async with self._client.stream("GET", self._url, **options) as response:
            async for line in response.aiter_lines():
                events += line.startswith("data:")
                self._open.set()
        return events

    async def events(self) -> int:
        """Return the number of events of the stream, when it has ended."""
        assert self._stream is not None
        return await self._stream

    async def clock(self, **offsets: float) -> None:
        """Set the offsets of the clock."""
        for name, seconds in offsets.items():
            setattr(CLOCK, name, seconds)

    async def limit_files(self) -> None:
        """Let all writes to files fail, as on a full disk."""
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))

    async def allow_files(self) -> None:
        """Let writes to files succeed again."""
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)

    async def die_at_limit(self) -> None:
        """Let the system kill the process at a write that the limit forbids."""
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)

    async def usage(self) -> float:
        """Return the CPU time of the process, in seconds."""
        return time.process_time()


async def _run() -> None:
    setup = json.loads(sys.stdin.readline())
    for name, seconds in setup.pop("clock").items():
        setattr(CLOCK, name, seconds)
    client = CLIENTS[setup.pop("client")](Setup(**setup))
    worker = Worker(client, setup["url"])
    print(json.dumps("ready"), flush=True)
    async with client:
        while line := await asyncio.to_thread(sys.stdin.readline):
            command = json.loads(line)
            found = await getattr(worker, command.pop("do"))(**command)
            print(json.dumps(found), flush=True)


if __name__ == "__main__":
    asyncio.run(_run())
