"""Named faults of networks and providers for token requests.

The fault matrices of grantway and of other libraries use the same faults.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from types import MappingProxyType
from typing import Any

from tests import faults
from tests.faults import Act, FaultServer, Stage

#: Response of a healthy server, with the parameter names of both AWS and the RFC.
HEALTHY: Mapping[str, Any] = {
    "access_token": "at-1",
    "token_type": "Bearer",
    "expires_in": 3600,
    "accessToken": "at-1",
    "tokenType": "Bearer",
    "expiresIn": 3600,
}
#: Response of the host that redirects point to.
FOREIGN: Mapping[str, Any] = {**HEALTHY, "access_token": "at-foreign", "accessToken": "at-foreign"}
NULL: Mapping[str, Any] = {**HEALTHY, "access_token": None, "accessToken": None}
HTML = {"Content-Type": "text/html"}
JSON = {"Content-Type": "application/json"}
GATEWAY = b"<html><body><h1>Gateway</h1></body></html>"
#: Values of Retry-After in seconds.
ASKED = 2
ASKED_BY_DATE = 3
ASKED_TOO_LONG = 3600


@dataclass(frozen=True)
class Fault:
    """One fault.

    Attributes:
        act: Returns the server's behaviour, given the address of another host; None if there is no
            server.
        host: Address for the client, if not the server's.
        scheme: URL scheme for the client.
        arrives: Whether the server receives the request.
        slow: Whether the client needs a timeout to end the request.
    """

    act: Callable[[str], Act] | None
    host: str | None = None
    scheme: str = "http"
    arrives: bool = True
    slow: bool = False


@dataclass
class Scene:
    """The servers of one test.

    Attributes:
        base: Base URL for the client, without a path.
        server: The faulty server, or None.
        elsewhere: Another host, the target of redirects.
        arrived: Time of each complete request to the server.
    """

    base: str
    server: FaultServer | None
    elsewhere: FaultServer
    arrived: list[float] = field(default_factory=list)

    @property
    def token_endpoint(self) -> str:
        """URL of the token endpoint."""
        return f"{self.base}/token"


@contextmanager
def scene(name: str, times: int | None = None) -> Iterator[Scene]:
    """Run the servers for a fault.

    Args:
        name: Name of the fault.
        times: Number of faulty responses before the server recovers; None for no recovery.
    """
    fault = FAULTS[name]
    with ExitStack() as stack:
        elsewhere = stack.enter_context(FaultServer(faults.respond(200, FOREIGN)))
        if fault.act is None:
            base = fault.host or f"http://127.0.0.1:{faults.free_port()}"
            yield Scene(base, None, elsewhere)
            return
        # The other host has a different name and a different port.
        act = fault.act(f"http://localhost:{elsewhere.port}/token")
        arrived: list[float] = []

        def counted(act: Act) -> Act:
            def play(stage: Stage) -> bool:
                stage.wait_until_sent()
                arrived.append(time.monotonic())
                return act(stage)

            return play

        faulty = counted(act) if fault.arrives else act
        well = counted(faults.respond(200, HEALTHY))
        script = [faulty] if times is None else [faulty] * times + [well]
        server = stack.enter_context(FaultServer(*script))
        base = f"{fault.scheme}://127.0.0.1:{server.port}"
        yield Scene(base, server, elsewhere, arrived)


def _always(act: Act) -> Callable[[str], Act]:
    return lambda _elsewhere: act


def _answers(
    status: int, body: bytes | Mapping[str, Any] | list[Any], headers: Mapping[str, str]
) -> Fault:
    return Fault(_always(faults.respond(status, body, headers)))


def _refuses(status: int, retry_after: int) -> Fault:
    return _answers(status, b"not now", {"Retry-After": str(retry_after)})


def _refuses_by_date(status: int) -> Fault:
    def act(stage: Stage) -> bool:
        date = formatdate(time.time() + ASKED_BY_DATE, usegmt=True)
        return faults.respond(status, b"not now", {"Retry-After": date})(stage)

    return Fault(_always(act))


def _redirects(status: int) -> Fault:
    return Fault(lambda elsewhere: faults.respond(status, b"", {"Location": elsewhere}))


def _plain_port(stage: Stage) -> bool:
    """Respond to a TLS handshake like a plain HTTP server."""
    stage.sock.recv(65536)
    stage.send(faults.message(400, b"not HTTP"))
    return False


FAULTS: Mapping[str, Fault] = MappingProxyType(
    {
        "connection refused": Fault(None, arrives=False),
        "unknown host": Fault(None, host="https://nobody.invalid", arrives=False),
        "TLS to a plain port": Fault(_always(_plain_port), scheme="https", arrives=False),
        "kept connection closed between two calls": Fault(
            _always(faults.close_after(faults.respond(200, HEALTHY)))
        ),
        "reset before the first byte of the response": Fault(_always(faults.reset_unread)),
        "reset after the request was read": Fault(_always(faults.reset_after_request)),
        "closed after the request was read": Fault(_always(faults.close_after_request)),
        "half a response": Fault(_always(faults.half())),
        "no response": Fault(_always(faults.stall), slow=True),
        "body stalls": Fault(_always(faults.stall_body), slow=True),
        "head drips": Fault(_always(faults.drip_head), slow=True),
        "body drips": Fault(_always(faults.drip_body), slow=True),
        "endless body": Fault(_always(faults.endless)),
        "302 to another host": _redirects(302),
        "307 to another host": _redirects(307),
        "429, Retry-After in seconds": _refuses(429, ASKED),
        "429, Retry-After as a date": _refuses_by_date(429),
        "429, Retry-After of an hour": _refuses(429, ASKED_TOO_LONG),
        "503, Retry-After in seconds": _refuses(503, ASKED),
        "503, Retry-After as a date": _refuses_by_date(503),
        "503, Retry-After of an hour": _refuses(503, ASKED_TOO_LONG),
        "500, HTML page": _answers(500, GATEWAY, HTML),
        "502, HTML page": _answers(502, GATEWAY, HTML),
        "504, HTML page": _answers(504, GATEWAY, HTML),
        "200, HTML page": _answers(200, b"<html><body>Please log in</body></html>", HTML),
        "200, empty": _answers(200, b"", JSON),
        "200, truncated JSON": _answers(200, b'{"access_token": "at-1", "token_ty', JSON),
        "200, a list": _answers(200, [HEALTHY, HEALTHY], JSON),
        "200, access_token null": _answers(200, NULL, JSON),
    }
)
