"""The listener on this machine (RFC 8252): heard by nobody else, and fooled by nobody."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import pytest

from grantway import ConfigurationError, FlowCancelledError, FlowTimeoutError
from grantway_grants.loopback import LoopbackListener
from tests.faults import free_port
from tests.waiting import PATIENCE


@pytest.fixture
def listener() -> Iterator[LoopbackListener]:
    with LoopbackListener("http://127.0.0.1/callback") as listening:
        listening.expect("the-state")
        yield listening


def get(listener: LoopbackListener, target: str, method: str = "GET") -> tuple[int, str]:
    parts = urlsplit(listener.redirect_uri)
    connection = HTTPConnection(parts.hostname or "", parts.port, timeout=10)
    connection.request(method, target)
    answer = connection.getresponse()
    body = answer.read().decode()
    if answer.status == 200:
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
    connection.close()
    return answer.status, body


def test_the_whole_address_comes_back(listener: LoopbackListener) -> None:
    status, page = get(listener, "/callback?code=secret-code&state=the-state")
    assert status == 200
    assert "close this window" in page
    assert "secret-code" not in page
    assert listener.wait(timeout=10) == f"{listener.redirect_uri}?code=secret-code&state=the-state"


def test_a_refusal_says_so(listener: LoopbackListener) -> None:
    status, page = get(listener, "/callback?error=access_denied&state=the-state")
    assert status == 200
    assert "did not succeed" in page
    assert "error=access_denied" in listener.wait(timeout=10)


def test_others_are_answered_and_change_nothing(listener: LoopbackListener) -> None:
    assert get(listener, "/favicon.ico")[0] == 404
    assert get(listener, "/callback/more?state=the-state")[0] == 404
    assert get(listener, "/callback")[0] == 400
    assert get(listener, "/callback?code=x&state=other")[0] == 400
    assert get(listener, "/callback?code=x&state=%ff%00")[0] == 400
    # Python's own client refuses to send this one.
    assert listener.offer("http://[/callback?code=x&state=the-state")[0] == 404
    assert get(listener, "/callback?code=x&state=the-state", "POST")[0] == 501
    with pytest.raises(FlowTimeoutError):
        listener.wait(timeout=0.05)
    get(listener, "/callback?code=mine&state=the-state")
    get(listener, "/callback?code=second&state=the-state")
    assert "code=mine" in listener.wait(timeout=10)


def test_before_a_state_is_expected_nothing_is_the_answer() -> None:
    with LoopbackListener("http://127.0.0.1/callback") as listening:
        assert get(listening, "/callback?code=x&state=")[0] == 400
        assert get(listening, "/callback?code=x")[0] == 400


def test_a_connection_that_says_nothing_is_in_nobodys_way(listener: LoopbackListener) -> None:
    parts = urlsplit(listener.redirect_uri)
    with socket.create_connection((parts.hostname or "", parts.port or 0)) as idle:
        idle.sendall(b"\x16\x03\x01garbage")
        assert get(listener, "/callback?code=x&state=the-state")[0] == 200
    assert listener.wait(timeout=10)


def test_only_this_machine_is_listened_on(listener: LoopbackListener) -> None:
    assert listener._server.server_address[0] == "127.0.0.1"
    with LoopbackListener("http://[::1]/") as six:
        assert six._server.server_address[0] == "::1"
        assert six.redirect_uri.startswith("http://[::1]:")


@pytest.mark.parametrize(
    "address",
    [
        "http://localhost/callback",
        "http://0.0.0.0/callback",
        "http://192.0.2.1/callback",
        "http://example.com/callback",
        "https://127.0.0.1/callback",
        "http://127.0.0.1/callback#part",
        "http://127.0.0.1:99999/",
        "http://127.0.0.1:port/",
        "http://[::1/",
        "my-app:/callback",
        "",
        None,
    ],
)
def test_any_other_address_is_refused(address: Any) -> None:
    with pytest.raises(ConfigurationError, match="redirect_uri"):
        LoopbackListener(address)


def test_a_port_in_use_is_refused_and_named(listener: LoopbackListener) -> None:
    with pytest.raises(ConfigurationError, match=str(urlsplit(listener.redirect_uri).port)):
        LoopbackListener(listener.redirect_uri)


def test_a_port_can_be_used_again_at_once() -> None:
    with LoopbackListener(f"http://127.0.0.1:{free_port()}/callback") as first:
        first.expect("one")
        get(first, "/callback?state=one")
    # The connection that was served rests in TIME_WAIT on this side.
    with LoopbackListener(first.redirect_uri) as second:
        second.expect("two")
        assert get(second, "/callback?state=two")[0] == 200


def test_cancelling_ends_the_wait_at_once(listener: LoopbackListener) -> None:
    cancel = threading.Event()
    threading.Timer(0.05, cancel.set).start()
    began = time.monotonic()
    with pytest.raises(FlowCancelledError):
        listener.wait(timeout=300, cancel=cancel)
    assert time.monotonic() - began < PATIENCE


def test_nothing_listens_afterwards() -> None:
    with LoopbackListener(f"http://127.0.0.1:{free_port()}/callback") as listening:
        parts = urlsplit(listening.redirect_uri)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((parts.hostname or "", parts.port or 0), timeout=5)
    assert not listening._thread.is_alive()
