"""Transport errors state what failed below HTTP."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest

from grantway._exceptions import ConnectionFailedError, OutcomeUnknownError, TransportError
from grantway._transport.deadline import Deadline
from grantway._transport.http import HttpRequest
from grantway._transport.transport import HttpTransport
from tests import faults
from tests.faults import Act, FaultServer
from tests.waiting import PATIENCE


def failure(url: str, transport: HttpTransport | None = None) -> TransportError:
    transport = transport or HttpTransport(read_timeout=PATIENCE)
    with pytest.raises(TransportError) as caught:
        transport.send(HttpRequest("POST", url, {}, b"{}"), Deadline(PATIENCE))
    transport.close()
    return caught.value


@pytest.mark.parametrize(
    ("act", "failed"),
    [(faults.stall, "timeout"), (faults.reset_after_request, "connection")],
    ids=["no response", "reset"],
)
def test_a_lost_response_states_the_cause(act: Act, failed: str) -> None:
    with FaultServer(act) as server:
        error = failure(
            server.url, HttpTransport(read_timeout=0.2 if act is faults.stall else PATIENCE)
        )
    assert isinstance(error, OutcomeUnknownError)
    assert error.failed == failed


def test_states_that_a_connection_was_rejected() -> None:
    error = failure(f"http://127.0.0.1:{faults.free_port()}")
    assert isinstance(error, ConnectionFailedError)
    assert error.failed == "connection"


def test_states_that_a_proxy_is_unreachable() -> None:
    proxy = f"http://127.0.0.1:{faults.free_port()}"
    assert failure("https://x.test", HttpTransport(proxies={"https": proxy})).failed == "proxy"


def test_states_that_a_certificate_is_untrusted(tmp_path: Path) -> None:
    context, _ = faults.certificate(tmp_path)
    with FaultServer(faults.respond(), tls=context) as server:
        assert failure(server.url).failed == "tls"


def test_suggests_http_if_the_server_answers_without_tls() -> None:
    def answer(listener: socket.socket) -> None:
        connection = listener.accept()[0]
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        connection.recv(65_536)
        connection.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=answer, args=(listener,))
        server.start()
        error = failure(f"https://127.0.0.1:{listener.getsockname()[1]}", HttpTransport())
        server.join()
    assert error.failed == "tls"
    assert "the response is not TLS; check the port, and https" in str(error)


def test_states_that_the_deadline_passed_before_sending() -> None:
    transport = HttpTransport()
    with pytest.raises(ConnectionFailedError) as caught:
        transport.send(HttpRequest("POST", "http://127.0.0.1:1", {}, b"{}"), Deadline(-1))
    assert caught.value.failed == "timeout"
    transport.close()
