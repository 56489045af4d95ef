"""Every way in which a network or a provider fails a token request, by name.

The fault matrix of grantway and the one of its peers play the same faults.
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

#: What a healthy server answers; AWS's names beside the RFC's, so that it serves every client.
HEALTHY: Mapping[str, Any] = {
    "access_token": "at-1",
    "token_type": "Bearer",
    "expires_in": 3600,
    "accessToken": "at-1",
    "tokenType": "Bearer",
    "expiresIn": 3600,
}
#: What the host answers that a redirect points to.
FOREIGN: Mapping[str, Any] = {**HEALTHY, "access_token": "at-foreign", "accessToken": "at-foreign"}
NULL: Mapping[str, Any] = {**HEALTHY, "access_token": None, "accessToken": None}
HTML = {"Content-Type": "text/html"}
JSON = {"Content-Type": "application/json"}
GATEWAY = b"<html><body><h1>Gateway</h1></body></html>"
#: Seconds that a server asks to wait.
ASKED = 2
ASKED_BY_DATE = 3
ASKED_TOO_LONG = 3600


@dataclass(frozen=True)
class Fault:
    """One fault.

    Attributes:
        act: Makes the server's act of the address of another host; None where no server is.
        host: Where the client is sent, if not to the server.
        scheme: How the client speaks to the server.
        arrives: Whether the server gets the request.
        slow: Whether it ends by a timeout of the client, if at all.
    """

    act: Callable[[str], Act] | None
    host: str | None = None
    scheme: str = "http"
    arrives: bool = True
    slow: bool = False


@dataclass
class Scene:
    """What a client meets.

    Attributes:
        base: Where the client is told to go, without a path.
        server: The server that has the fault, or None.
        elsewhere: Another host, which redirects point to.
        arrived: Requests that came to the server whole.
    """

    base: str
    server: FaultServer | None
    elsewhere: FaultServer
    arrived: list[float] = field(default_factory=list)

    @property
    def token_endpoint(self) -> str:
        """Where tokens are asked for."""
        return f"{self.base}/token"


@contextmanager
def scene(name: str, times: int | None = None) -> Iterator[Scene]:
    """Set up a fault.

    Args:
        name: Of the fault.
        times: How often it happens before the server is well; None for always.
    """
    fault = FAULTS[name]
    with ExitStack() as stack:
        elsewhere = stack.enter_context(FaultServer(faults.answer(200, FOREIGN)))
        if fault.act is None:
            base = fault.host or f"http://127.0.0.1:{faults.free_port()}"
            yield Scene(base, None, elsewhere)
            return
        # The other host goes by another name as well as another port.
        act = fault.act(f"http://localhost:{elsewhere.port}/token")
        arrived: list[float] = []

        def counted(act: Act) -> Act:
            def play(stage: Stage) -> bool:
                stage.wait_until_sent()
                arrived.append(time.monotonic())
                return act(stage)

            return play

        faulty = counted(act) if fault.arrives else act
        well = counted(faults.answer(200, HEALTHY))
        script = [faulty] if times is None else [faulty] * times + [well]
        server = stack.enter_context(FaultServer(*script))
        base = f"{fault.scheme}://127.0.0.1:{server.port}"
        yield Scene(base, server, elsewhere, arrived)


def _always(act: Act) -> Callable[[str], Act]:
    return lambda _elsewhere: act


def _answers(
    status: int, body: bytes | Mapping[str, Any] | list[Any], headers: Mapping[str, str]
) -> Fault:
    return Fault(_always(faults.answer(status, body, headers)))


def _refuses(status: int, retry_after: int) -> Fault:
    return _answers(status, b"not now", {"Retry-After": str(retry_after)})


def _refuses_by_date(status: int) -> Fault:
    def act(stage: Stage) -> bool:
        date = formatdate(time.time() + ASKED_BY_DATE, usegmt=True)
        return faults.answer(status, b"not now", {"Retry-After": date})(stage)

    return Fault(_always(act))


def _redirects(status: int) -> Fault:
    return Fault(lambda elsewhere: faults.answer(status, b"", {"Location": elsewhere}))


def _plain_port(stage: Stage) -> bool:
    """Answer a TLS greeting as a plain HTTP server does."""
    stage.sock.recv(65536)
    stage.send(faults.message(400, b"not HTTP"))
    return False


FAULTS: Mapping[str, Fault] = MappingProxyType(
    {
        "connection refused": Fault(None, arrives=False),
        "unknown host": Fault(None, host="https://nobody.invalid", arrives=False),
        "TLS to a plain port": Fault(_always(_plain_port), scheme="https", arrives=False),
        "kept connection closed between two calls": Fault(
            _always(faults.close_after(faults.answer(200, HEALTHY)))
        ),
        "reset before the first byte of the answer": Fault(_always(faults.reset_unread)),
        "reset after the request was read": Fault(_always(faults.reset_after_request)),
        "closed after the request was read": Fault(_always(faults.close_after_request)),
        "half an answer": Fault(_always(faults.half())),
        "no answer": Fault(_always(faults.stall), slow=True),
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
        "500, a page": _answers(500, GATEWAY, HTML),
        "502, a page": _answers(502, GATEWAY, HTML),
        "504, a page": _answers(504, GATEWAY, HTML),
        "200, a page": _answers(200, b"<html><body>Please log in</body></html>", HTML),
        "200, empty": _answers(200, b"", JSON),
        "200, JSON cut short": _answers(200, b'{"access_token": "at-1", "token_ty', JSON),
        "200, a list": _answers(200, [HEALTHY, HEALTHY], JSON),
        "200, access_token null": _answers(200, NULL, JSON),
    }
)
