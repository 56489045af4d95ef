"""HTTP clients: a POST of the same form, and the access token in the decoded response."""

from __future__ import annotations

from tests.benchmarks.peers import CLIENT_ID, CLIENT_SECRET, REFRESH_TOKEN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from tests.benchmarks.measuring import AsyncCall, Call

FORM = {"grant_type": "refresh_token", "refresh_token": REFRESH_TOKEN}
AUTH = (CLIENT_ID, CLIENT_SECRET)
#: For clients that do not encode forms, or have no parameter for Basic authentication.
BODY = b"grant_type=refresh_token&refresh_token=" + REFRESH_TOKEN.encode()
BASIC = "Basic Y2xpZW50OnNzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nz"
HEADERS = {
    "Accept": "application/json",
    "Authorization": BASIC,
    "Content-Type": "application/x-www-form-urlencoded",
}


def _address(base: str) -> tuple[str, int]:
    host, _, port = base.removeprefix("http://").partition(":")
    return host, int(port)


def _message() -> bytes:
    """Return the whole request, for clients that work on a socket."""
    head = {"Host": "localhost", "Content-Length": str(len(BODY)), **HEADERS}
    lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
    return f"POST /token HTTP/1.1\r\n{lines}\r\n".encode() + BODY


def raw_socket(base: str) -> Call:
    import json
    import socket

    sock, message = socket.create_connection(_address(base)), _message()

    def call() -> str:
        sock.sendall(message)
        return json.loads(sock.recv(65_536).partition(b"\r\n\r\n")[2])["access_token"]

    return call


def raw_socket_async(base: str) -> AsyncCall:
    import asyncio
    import json
    import socket

    loop, message = asyncio.get_running_loop(), _message()
    sock = socket.create_connection(_address(base))
    sock.setblocking(False)

    async def call() -> str:
        await loop.sock_sendall(sock, message)
        received = await loop.sock_recv(sock, 65_536)
        return json.loads(received.partition(b"\r\n\r\n")[2])["access_token"]

    return call


def pycurl(base: str) -> Call:
    import io
    import json

    import pycurl

    curl = pycurl.Curl()
    curl.setopt(pycurl.URL, f"{base}/token")
    curl.setopt(pycurl.HTTPHEADER, [f"{name}: {value}" for name, value in HEADERS.items()])

    def call() -> str:
        received = io.BytesIO()
        curl.setopt(pycurl.POSTFIELDS, BODY)
        curl.setopt(pycurl.WRITEDATA, received)
        curl.perform()
        return json.loads(received.getvalue())["access_token"]

    return call


def http_client(base: str) -> Call:
    import http.client
    import json

    connection = http.client.HTTPConnection(*_address(base))

    def call() -> str:
        connection.request("POST", "/token", BODY, HEADERS)
        return json.loads(connection.getresponse().read())["access_token"]

    return call


def urllib3(base: str) -> Call:
    import urllib3

    pool, url = urllib3.PoolManager(), f"{base}/token"
    return lambda: pool.request("POST", url, body=BODY, headers=HEADERS).json()["access_token"]


def urllib3_connection(base: str) -> Call:
    from urllib3.connection import HTTPConnection

    connection = HTTPConnection(*_address(base))

    def call() -> str:
        connection.request("POST", "/token", body=BODY, headers=HEADERS)
        return connection.getresponse().json()["access_token"]

    return call


def h11(base: str) -> Call:
    import json
    import socket

    import h11

    sock, connection = socket.create_connection(_address(base)), h11.Connection(h11.CLIENT)
    headers = [("Host", "localhost"), *HEADERS.items(), ("Content-Length", str(len(BODY)))]
    request = h11.Request(method="POST", target="/token", headers=headers)
    events = (request, h11.Data(data=BODY), h11.EndOfMessage())

    def call() -> str:
        if connection.our_state is h11.DONE:
            connection.start_next_cycle()
        sock.sendall(b"".join(connection.send(event) or b"" for event in events))
        body = b""
        while not isinstance(event := connection.next_event(), h11.EndOfMessage):
            if event is h11.NEED_DATA:
                connection.receive_data(sock.recv(65_536))
            elif isinstance(event, h11.Data):
                body += event.data
        return json.loads(body)["access_token"]

    return call


def pyreqwest(base: str) -> Call:
    from pyreqwest.client import SyncClientBuilder

    client, url = SyncClientBuilder().build(), f"{base}/token"

    def call() -> str:
        request = client.post(url).basic_auth(*AUTH).form(FORM).build()
        return request.send().json()["access_token"]

    return call


def pyreqwest_async(base: str) -> AsyncCall:
    from pyreqwest.client import ClientBuilder

    client, url = ClientBuilder().build(), f"{base}/token"

    async def call() -> str:
        request = client.post(url).basic_auth(*AUTH).form(FORM).build()
        return (await (await request.send()).json())["access_token"]

    return call


def aiohttp(base: str) -> AsyncCall:
    import aiohttp

    session, url = aiohttp.ClientSession(), f"{base}/token"
    auth = aiohttp.encode_basic_auth(*AUTH)

    async def call() -> str:
        async with session.post(url, data=FORM, headers={"Authorization": auth}) as response:
            return (await response.json())["access_token"]

    return call


def _post(session: Any, base: str) -> Call:
    """Return a call of a client with the interface of requests."""
    url = f"{base}/token"
    return lambda: session.post(url, data=FORM, auth=AUTH).json()["access_token"]


def _post_async(session: Any, base: str) -> AsyncCall:
    url = f"{base}/token"

    async def call() -> str:
        return (await session.post(url, data=FORM, auth=AUTH)).json()["access_token"]

    return call


def httpx2(base: str) -> Call:
    import httpx2

    return _post(httpx2.Client(), base)


def httpx2_async(base: str) -> AsyncCall:
    import httpx2

    return _post_async(httpx2.AsyncClient(), base)


def niquests(base: str) -> Call:
    import niquests

    return _post(niquests.Session(), base)


def niquests_async(base: str) -> AsyncCall:
    import niquests

    return _post_async(niquests.AsyncSession(), base)


def requests(base: str) -> Call:
    import requests

    return _post(requests.Session(), base)


def _request(base: str) -> Any:
    from grantway import HttpRequest

    return HttpRequest("POST", f"{base}/token", dict(HEADERS), BODY)


def http_transport(base: str) -> Call:
    import json

    from grantway import Deadline, HttpTransport

    transport = HttpTransport()
    return lambda: json.loads(transport.send(_request(base), Deadline(10)).body)["access_token"]


def http_transport_async(base: str) -> AsyncCall:
    import json

    from grantway import Deadline, HttpTransport

    transport = HttpTransport()

    async def call() -> str:
        response = await transport.send_async(_request(base), Deadline(10))
        return json.loads(response.body)["access_token"]

    return call


SYNC: dict[str, Callable[[str], Call]] = {
    "raw socket and json": raw_socket,
    "pycurl": pycurl,
    "http.client": http_client,
    "h11 on a socket": h11,
    "pyreqwest": pyreqwest,
    "urllib3, without its pool": urllib3_connection,
    "grantway's HttpTransport": http_transport,
    "urllib3": urllib3,
    "httpx2": httpx2,
    "niquests": niquests,
    "requests": requests,
}
ASYNC: dict[str, Callable[[str], AsyncCall]] = {
    "raw socket and json": raw_socket_async,
    "pyreqwest": pyreqwest_async,
    "grantway's HttpTransport": http_transport_async,
    "aiohttp": aiohttp,
    "httpx2": httpx2_async,
    "niquests": niquests_async,
}
