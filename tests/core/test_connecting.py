"""Ways to a server: directly and through proxies, in a thread and in an event loop."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from grantway import (
    ConfigurationError,
    ConnectionFailedError,
    HttpTransport,
    OutcomeUnknownError,
)
from grantway._transport.deadline import Deadline
from grantway._transport.http import HttpRequest, HttpResponse
from grantway._transport.network import Network
from grantway._transport.route import route_to
from tests import faults
from tests.certificates import Identity, issue
from tests.faults import FaultServer
from tests.proxy import Proxy, proxy
from tests.socks_proxy import socks_proxy
from tests.waiting import PATIENCE

MARK = "hunter2"
Sends = Callable[..., list[HttpResponse]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("authority")


@pytest.fixture(scope="module")
def authority(folder: Path) -> Identity:
    return issue(folder, "authority")


@pytest.fixture(scope="module")
def identity(folder: Path, authority: Identity) -> Identity:
    return issue(folder, "server", authority)


def context(identity: Identity) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(*identity.paths)
    return made


@pytest.fixture(params=[False, True], ids=["http", "https"])
def server(identity: Identity, request: pytest.FixtureRequest) -> Iterator[FaultServer]:
    tls = context(identity) if request.param else None
    with FaultServer(faults.respond(), tls=tls) as server:
        yield server


@pytest.fixture(params=["blocking", "asyncio"])
def sends(request: pytest.FixtureRequest, authority: Identity) -> Sends:
    """Send two requests, one after the other, with a new transport."""

    def send(
        url: str, *, method: str = "POST", body: bytes = b"a=b", **options: Any
    ) -> list[HttpResponse]:
        fixed = {"trust_env": False, "ca_bundle": authority.certificate, "read_timeout": 5}
        transport = HttpTransport(**{**fixed, **options})

        async def in_loop() -> list[HttpResponse]:
            return [await transport.send_async(asked, Deadline(PATIENCE)) for _ in range(2)]

        asked = HttpRequest(method, f"{url}/token", {}, body)
        try:
            if request.param == "asyncio":
                return asyncio.run(in_loop())
            return [transport.send(asked, Deadline(PATIENCE)) for _ in range(2)]
        finally:
            transport.close()

    return send


def test_keeps_a_direct_connection(sends: Sends, server: FaultServer) -> None:
    assert [response.status for response in sends(server.url)] == [200, 200]
    assert server.connections == 1


def secured(between: Proxy, identity: Identity) -> str:
    """Let a proxy speak TLS, and return its URL."""
    between.socket = context(identity).wrap_socket(between.socket, server_side=True)
    return f"https://me:{MARK}@{between.address}"


@pytest.mark.parametrize("tls", [False, True], ids=["http proxy", "https proxy"])
def test_goes_through_a_proxy(
    sends: Sends, server: FaultServer, identity: Identity, tls: bool
) -> None:
    with proxy(login=f"me:{MARK}") as between:
        url = secured(between, identity) if tls else f"http://me:{MARK}@{between.address}"
        assert [response.status for response in sends(server.url, proxies=url)] == [200, 200]
    forwards = server.url.startswith("http:")
    target = f"{server.url}/token" if forwards else f"127.0.0.1:{server.port}"
    assert set(between.asked) == {target}
    assert MARK not in repr(server.requests)


@pytest.mark.parametrize("scheme", ["socks4", "socks4a", "socks5", "socks5h"])
def test_goes_through_a_socks_proxy(sends: Sends, server: FaultServer, scheme: str) -> None:
    with socks_proxy(login=f"me:{MARK}" if "5" in scheme else None) as between:
        proxies = f"{scheme}://me:{MARK}@{between.address}"
        assert [response.status for response in sends(server.url, proxies=proxies)] == [200, 200]
        assert set(between.asked) == {("127.0.0.1", server.port)}


@pytest.mark.parametrize("scheme", ["socks4a", "socks5h"])
def test_some_socks_proxies_look_up_names(sends: Sends, scheme: str) -> None:
    with FaultServer(faults.respond()) as server, socks_proxy() as between:
        sends(f"http://localhost:{server.port}", proxies=f"{scheme}://{between.address}")
        assert set(between.asked) == {("localhost", server.port)}


def test_a_socks_proxy_that_rejects_the_target_sends_nothing(
    sends: Sends, server: FaultServer
) -> None:
    for scheme, login in (("socks4", None), ("socks5", None), ("socks5", "me:right")):
        with socks_proxy(login, rejects=True) as between:
            address = f"{scheme}://me:{MARK}@{between.address}"
            with pytest.raises(
                ConnectionFailedError, match=r"through the proxy .* \(proxies\)"
            ) as e:
                sends(server.url, proxies=address)
        assert MARK not in str(e.value)
        assert e.value.__context__ is None
    assert server.connections == 0


def test_an_unreachable_socks_proxy_sends_nothing(sends: Sends) -> None:
    address = f"socks5://127.0.0.1:{faults.free_port()}"
    with pytest.raises(ConnectionFailedError, match="connection refused"):
        sends("http://127.0.0.1:9", proxies=address)


def test_a_slow_socks_proxy_does_not_exceed_the_limit(sends: Sends) -> None:
    done = threading.Event()

    def drips() -> None:
        connection, _ = listener.accept()
        with connection, contextlib.suppress(OSError):
            for byte in b"\5\0\5\0\0\3\xff" + bytes(300):
                connection.sendall(bytes([byte]))
                done.wait(0.08)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=drips)
        thread.start()
        address = f"socks5h://127.0.0.1:{listener.getsockname()[1]}"
        began = time.monotonic()
        with pytest.raises(ConnectionFailedError, match="timed out"):
            sends("http://127.0.0.1:9", proxies=address, connect_timeout=0.1)
        assert time.monotonic() - began < 12  # a limit for each read would allow 24 seconds
        done.set()
        thread.join(PATIENCE)


@pytest.mark.parametrize("status", [403, 407])
def test_a_proxy_that_rejects_the_target_sends_nothing(
    sends: Sends, identity: Identity, status: int
) -> None:
    with (
        FaultServer(faults.respond(), tls=context(identity)) as server,
        proxy(status=status) as between,
        pytest.raises(ConnectionFailedError, match=rf"\(status {status}\)"),
    ):
        sends(server.url, proxies=between.url)
    assert server.connections == 0


@pytest.mark.parametrize(
    "act",
    [
        faults.close_after_request,
        faults.raw(b"SSH-2.0-OpenSSH_9.9\r\n"),
        faults.raw(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000),
        faults.raw(b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    ],
    ids=["closes", "is no proxy", "endless head", "responds itself"],
)
def test_a_proxy_that_misbehaves_sends_nothing(sends: Sends, act: faults.Act) -> None:
    with FaultServer(act) as between, pytest.raises(ConnectionFailedError, match="the proxy"):
        sends("https://127.0.0.1:9", proxies=between.url)
    assert len(between.requests) == 1


def test_a_server_behind_a_proxy_can_respond_with_any_status(
    sends: Sends, identity: Identity
) -> None:
    with (
        FaultServer(faults.respond(407), tls=context(identity)) as server,
        proxy() as between,
    ):
        assert [each.status for each in sends(server.url, proxies=between.url)] == [407, 407]


def test_an_untrusted_https_proxy_sends_nothing(
    sends: Sends, server: FaultServer, folder: Path, authority: Identity
) -> None:
    with proxy() as between:
        url = secured(between, issue(folder, "untrusted"))
        between.handle_error = lambda *_: None  # type: ignore[method-assign]
        with pytest.raises(ConnectionFailedError, match=r"the proxy .* TLS failed"):
            sends(server.url, proxies=url)
    assert (between.asked, server.connections) == ([], 0)


def test_tries_every_address_of_a_host(
    sends: Sends, server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system does not know the family of the first address, and the second rejects."""
    tried: list[object] = []
    real = socket.getaddrinfo

    def lookup(host: Any, port: int, *_: object, **options: Any) -> Any:
        if options.get("flags"):
            raise socket.gaierror
        tried.append(host)
        closed = real("127.0.0.1", faults.free_port(), type=socket.SOCK_STREAM)
        unknown = (99, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("::1", port, 0, 0))
        return [unknown, *closed, *real("127.0.0.1", port, type=socket.SOCK_STREAM)]

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    assert len(sends(server.url)) == 2
    assert tried == [b"127.0.0.1"]


