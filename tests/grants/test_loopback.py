"""The loopback listener (RFC 8252) accepts only the redirect of its login."""

from __future__ import annotations

import errno
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import pytest

from grantway import ConfigurationError, FlowCancelledError, FlowTimeoutError
from grantway_grants import _loopback as loopback
from grantway_grants._callback import redirect_uris
from grantway_grants._flow import run
from grantway_grants._loopback import LoopbackListener
from tests.faults import free_port
from tests.waiting import PATIENCE


@pytest.fixture
def listener() -> Iterator[LoopbackListener]:
    with LoopbackListener("http://127.0.0.1/callback") as listening:
        listening.expect("the-state")
        yield listening


def redirect(
    listener: LoopbackListener, *, timeout: float, cancel: threading.Event | None = None
) -> str:
    """Wait for the redirect, as a login does."""
    no_client: Any = None
    return run(listener.redirect(timeout), no_client, cancel)


def get(listener: LoopbackListener, target: str, method: str = "GET") -> tuple[int, str]:
    parts = urlsplit(listener.redirect_uri)
    connection = HTTPConnection(parts.hostname or "", parts.port, timeout=PATIENCE)
    connection.request(method, target)
    response = connection.getresponse()
    body = response.read().decode()
    if response.status == 200:
        assert response.headers["Cache-Control"] == "no-store"
        assert response.headers["Referrer-Policy"] == "no-referrer"
    connection.close()
    return response.status, body


def test_returns_the_whole_url(listener: LoopbackListener) -> None:
    status, page = get(listener, "/callback?code=secret-code&state=the-state")
    assert status == 200
    assert "close this window" in page
    assert "secret-code" not in page
    assert (
        redirect(listener, timeout=PATIENCE)
        == f"{listener.redirect_uri}?code=secret-code&state=the-state"
    )


def test_shows_that_the_login_failed(listener: LoopbackListener) -> None:
    status, page = get(listener, "/callback?error=access_denied&state=the-state")
    assert status == 200
    assert "The login failed" in page
    assert "error=access_denied" in redirect(listener, timeout=PATIENCE)


def test_ignores_other_requests(listener: LoopbackListener) -> None:
    assert get(listener, "/favicon.ico")[0] == 404
    assert get(listener, "/callback/more?state=the-state")[0] == 404
    assert get(listener, "/callback")[0] == 400
    assert get(listener, "/callback?code=x&state=other")[0] == 400
    assert get(listener, "/callback?code=x&state=%ff%00")[0] == 400
    # http.client cannot send this request.
    assert listener.respond("http://[/callback?code=x&state=the-state")[0] == 404
    assert get(listener, "/callback?code=x&state=the-state", "POST")[0] == 501
    assert get(listener, "/callback?code=x&state=the-state", "HEAD")[0] == 501
    with pytest.raises(FlowTimeoutError):
        redirect(listener, timeout=0.05)
    get(listener, "/callback?code=mine&state=the-state")
    get(listener, "/callback?code=second&state=the-state")
    assert "code=mine" in redirect(listener, timeout=PATIENCE)


def test_idle_connections_do_not_delay_the_redirect(listener: LoopbackListener) -> None:
    """Such as connections that a browser opens in advance, or half requests of a port scanner."""
    address = listener.addresses[0]
    with ExitStack() as idle:
        for number in range(50):
            connection = idle.enter_context(socket.create_connection(address))
            if number % 2:
                connection.sendall(b"GET /callback?code=x&state=the-state HTTP/1.1\r\nHost:")
        get(listener, "/callback?code=mine&state=the-state")
        assert "code=mine" in redirect(listener, timeout=5)


def test_accepts_no_redirect_before_a_state_is_expected() -> None:
    with LoopbackListener("http://127.0.0.1/callback") as listening:
        assert get(listening, "/callback?code=x&state=")[0] == 400
        assert get(listening, "/callback?code=x")[0] == 400


def test_a_silent_connection_does_not_block_others(listener: LoopbackListener) -> None:
    parts = urlsplit(listener.redirect_uri)
    with socket.create_connection((parts.hostname or "", parts.port or 0)) as idle:
        idle.sendall(b"\x16\x03\x01garbage")
        assert get(listener, "/callback?code=x&state=the-state")[0] == 200
    assert redirect(listener, timeout=PATIENCE)


def test_listens_only_on_this_machine(listener: LoopbackListener) -> None:
    assert [host for host, _ in listener.addresses] == ["127.0.0.1"]
    with LoopbackListener("http://[::1]/") as six:
        assert [host for host, _ in six.addresses] == ["::1"]
        assert six.redirect_uri.startswith("http://[::1]:")


