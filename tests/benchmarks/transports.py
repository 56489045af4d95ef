"""Cost of one POST with the HTTP clients that could carry a token request.

Run: ``python tests/benchmarks/transports.py [--rounds N] [--calls N]``, with the packages of the
extra ``benchmarks``.

All clients send the same form to a small server in another process and decode its JSON, over one
persistent loopback connection each, alternating within one run. The results are
multiples of those of ``requests``.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import io
import json
import multiprocessing
import socket
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.benchmarks.client import _pin, _serve

BODY = b"grant_type=refresh_token&refresh_token=" + b"r" * 43
HEADERS = {
    "Accept": "application/json",
    "Authorization": "Basic " + "x" * 56,
    "Content-Type": "application/x-www-form-urlencoded",
}
Call = Callable[[], object]


def _requests(url: str) -> Call:
    import requests

    session = requests.Session()
    return lambda: session.post(url, data=BODY, headers=HEADERS).json()


def _urllib3(url: str) -> Call:
    import urllib3

    pool = urllib3.PoolManager()
    return lambda: pool.request("POST", url, body=BODY, headers=HEADERS).json()


def _urllib3_connection(url: str) -> Call:
    from urllib3.connection import HTTPConnection

    parts = urlsplit(url)
    connection = HTTPConnection(parts.hostname or "", parts.port)

    def call() -> object:
        connection.request("POST", parts.path, body=BODY, headers=HEADERS)
        return connection.getresponse().json()

    return call


def _http_client(url: str) -> Call:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc)

    def call() -> object:
        connection.request("POST", parts.path, BODY, HEADERS)
        return json.loads(connection.getresponse().read())

    return call


def _connect(url: str) -> socket.socket:
    parts = urlsplit(url)
    return socket.create_connection((parts.hostname, parts.port))


def _h11(url: str) -> Call:
    import h11

    sock, connection = _connect(url), h11.Connection(h11.CLIENT)
    headers = [("Host", urlsplit(url).netloc), *HEADERS.items(), ("Content-Length", str(len(BODY)))]

    def call() -> object:
        connection.start_next_cycle() if connection.our_state is h11.DONE else None
        request = h11.Request(method="POST", target=urlsplit(url).path, headers=headers)
        sock.sendall(
            b"".join(
                filter(
                    None,
                    map(connection.send, (request, h11.Data(data=BODY), h11.EndOfMessage())),
                )
            )
        )
        body = b""
        while not isinstance(event := connection.next_event(), h11.EndOfMessage):
            if event is h11.NEED_DATA:
                connection.receive_data(sock.recv(65_536))
            elif isinstance(event, h11.Data):
                body += event.data
        return json.loads(body)

    return call


def _pyreqwest(url: str) -> Call:
    from pyreqwest.client import SyncClientBuilder

    client = SyncClientBuilder().build()
    return lambda: client.post(url).headers(HEADERS).body_bytes(BODY).build().send().json()


def _pycurl(url: str) -> Call:
    import pycurl

    curl = pycurl.Curl()
    curl.setopt(pycurl.URL, url)
    curl.setopt(pycurl.HTTPHEADER, [f"{name}: {value}" for name, value in HEADERS.items()])

    def call() -> object:
        received = io.BytesIO()
        curl.setopt(pycurl.POSTFIELDS, BODY)
        curl.setopt(pycurl.WRITEDATA, received)
        curl.perform()
        return json.loads(received.getvalue())

    return call


def _socket(url: str) -> Call:
    sock = _connect(url)
    head = (
        f"POST {urlsplit(url).path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(BODY)}\r\n"
    )
    head += "".join(f"{name}: {value}\r\n" for name, value in HEADERS.items())
    whole = f"{head}\r\n".encode() + BODY

    def call() -> object:
        sock.sendall(whole)
        return json.loads(sock.recv(65_536).partition(b"\r\n\r\n")[2])

    return call


def _grantway(url: str) -> Call:
    from grantway import Deadline, HttpRequest, HttpTransport

    transport = HttpTransport()
    return lambda: json.loads(
        transport.send(HttpRequest("POST", url, dict(HEADERS), BODY), Deadline(10)).body
    )


def _grantway_async(url: str) -> Call:
    from grantway import Deadline, HttpRequest, HttpTransport

    transport, loop = HttpTransport(), asyncio.new_event_loop()

    async def send() -> float:
        """Return the time of one call, without starting and stopping the loop."""
        began = time.perf_counter()
        request = HttpRequest("POST", url, dict(HEADERS), BODY)
        json.loads((await transport.send_async(request, Deadline(10))).body)
        return time.perf_counter() - began

    return lambda: loop.run_until_complete(send())


CLIENTS: dict[str, Callable[[str], Call]] = {
    "requests": _requests,
    "urllib3": _urllib3,
    "urllib3's connection": _urllib3_connection,
    "http.client": _http_client,
    "h11 on a socket": _h11,
    "pyreqwest": _pyreqwest,
    "pycurl": _pycurl,
    "HttpTransport": _grantway,
    "HttpTransport, asyncio": _grantway_async,
    "a bare socket": _socket,
}


def main() -> None:
    """Run the benchmark."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=20)
    options.add_argument("--calls", type=int, default=100)
    chosen = options.parse_args()
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=_serve, args=(theirs,))
    server.start()
    try:
        url = f"http://127.0.0.1:{ours.recv()}/token"
        calls = {name: make(url) for name, make in CLIENTS.items()}
        _pin(0)
        seconds: dict[str, list[float]] = {name: [] for name in calls}
        for call in calls.values():
            for _ in range(20):
                call()
        for _ in range(chosen.rounds):
            for name, call in calls.items():
                for _ in range(chosen.calls):
                    began = time.perf_counter()
                    inner = call()
                    whole = time.perf_counter() - began
                    seconds[name].append(inner if isinstance(inner, float) else whole)
    finally:
        server.terminate()
        server.join()
    base = _fast(seconds["requests"]), statistics.median(seconds["requests"])
    print("| client | fastest tenth, x requests | median, x requests |\n|---|---|---|")
    for name, taken in seconds.items():
        print(
            f"| {name} | {_fast(taken) / base[0]:.2f} | {statistics.median(taken) / base[1]:.2f} |"
        )


def _fast(taken: list[float]) -> float:
    """Return the 10th percentile, which other programs on the machine affect less."""
    return statistics.quantiles(taken, n=10)[0]


if __name__ == "__main__":
    main()
