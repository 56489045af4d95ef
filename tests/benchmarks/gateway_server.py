"""CPU time per request of HTTP servers, and of proxies with different HTTP clients.

Run from the repository's root: ``python -m tests.benchmarks.gateway_server [--rounds N]``

The candidates alternate. The result is the CPU time of the server's processes per request, which
depends less on other load on the machine than throughput does.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.faults import free_port

#: Server and application -> label in the results.
CANDIDATES = {
    ("uvicorn-httptools", "echo"): "uvicorn, httptools",
    ("uvicorn-h11", "echo"): "uvicorn, h11",
    ("granian", "echo"): "granian",
    ("uvicorn-httptools", "aiohttp_proxy"): "uvicorn, httptools; aiohttp",
    ("uvicorn-httptools", "httpcore_proxy"): "uvicorn, httptools; httpcore",
    ("uvicorn-httptools", "httpx_proxy"): "uvicorn, httptools; httpx",
}
_REQUEST = b"GET /a/b?x=1 HTTP/1.1\r\nHost: x\r\nUser-Agent: b\r\nAccept: */*\r\n\r\n"
_UPSTREAM = os.environ.get("UPSTREAM", "")
_KEPT: dict[str, Any] = {}


async def echo(_scope: Any, _receive: Any, send: Any) -> None:
    """The upstream of the proxies, and the baseline for the servers."""
    headers = [(b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"ok"})


async def httpx_proxy(scope: Any, _receive: Any, send: Any) -> None:
    """A proxy that forwards with httpx."""
    import httpx

    client = _KEPT.setdefault("httpx", _KEPT.get("httpx") or httpx.AsyncClient())
    url = f"http://{_UPSTREAM}{scope['raw_path'].decode()}"
    response = await client.send(
        httpx.Request(scope["method"], url, headers=_own(scope)), stream=True
    )
    await _back(send, response.status_code, response.headers.raw, response.aiter_raw())
    await response.aclose()


async def httpcore_proxy(scope: Any, _receive: Any, send: Any) -> None:
    """A proxy that forwards with httpcore, the base of httpx."""
    import httpcore

    pool = _KEPT.setdefault("httpcore", _KEPT.get("httpcore") or httpcore.AsyncConnectionPool())
    host, _, port = _UPSTREAM.partition(":")
    url = httpcore.URL(scheme=b"http", host=host, port=int(port), target=scope["raw_path"])
    headers = [(b"host", _UPSTREAM.encode()), *_own(scope)]
    response = await pool.handle_async_request(
        httpcore.Request(scope["method"], url, headers=headers)
    )
    await _back(send, response.status, response.headers, response.aiter_stream())
    await response.aclose()


async def aiohttp_proxy(scope: Any, _receive: Any, send: Any) -> None:
    """A proxy that forwards with aiohttp."""
    import aiohttp
    from multidict import CIMultiDict
    from yarl import URL

    session = _KEPT.setdefault("aiohttp", _KEPT.get("aiohttp") or aiohttp.ClientSession())
    url = URL(f"http://{_UPSTREAM}{scope['raw_path'].decode()}", encoded=True)
    headers = CIMultiDict((name.decode(), value.decode()) for name, value in _own(scope))
    async with session.request(scope["method"], url, headers=headers) as response:
        await _back(send, response.status, response.raw_headers, response.content.iter_any())


def _own(scope: Any) -> list[tuple[bytes, bytes]]:
    return [each for each in scope["headers"] if each[0] != b"host"]


async def _back(send: Any, status: int, headers: Any, pieces: Any) -> None:
    lower = [(name.lower(), value) for name, value in headers]
    await send({"type": "http.response.start", "status": status, "headers": lower})
    async for piece in pieces:
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


@contextmanager
def serving(server: str, application: str, upstream: str = "") -> Iterator[tuple[int, int]]:
    """Run an application in a server, and yield the process and the port."""
    port, where = free_port(), f"{__name__ if __name__ != '__main__' else _NAME}:{application}"
    if server == "granian":
        command = ["granian", where, "--interface", "asginl", "--loop", "asyncio", "--no-log"]
    else:
        http = server.removeprefix("uvicorn-")
        command = ["uvicorn", where, "--http", http, "--loop", "asyncio", "--lifespan", "off",
                   "--interface", "asgi3", "--log-level", "critical"]  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-m", *command, "--port", str(port)],
        env={**os.environ, "UPSTREAM": upstream, "PYTHONPATH": str(Path.cwd())},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 30
        while True:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            assert time.monotonic() < deadline, f"{server} does not listen"
            assert process.poll() is None, f"{server} ended"
            time.sleep(0.05)
        yield process.pid, port
    finally:
        process.terminate()
        process.wait()


async def load(port: int, connections: int, count: int) -> list[float]:
    """Send requests in sequence over each of some connections, and return their durations."""
    seconds: list[float] = []

    async def one() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(count):
            began = time.perf_counter()
            writer.write(_REQUEST)
            await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(2)
            seconds.append(time.perf_counter() - began)
        writer.close()
        await writer.wait_closed()

    await asyncio.gather(*(one() for _ in range(connections)))
    return seconds


def processor_seconds(pid: int) -> float:
    """Return the CPU time of a process and its children in seconds (Linux)."""
    children = subprocess.run(
        ["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False
    )
    used = sum(processor_seconds(int(each)) for each in children.stdout.split())
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return used + (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Run all candidates alternately, and print the medians of the rounds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    costs: dict[str, list[float]] = {name: [] for name in CANDIDATES.values()}
    medians: dict[str, list[float]] = {name: [] for name in CANDIDATES.values()}
    with serving("uvicorn-httptools", "echo") as (_, behind):
        for _ in range(rounds):
            for (server, application), name in CANDIDATES.items():
                with serving(server, application, f"127.0.0.1:{behind}") as (pid, port):
                    asyncio.run(load(port, 4, 100))
                    before = processor_seconds(pid)
                    took = asyncio.run(load(port, 16, 100))
                    costs[name].append((processor_seconds(pid) - before) / len(took) * 1e6)
                    medians[name].append(statistics.median(asyncio.run(load(port, 1, 500))) * 1e6)
    print("microseconds: processor a request (16 connections), median latency (1 connection)")
    for name in CANDIDATES.values():
        cost, median = statistics.median(costs[name]), statistics.median(medians[name])
        print(f"{name:32} {cost:6.0f} {median:6.0f}")


_NAME = "tests.benchmarks.gateway_server"

if __name__ == "__main__":
    main()