def test_a_host_name_that_cannot_exist_sends_nothing(sends: Sends) -> None:
    for host in ("a" * 70 + ".invalid", "a..invalid"):
        with pytest.raises(ConnectionFailedError):
            sends(f"https://{host}")
        tunnel = faults.raw(b"HTTP/1.1 200 OK\r\n\r\n", keep=True)
        with FaultServer(tunnel) as between, pytest.raises(ConnectionFailedError, match="invalid"):
            sends(f"https://{host}", proxies=between.url)


def test_new_connections_use_a_rotated_certificate(
    sends: Sends, folder: Path, authority: Identity, identity: Identity
) -> None:
    """Neither the client certificate nor the trusted certificates are kept from start-up."""
    tls = context(identity)
    tls.load_verify_locations(authority.certificate)
    tls.verify_mode = ssl.CERT_REQUIRED
    seen: list[str] = []

    def names_client(stage: faults.Stage) -> bool:
        assert isinstance(stage.sock, ssl.SSLSocket)
        stage.read_request()
        certificate: Any = stage.sock.getpeercert()
        seen.append(dict(pair for part in certificate["subject"] for pair in part)["commonName"])
        replace("second")
        # Announced, so that the next request does not use this connection before it is closed.
        stage.send(faults.message(200, b"{}", {"Connection": "close"}))
        return False

    def replace(name: str) -> None:
        mine = issue(folder, name, authority)
        for new, path in zip(mine.paths, certificate, strict=True):
            Path(new).replace(path)

    certificate = (str(folder / "client.pem"), str(folder / "client.key"))
    replace("first")
    with FaultServer(names_client, tls=tls) as server:
        sends(server.url, client_certificate=certificate)
    assert seen == ["first", "second"]