@pytest.mark.parametrize(
    "address",
    [
        "http://0.0.0.0/callback",
        "http://192.0.2.1/callback",
        "http://example.com/callback",
        "http://localhost.example.com/callback",
        "http://user@127.0.0.1/callback",
        "http://127.0.0.1/callback#part",
        "http://127.0.0.1:99999/",
        "http://127.0.0.1:port/",
        "http://[::1/",
        "my-app:/callback",
        "",
        None,
    ],
)
@pytest.mark.parametrize("listen", [None, "127.0.0.1:8765"])
def test_rejects_any_other_redirect_uri(address: Any, listen: str | None) -> None:
    with pytest.raises(ConfigurationError, match="redirect_uri"):
        LoopbackListener(address, listen=listen)


def test_https_requires_an_address_to_listen_on() -> None:
    with pytest.raises(ConfigurationError, match="listen: is required"):
        LoopbackListener("https://127.0.0.1/callback")
    with pytest.raises(ConfigurationError, match="listen: must include the port"):
        LoopbackListener("https://app.example.com/callback", listen="0.0.0.0")


@pytest.mark.parametrize(
    "listen",
    ["", "example.com", "0.0.0.0:0", "0.0.0.0:99999", "0.0.0.0:x", "[::1", "::1]:5", "1:2:3", 5],
)
def test_rejects_an_invalid_listen_address(listen: Any) -> None:
    with pytest.raises(ConfigurationError, match="listen"):
        LoopbackListener("http://127.0.0.1/callback", listen=listen)


@pytest.mark.parametrize(
    "ports", [[], "8765", 8765, [0], [0, 8765], [65536], [True], [8765.0], ["8765"]]
)
def test_rejects_invalid_ports(ports: Any) -> None:
    with pytest.raises(ConfigurationError, match="ports"):
        LoopbackListener("http://127.0.0.1/callback", ports=ports)


def test_rejects_two_settings_with_a_port() -> None:
    with pytest.raises(ConfigurationError, match="redirect_uri has the port 8765"):
        LoopbackListener("http://127.0.0.1:8765/callback", ports=[8766])
    with pytest.raises(ConfigurationError, match="listen has the port 8765"):
        LoopbackListener("http://127.0.0.1/callback", listen="127.0.0.1:8765", ports=[8766])


def test_localhost_listens_on_both_loopback_addresses() -> None:
    port = free_port()
    with LoopbackListener(f"http://localhost:{port}/cb") as listening:
        listening.expect("the-state")
        assert listening.redirect_uri == f"http://localhost:{port}/cb"
        assert listening.addresses == [("127.0.0.1", port), ("::1", port)]
        assert get(listening, "/cb?code=x&state=the-state")[0] == 200
        assert (
            redirect(listening, timeout=PATIENCE)
            == f"http://localhost:{port}/cb?code=x&state=the-state"
        )


def test_localhost_uses_a_port_that_is_free_on_both_addresses() -> None:
    with LoopbackListener("http://localhost/cb") as listening:
        listening.expect("the-state")
        ports = {port for _, port in listening.addresses}
        assert listening.redirect_uri == f"http://localhost:{ports.pop()}/cb"
        assert not ports
        for host, port in listening.addresses:
            connection = HTTPConnection(host, port, timeout=PATIENCE)
            connection.request("GET", "/favicon.ico")
            assert connection.getresponse().status == 404
            connection.close()


def test_rejects_a_port_of_localhost_that_another_program_uses() -> None:
    """The browser could send the code to the program on the other address."""
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as other:
        port = other.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"port {port} on 127.0.0.1 and ::1"):
            LoopbackListener(f"http://localhost:{port}/cb")


def test_localhost_without_ipv6_listens_on_one_address(monkeypatch: pytest.MonkeyPatch) -> None:
    bind = loopback._Server.server_bind

    def without_ipv6(server: loopback._Server) -> None:
        if server.address_family == socket.AF_INET6:
            raise OSError(errno.EADDRNOTAVAIL, "Cannot assign requested address")
        bind(server)

    monkeypatch.setattr(loopback._Server, "server_bind", without_ipv6)
    with LoopbackListener("http://localhost/cb") as listening:
        assert [host for host, _ in listening.addresses] == ["127.0.0.1"]


