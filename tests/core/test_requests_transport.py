"""The transport for ``requests`` sessions."""

from __future__ import annotations

import io
import os
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from requests.adapters import HTTPAdapter

from grantway import (
    Client,
    ConfigurationError,
    ConnectionFailedError,
    OutcomeUnknownError,
    Provider,
    RequestsTransport,
)
from grantway._transport.deadline import Deadline
from grantway._transport.http import HttpRequest
from grantway.testing import TransportTests
from tests import faults
from tests.faults import FaultServer
from tests.proxy import proxy
from tests.waiting import PATIENCE

SECRET = "rt-very-secret-0123456789"


@pytest.fixture
def session() -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False
        yield session


@pytest.fixture
def transport(session: requests.Session) -> RequestsTransport:
    return RequestsTransport(session, connect_timeout=10, read_timeout=20)


@pytest.fixture
def impatient(session: requests.Session) -> RequestsTransport:
    """A transport for servers that never respond."""
    return RequestsTransport(session, connect_timeout=PATIENCE, read_timeout=0.4)


def post(url: str) -> HttpRequest:
    return HttpRequest("POST", f"{url}/token", {"X-Test": SECRET}, SECRET.encode())


class TestRequestsTransport(TransportTests):
    """The tests for every transport."""

    check_locals = True


def test_a_client_sends_through_the_session(
    session: requests.Session, transport: RequestsTransport
) -> None:
    seen: list[int] = []
    session.hooks["response"].append(lambda response, **_: seen.append(response.status_code))
    with FaultServer(faults.respond()) as server:
        provider = Provider(token_endpoint=server.token_endpoint)
        with Client(provider, client_id="me", client_secret="s", transport=transport) as client:
            for _ in range(2):
                token = client.create_token(grant_type="refresh_token", refresh_token=SECRET)
    assert token.access_token == "at-1"
    assert (seen, server.connections) == ([200, 200], 1)
    assert server.requests[0].headers["user-agent"].startswith("grantway/")


def test_mounted_adapters_respond(session: requests.Session, transport: RequestsTransport) -> None:
    class Canned(HTTPAdapter):
        def send(self, request: requests.PreparedRequest, **_: Any) -> requests.Response:  # type: ignore[override]
            response = requests.Response()
            response.status_code, response.raw = 201, io.BytesIO(b"canned")
            response.headers["X-One"] = "1"
            return response

    session.mount("https://as.example", Canned())
    got = transport.send(post("https://as.example"), Deadline(PATIENCE))
    assert (got.status, got.headers, got.body) == (201, {"x-one": "1"}, b"canned")


def test_netrc_and_the_login_of_the_session_are_ignored(
    session: requests.Session, transport: RequestsTransport, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login other password other")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    session.trust_env = True
    session.auth = ("other", "other")
    with FaultServer(faults.respond()) as server:
        request = post(server.url)
        request.headers["Authorization"] = "Basic ours"
        transport.send(request, Deadline(PATIENCE))
    assert server.requests[0].headers["authorization"] == "Basic ours"


@pytest.mark.parametrize(
    "act",
    [faults.reset_after_request, faults.close_after_request, faults.stall, faults.half(),
     faults.chunk_cut, faults.chunks_cut],
    ids=["reset", "closed", "no response", "half", "chunk", "chunks"],
)  # fmt: skip
def test_the_outcome_of_a_lost_response_is_unknown(
    transport: RequestsTransport, impatient: RequestsTransport, act: faults.Act
) -> None:
    sender = impatient if act is faults.stall else transport
    with FaultServer(act) as server, pytest.raises(OutcomeUnknownError) as caught:
        sender.send(post(server.url), Deadline(PATIENCE))
    assert caught.value.__context__ is None
    assert SECRET not in str(caught.value)
    inside = [frame for frame, _ in traceback.walk_tb(caught.tb)][1:]
    assert not any(SECRET in repr(frame.f_locals) for frame in inside)
    assert caught.value.failed == ("timeout" if act is faults.stall else "connection")


def test_an_interim_response_is_not_the_response(transport: RequestsTransport) -> None:
    """The connection is closed, because the final response would answer the next request."""
    hints = faults.raw(b"HTTP/1.1 103 Early Hints\r\n\r\n", keep=True)
    with FaultServer(hints, faults.respond()) as server:
        with pytest.raises(OutcomeUnknownError):
            transport.send(post(server.url), Deadline(PATIENCE))
        assert transport.send(post(server.url), Deadline(PATIENCE)).status == 200
    assert server.connections == 2


def test_nothing_was_sent_without_a_connection(
    session: requests.Session, transport: RequestsTransport, tmp_path: Path
) -> None:
    port = faults.free_port()
    with pytest.raises(ConnectionFailedError):
        transport.send(post(f"http://127.0.0.1:{port}"), Deadline(PATIENCE))
    with pytest.raises(ConnectionFailedError, match="deadline"):
        transport.send(post(f"http://127.0.0.1:{port}"), Deadline(-1))
    context, _ = faults.certificate(tmp_path)
    with FaultServer(faults.respond(), tls=context) as server:
        with pytest.raises(ConnectionFailedError, match="TLS failed") as caught:
            transport.send(post(server.url), Deadline(PATIENCE))
        assert caught.value.failed == "tls"
        with proxy(status=403) as between:
            session.proxies = {"all": between.url}
            with pytest.raises(ConnectionFailedError) as caught:
                transport.send(post(server.url), Deadline(PATIENCE))
        assert caught.value.failed == "proxy"
    assert server.requests == []


def test_a_forked_process_must_make_its_own_session(
    transport: RequestsTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "getpid", lambda: -1)
    with pytest.raises(ConfigurationError, match="made before a fork"):
        transport.send(post("http://127.0.0.1:1"), Deadline(PATIENCE))


def test_a_client_rejects_a_bare_session(session: requests.Session) -> None:
    with pytest.raises(ConfigurationError, match=r"grantway\.RequestsTransport\(session\)"):
        Client(Provider("https://as.example"), client_id="me", transport=session)  # type: ignore[arg-type]


def test_a_session_is_required() -> None:
    with pytest.raises(ConfigurationError, match=r"session: must be a requests\.Session"):
        RequestsTransport("https://proxy.example")  # type: ignore[arg-type]
