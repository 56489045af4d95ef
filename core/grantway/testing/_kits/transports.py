"""Test class for transports."""

from __future__ import annotations

import ssl
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from grantway._exceptions import (
    ConnectionFailedError,
    OutcomeUnknownError,
    RedirectRefusedError,
    ResponseTooLargeError,
    TransportError,
)
from grantway._transport.deadline import Deadline
from grantway._transport.http import HttpRequest, Transport
from grantway.testing import faults
from grantway.testing.faults import Act, FaultServer

from .shown import ShownErrors

#: A secret in every request. No error may show it.
SECRET = "rt-very-secret-0123456789"

#: A certificate for 127.0.0.1 that no client trusts, and its key.
UNTRUSTED = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgOveL9S2H1NI0RVxH
bWWlMXTw3QQpT+gGy7qjghLBG1ShRANCAASL8RpRAm7fXzao+DYHwlOBK+31SMSh
BxS74EC71dXDOa7zvOvLdBcmJ4reeHEySZeCbV+aPUy35VNlZG5VvxCN
-----END PRIVATE KEY-----
-----BEGIN CERTIFICATE-----
MIIBNTCB3KADAgECAgEBMAoGCCqGSM49BAMCMBkxFzAVBgNVBAMMDmdyYW50d2F5
IHRlc3RzMCAXDTIwMDEwMTAwMDAwMFoYDzIxMjAwMTAxMDAwMDAwWjAZMRcwFQYD
VQQDDA5ncmFudHdheSB0ZXN0czBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABIvx
GlECbt9fNqj4NgfCU4Er7fVIxKEHFLvgQLvV1cM5rvO868t0FyYnit54cTJJl4Jt
X5o9TLflU2VkblW/EI2jEzARMA8GA1UdEQQIMAaHBH8AAAEwCgYIKoZIzj0EAwID
SAAwRQIhAO8RCr70C5KaVaWE/2HE2b5xr1QMMldcLDXfWA45IfsJAiBeSrQaz4EO
gWFP285LbxltjH/Vyy0/D5HmQZrezRcKpw==
-----END CERTIFICATE-----
"""


class TransportTests(ShownErrors):
    """Tests for every transport: one send, definite errors, redirects, limits and secrets.

    Inherit it, and define the fixture ``transport``: a new transport. It should read no proxy
    from the environment.

    ::

        class TestMyTransport(TransportTests):
            @pytest.fixture
            def transport(self):
                transport = MyTransport()
                yield transport
                transport.close()

    Attributes:
        patience: Seconds within which a request on this machine ends, even if it is busy.
    """

    patience = 30.0

    def test_sends_the_request_unchanged(self, transport: Transport) -> None:
        with FaultServer(faults.respond()) as server:
            transport.send(self.post(server), Deadline(self.patience))
        (seen,) = server.requests
        assert (seen.method, seen.target, seen.body) == ("POST", "/token?a=%20b", SECRET.encode())
        assert (seen.headers["x-test"], seen.headers["content-type"]) == (SECRET, "text/plain")

    @pytest.mark.parametrize("status", [200, 204, 400, 401, 407, 418, 429, 500, 503])
    def test_returns_any_other_response_after_one_send(
        self, transport: Transport, status: int
    ) -> None:
        body = b"" if status == 204 else b'{"error": "invalid_grant"}'
        with FaultServer(faults.respond(status, body, {"Retry-After": "0"})) as server:
            response = transport.send(self.post(server), Deadline(self.patience))
        assert (response.status, response.body) == (status, body)
        assert len(server.requests) == 1

    def test_header_names_are_in_lower_case_and_repeated_headers_joined(
        self, transport: Transport
    ) -> None:
        head = b"HTTP/1.1 401 No\r\nWWW-Authenticate: DPoP\r\nWWW-Authenticate: Basic\r\n"
        with FaultServer(faults.raw(head + b"Content-Length: 0\r\n\r\n")) as server:
            response = transport.send(self.post(server), Deadline(self.patience))
        assert response.headers["www-authenticate"] == "DPoP, Basic"

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    def test_rejects_redirects(self, transport: Transport, status: int) -> None:
        with FaultServer(faults.respond()) as other:
            location = {"Location": f"{other.url}/?code={SECRET}"}
            with FaultServer(faults.respond(status, b"", location)) as server:
                error = self.failure(transport, server, RedirectRefusedError)
        assert (len(server.requests), other.requests) == (1, [])
        assert SECRET not in self.shown(error)

    def test_a_refused_connection_sends_nothing(self, transport: Transport) -> None:
        request = HttpRequest("POST", f"http://127.0.0.1:{faults.free_port()}/token")
        with pytest.raises(ConnectionFailedError):
            transport.send(request, Deadline(self.patience))

    def test_an_unknown_host_sends_nothing(self, transport: Transport) -> None:
        request = HttpRequest("POST", "http://does-not-exist.invalid/token")
        with pytest.raises(ConnectionFailedError):
            transport.send(request, Deadline(self.patience))

    def test_an_untrusted_server_gets_nothing(self, transport: Transport, tmp_path: Path) -> None:
        (tmp_path / "untrusted.pem").write_text(UNTRUSTED)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tmp_path / "untrusted.pem")
        with FaultServer(faults.respond(), tls=context) as server:
            self.failure(transport, server, ConnectionFailedError)
        assert server.requests == []

    def test_a_passed_deadline_sends_nothing(self, transport: Transport) -> None:
        with FaultServer(faults.respond()) as server, pytest.raises(ConnectionFailedError):
            transport.send(self.post(server), Deadline(-1))
        assert server.requests == []

    @pytest.mark.parametrize(
        "act",
        [
            pytest.param(faults.reset_after_request, id="reset"),
            pytest.param(faults.close_after_request, id="closed"),
            pytest.param(faults.half(SECRET.encode()), id="half a body"),
            pytest.param(faults.chunk_cut, id="half a chunk"),
            pytest.param(faults.raw(b"SSH-2.0-OpenSSH_9.9\r\n"), id="not HTTP"),
        ],
    )
    def test_a_lost_response_has_an_unknown_outcome_and_is_sent_once(
        self, transport: Transport, act: Act
    ) -> None:
        with FaultServer(act, faults.respond()) as server:
            error = self.failure(transport, server, OutcomeUnknownError)
            assert len(server.requests) == 1
            assert SECRET not in self.shown(error)
            # The next request does not use the failed connection.
            assert transport.send(self.post(server), Deadline(self.patience)).status == 200

    @pytest.mark.parametrize(
        "act",
        [
            pytest.param(faults.stall, id="no response"),
            pytest.param(faults.drip_body, id="a byte at a time"),
        ],
    )
    def test_a_slow_response_ends_at_the_deadline(self, transport: Transport, act: Act) -> None:
        began = time.monotonic()
        with FaultServer(act) as server:
            self.failure(transport, server, OutcomeUnknownError, seconds=0.3)
        assert time.monotonic() - began < self.patience

    def test_an_endless_response_is_too_large(self, transport: Transport) -> None:
        with FaultServer(faults.endless) as server:
            self.failure(transport, server, ResponseTooLargeError)

    def test_threads_get_their_own_responses(self, transport: Transport) -> None:
        def echo(stage: faults.Stage) -> bool:
            request = stage.read_request()
            if request is not None:
                stage.send(faults.message(200, request.body))
            return request is not None

        with FaultServer(echo) as server:
            start = threading.Barrier(4)

            def work(number: int) -> bytes:
                start.wait(self.patience)
                request = HttpRequest("POST", f"{server.url}/token", body=b"%d" % number)
                return transport.send(request, Deadline(self.patience)).body

            with ThreadPoolExecutor(4) as pool:
                assert list(pool.map(work, range(4))) == [b"0", b"1", b"2", b"3"]

    def post(self, server: FaultServer) -> HttpRequest:
        """Return a request with a secret in a header and in the body."""
        headers = {"Content-Type": "text/plain", "X-Test": SECRET}
        return HttpRequest("POST", f"{server.url}/token?a=%20b", headers, SECRET.encode())

    def failure(
        self,
        transport: Transport,
        server: FaultServer,
        kind: type[TransportError],
        *,
        seconds: float = 0,
    ) -> TransportError:
        """Send a request; return its error, which must be of this kind."""
        with pytest.raises(TransportError) as caught:
            transport.send(self.post(server), Deadline(seconds or self.patience))
        assert type(caught.value) is kind
        return caught.value