def test_listens_on_every_address_in_a_container() -> None:
    port = free_port()
    with LoopbackListener(f"http://127.0.0.1:{port}/cb", listen="0.0.0.0") as listening:
        assert listening.addresses == [("0.0.0.0", port)]
        assert listening.redirect_uri == f"http://127.0.0.1:{port}/cb"
    with LoopbackListener("http://127.0.0.1:8765/cb", listen=f"0.0.0.0:{port}") as listening:
        assert listening.addresses == [("0.0.0.0", port)]
        assert listening.redirect_uri == "http://127.0.0.1:8765/cb"


def test_accepts_an_https_redirect_uri_behind_a_proxy() -> None:
    port = free_port()
    with LoopbackListener("https://app.example.com/cb", listen=f"[::1]:{port}") as listening:
        listening.expect("the-state")
        assert listening.redirect_uri == "https://app.example.com/cb"
        connection = HTTPConnection("::1", port, timeout=PATIENCE)
        connection.request("GET", "/cb?code=x&state=the-state")
        assert connection.getresponse().status == 200
        connection.close()
        assert (
            redirect(listening, timeout=PATIENCE)
            == "https://app.example.com/cb?code=x&state=the-state"
        )


def test_uses_the_first_free_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        taken, free = busy.getsockname()[1], free_port()
        with LoopbackListener("http://127.0.0.1/cb", ports=[taken, free]) as listening:
            assert listening.redirect_uri == f"http://127.0.0.1:{free}/cb"
        with pytest.raises(ConfigurationError) as caught:
            LoopbackListener("http://127.0.0.1/cb", ports=[taken])
        assert f"port {taken} on 127.0.0.1 (" in str(caught.value)
        for host in ("127.0.0.1", "localhost"):
            with LoopbackListener(f"http://{host}/cb", ports=[taken, 0]) as listening:
                assert urlsplit(listening.redirect_uri).port not in {0, None, taken}


def test_returns_a_redirect_uri_for_each_port() -> None:
    assert redirect_uris("http://localhost/cb") == ["http://localhost/cb"]
    assert redirect_uris("http://[::1]/cb?a=1", [1, 2]) == [
        "http://[::1]:1/cb?a=1",
        "http://[::1]:2/cb?a=1",
    ]
    assert redirect_uris("http://localhost/cb", [1, 0]) == [
        "http://localhost:1/cb",
        "http://localhost/cb",
    ]


def test_does_not_look_up_the_name_of_this_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The lookup takes seconds on some networks."""

    def look_up(*_args: object) -> str:
        raise AssertionError

    monkeypatch.setattr(socket, "getfqdn", look_up)
    with LoopbackListener("http://127.0.0.1/callback"):
        pass


def test_an_error_without_a_state_ends_the_wait(listener: LoopbackListener) -> None:
    """Some providers omit the state in an error; another state belongs to another login."""
    assert get(listener, "/callback?error=access_denied&state=other")[0] == 400
    assert get(listener, "/callback?error=access_denied&state=")[0] == 400
    with pytest.raises(FlowTimeoutError):
        redirect(listener, timeout=0.05)
    assert get(listener, "/callback?error=access_denied")[0] == 200
    assert "error=access_denied" in redirect(listener, timeout=PATIENCE)


def test_names_a_port_in_use(listener: LoopbackListener) -> None:
    with pytest.raises(ConfigurationError, match=str(urlsplit(listener.redirect_uri).port)):
        LoopbackListener(listener.redirect_uri)


def test_a_port_can_be_reused_immediately() -> None:
    with LoopbackListener(f"http://127.0.0.1:{free_port()}/callback") as first:
        first.expect("one")
        get(first, "/callback?state=one")
    # The closed connection is in TIME_WAIT on the server's side.
    with LoopbackListener(first.redirect_uri) as second:
        second.expect("two")
        assert get(second, "/callback?state=two")[0] == 200


def test_cancelling_ends_the_wait_immediately(listener: LoopbackListener) -> None:
    cancel = threading.Event()
    threading.Timer(0.05, cancel.set).start()
    began = time.monotonic()
    with pytest.raises(FlowCancelledError):
        redirect(listener, timeout=300, cancel=cancel)
    assert time.monotonic() - began < PATIENCE


def test_stops_listening_afterwards() -> None:
    with LoopbackListener(f"http://127.0.0.1:{free_port()}/callback") as listening:
        parts = urlsplit(listening.redirect_uri)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((parts.hostname or "", parts.port or 0), timeout=5)
    assert not [each for each in threading.enumerate() if each.name == "grantway-loopback"]