def test_trusts_a_rotated_bundle(
    sends: Sends, tmp_path: Path, authority: Identity, identity: Identity
) -> None:
    bundle = tmp_path / "bundle.pem"
    bundle.write_bytes(Path(issue(tmp_path, "other").certificate).read_bytes())
    transport = HttpTransport(ca_bundle=str(bundle), trust_env=False)
    with FaultServer(faults.respond(), tls=context(identity)) as server:
        request = HttpRequest("POST", server.token_endpoint, {}, b"a=b")
        with pytest.raises(ConnectionFailedError, match="TLS failed"):
            transport.send(request, Deadline(PATIENCE))
        bundle.write_bytes(Path(authority.certificate).read_bytes())
        assert transport.send(request, Deadline(PATIENCE)).status == 200
        transport.close()
        bundle.unlink()
        with pytest.raises(ConnectionFailedError, match=r"no such file .*bundle\.pem"):
            transport.send(request, Deadline(PATIENCE))


@pytest.mark.parametrize("size", [100_000, 6_000_000])
def test_sends_a_body_larger_than_the_buffers_of_the_system(
    sends: Sends, server: FaultServer, size: int
) -> None:
    body = bytes(range(256)) * (size // 256)
    assert [response.status for response in sends(server.url, body=body)] == [200, 200]
    assert [seen.body == body for seen in server.requests] == [True, True]
    assert server.connections == 1


def never_reads(stage: faults.Stage) -> bool:
    stage.server.stopped.wait(PATIENCE)
    return False


def test_the_outcome_of_a_request_that_was_sent_in_part_is_unknown(
    sends: Sends, identity: Identity
) -> None:
    for tls in (None, context(identity)):
        with (
            FaultServer(never_reads, tls=tls) as server,
            pytest.raises(OutcomeUnknownError, match="timed out"),
        ):
            sends(server.url, body=bytes(20_000_000), read_timeout=0.3)


def test_an_early_response_to_a_request_sent_in_part_is_kept(
    sends: Sends, identity: Identity
) -> None:
    def rejects(stage: faults.Stage) -> bool:
        stage.send(faults.message(413, b"too large"))
        return False

    for tls in (None, context(identity)):
        with FaultServer(rejects, tls=tls) as server:
            assert sends(server.url, body=bytes(20_000_000))[0].status == 413


def test_a_success_for_a_request_sent_in_part_is_not_its_response(
    sends: Sends, identity: Identity
) -> None:
    def succeeds(stage: faults.Stage) -> bool:
        stage.send(faults.message(200, b"of another request"))
        return False

    for tls in (None, context(identity)):
        with (
            FaultServer(succeeds, tls=tls) as server,
            pytest.raises(OutcomeUnknownError, match="without having the request"),
        ):
            sends(server.url, body=bytes(20_000_000))


@pytest.mark.parametrize(
    ("method", "error"),
    [
        ("GET", ConnectionFailedError),  # it changes nothing, so trying again is safe
        ("POST", OutcomeUnknownError),
        ("DELETE", OutcomeUnknownError),
    ],
)
def test_a_request_without_a_body_may_arrive(
    sends: Sends, identity: Identity, method: str, error: type[Exception]
) -> None:
    for tls in (None, context(identity)):
        with FaultServer(faults.close_after_request, tls=tls) as server, pytest.raises(error):
            sends(server.url, method=method, body=b"")


def test_a_response_without_a_length_ends_with_the_tls_connection(
    sends: Sends, identity: Identity
) -> None:
    def ends(stage: faults.Stage) -> bool:
        faults.raw(response)(stage)
        assert isinstance(stage.sock, ssl.SSLSocket)
        stage.sock.unwrap()
        return False

    response = b"HTTP/1.1 200 OK\r\n\r\naccess_token=at&refresh_token=rt"
    with FaultServer(ends, tls=context(identity)) as server:
        assert [each.status for each in sends(server.url)] == [200, 200]
    with (
        FaultServer(faults.raw(response), tls=context(identity)) as server,
        pytest.raises(OutcomeUnknownError, match="truncated"),
    ):
        sends(server.url)


@pytest.mark.parametrize(
    ("url", "host", "line"),
    [
        ("https://b\u00fccher.example/\u00fc?a=b c", "xn--bcher-kva.example", "/%C3%BC?a=b%20c"),
        ("https://[::1]:8443", "[::1]:8443", "/"),
        ("http://127.0.0.1:80/a%20b", "127.0.0.1", "/a%20b"),
        ("https://as.example/\r\nX: 1", "as.example", "/X:%201"),
    ],
)
def test_a_url_becomes_a_host_and_a_target(url: str, host: str, line: str) -> None:
    route = route_to(url, Network(trust_env=False))
    assert route.host_line == f"Host: {host}\r\n"
    assert route.line == f" {line} HTTP/1.1\r\n"


@pytest.mark.parametrize(
    "url", ["ftp://as.example", "https://", "https://as.example:x", "as.example", "https://\u2024"]
)
def test_rejects_a_url_without_a_host(url: str) -> None:
    with pytest.raises(ConfigurationError, match="must be an absolute http or https address"):
        HttpTransport().send(HttpRequest("POST", url, {}, b"a=b"), Deadline(5))


def test_a_transport_closed_during_a_call_closes_the_connection_afterwards() -> None:
    asked, answered = threading.Event(), threading.Event()

    def slow(stage: faults.Stage) -> bool:
        if stage.read_request() is None:
            return False
        asked.set()
        assert answered.wait(PATIENCE)
        stage.send(faults.message(200, b"{}"))
        return True

    transport, statuses = HttpTransport(), []
    with FaultServer(slow) as server:
        request = HttpRequest("POST", server.token_endpoint, {}, b"a=b")

        def call() -> None:
            statuses.append(transport.send(request, Deadline(PATIENCE)).status)

        thread = threading.Thread(target=call)
        thread.start()
        assert asked.wait(PATIENCE)
        transport.close()
        answered.set()
        thread.join()
        call()
        assert (statuses, server.connections) == ([200, 200], 2)
        transport.close()


FORKS = """
import asyncio, os, sys
from grantway import Deadline, HttpRequest, HttpTransport

transport = HttpTransport()
request = HttpRequest("POST", sys.argv[1], {}, b"a=b")

def both():
    transport.send(request, Deadline(60))
    loop.run_until_complete(transport.send_async(request, Deadline(60)))

loop = asyncio.new_event_loop()
both()
child = os.fork()
if not child:
    loop = asyncio.new_event_loop()
    both()
    transport.close()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
both()
transport.close()
loop.close()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_neither_uses_nor_closes_connections_of_its_parent() -> None:
    with FaultServer(faults.respond()) as server:
        program = [sys.executable, "-W", "error", "-c", FORKS, server.token_endpoint]
        subprocess.run(program, check=True, timeout=PATIENCE)
        assert (len(server.requests), server.connections) == (6, 4)
