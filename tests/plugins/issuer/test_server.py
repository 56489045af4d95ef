"""Starting and stopping the server, exposure to networks, and logging."""

from __future__ import annotations

import http.client
import logging
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from grantway._exceptions import ConfigurationError, FlowError
from grantway_plugins.issuer import IssuerServer, IssuerSettings
from grantway_plugins.issuer._browser_driver import BrowserDriver
from grantway_plugins.issuer._decisions.authentication import Credentials
from grantway_plugins.issuer._storage.records import Authentication, RefreshTokenRecord
from grantway_plugins.issuer._storage.transaction import Transaction
from grantway_plugins.server import Limits
from grantway_plugins.server._http.wire import WireFormat, WireRequest, WireResponse
from tests.faults import free_port
from tests.plugins.issuer.conftest import VERIFIER, Caller, Clock
from tests.raw_http import read_response
from tests.waiting import PATIENCE, until

PROGRAM = "import sys; from grantway_plugins.issuer import serve; serve(database=sys.argv[1])"


def issuer_process(path: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_after_the_requests_in_progress(
    tmp_path: Path, number: signal.Signals
) -> None:
    with issuer_process(tmp_path / "x.db") as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert re.fullmatch(r"grantway issuer listening on http://127\.0\.0\.1:\d+\n", line)
        url = line.split()[-1]
        body = b'{"clientName": "x", "clientType": "public"}'
        connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=PATIENCE)
        connection.putrequest("POST", "/client/register")
        connection.putheader("content-type", "application/json")
        connection.putheader("content-length", str(len(body)))
        connection.endheaders(body[:5])
        # After this response, the issuer has received the beginning of the request above.
        assert requests.get(f"{url}/health", timeout=PATIENCE).ok
        process.send_signal(number)
        _until_refused(url)
        connection.send(body[5:])
        assert connection.getresponse().status == 200
        connection.close()
        assert process.wait(PATIENCE) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""
    # Closing the database removes its write-ahead log.
    assert [each.name for each in tmp_path.iterdir()] == ["x.db"]


def _until_refused(url: str) -> None:
    """Wait until the port is closed."""
    parts = urlsplit(url)

    def refused() -> bool:
        try:
            socket.create_connection(
                (parts.hostname or "", parts.port or 0), timeout=PATIENCE
            ).close()
        except ConnectionError:
            return True
        return False

    until(refused)


def test_stop_can_be_repeated_and_frees_the_port() -> None:
    port = free_port()
    server = IssuerServer(port=port)
    server.start()
    server.stop()
    server.stop()
    with IssuerServer(port=port) as again:
        assert requests.get(f"{again.url}/health", timeout=PATIENCE).ok


def test_stop_works_without_start() -> None:
    IssuerServer().stop()


def test_reports_a_port_that_is_in_use(server: IssuerServer) -> None:
    port = int(server.url.rsplit(":", 1)[1])
    with pytest.raises(ConfigurationError, match="Cannot listen"):
        IssuerServer(port=port)


def test_uses_the_given_issuer_url(clock: Clock) -> None:
    settings = IssuerSettings(issuer="https://login.example.com", registration="open")
    with IssuerServer(settings, clock=clock) as server, Caller(server.address) as caller:
        caller.register_rfc(scope="sso:account:access")
        started = caller.start()
        assert started["verification_uri"] == "https://login.example.com/device"
        page = caller.http.get(f"{server.address}/device")
        assert "Secure" in page.headers["set-cookie"]


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.com", ""])
def test_listening_for_other_machines_requires_insecure_http(host: str) -> None:
    with pytest.raises(ConfigurationError, match=r"TLS") as raised:
        IssuerServer(host=host)
    assert "host" in raised.value.errors
    with pytest.raises(ConfigurationError, match="approve=auto"):
        IssuerServer(IssuerSettings(approve="auto"), host=host, insecure_http=True)


def test_listens_for_other_machines_with_insecure_http() -> None:
    settings = IssuerSettings(issuer="https://login.example.com", registration="open")
    with IssuerServer(settings, host="0.0.0.0", insecure_http=True) as server:
        port = server.address.rsplit(":", 1)[1]
        assert requests.get(f"http://127.0.0.1:{port}/health", timeout=PATIENCE).ok


@pytest.mark.parametrize("host", ["0.0.0.0", "::", ""])
def test_an_issuer_on_every_address_needs_a_url(host: str) -> None:
    with pytest.raises(ConfigurationError, match="issuer must be") as raised:
        IssuerServer(host=host, insecure_http=True)
    assert list(raised.value.errors) == ["issuer"]


def test_warns_about_automatic_approval(caplog: pytest.LogCaptureFixture) -> None:
    with IssuerServer(IssuerSettings(approve="auto")):
        pass
    assert [
        record.levelname for record in caplog.records if "approve=auto" in record.getMessage()
    ] == ["WARNING"]


@pytest.mark.parametrize(("trusted", "status"), [((), 429), (("127.0.0.1",), 400)])
def test_trusts_forwarded_addresses_only_from_trusted_proxies(
    clock: Clock, trusted: tuple[str, ...], status: int
) -> None:
    settings = IssuerSettings(registration="off")
    with IssuerServer(settings, clock=clock, trusted_proxies=trusted) as server:
        responses = [
            requests.get(
                f"{server.url}/device?user_code=BBBB-BBBB",
                headers={"x-forwarded-for": f"192.0.2.{number}"},
                timeout=10,
            )
            for number in range(11)
        ]
    assert responses[-1].status_code == status


def test_logs_and_errors_contain_no_secrets(
    rfc: Caller, aws: Caller, driver: BrowserDriver, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    code = rfc.sent_back()["code"]
    tokens = rfc.redeem(code).json()
    started = aws.start()
    driver.approve_device(started["verification_uri_complete"])
    secrets = [
        rfc.secret,
        aws.secret,
        code,
        VERIFIER,
        tokens["access_token"],
        tokens["refresh_token"],
        started["device_code"],
        started["user_code"],
    ]
    responses = [
        rfc.redeem(code),
        rfc.redeem(code, code_verifier=VERIFIER[1:]),
        rfc.refresh(tokens["refresh_token"], scope="zzz"),
        rfc.refresh(tokens["refresh_token"], client_secret=rfc.secret),
        aws.refresh(tokens["refresh_token"]),
        aws.as_aws(
            "/token", grantType="authorization_code", code=code, codeVerifier="!" + VERIFIER
        ),
        aws.as_aws("/token", grantType=code),
        aws.aws("/token", clientId=aws.secret, clientSecret=aws.id, grantType="refresh_token"),
        aws.aws("/client/register", clientName=[code], clientType=aws.secret),
        rfc.rfc("/token", **{code: "x"}),
        rfc.http.post(f"{rfc.url}/token", data={code: ["x", "y"]}),
    ]
    ours = "\n".join(
        record.getMessage() for record in caplog.records if not record.name.startswith("urllib3")
    )
    for response in responses:
        assert response.status_code >= 400
        ours += response.text + str(response.headers)
    assert [secret for secret in secrets if secret in ours] == []


def test_reprs_contain_no_secrets() -> None:
    values: list[Any] = [
        Credentials("id", "client_secret_post", "hush"),
        WireResponse(200, (), b"hush"),
        WireRequest(WireFormat.RFC, {"code": "hush"}, ("id", "hush")),
        Authentication("none", b"hush"),
        RefreshTokenRecord(b"hush", None, None),  # type: ignore[arg-type]
    ]
    assert "hush" not in repr(values)


def test_an_internal_error_gets_a_response_without_a_traceback(
    rfc: Caller, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_self: Transaction, _digest: bytes) -> None:
        raise ValueError("with a secret in it")

    monkeypatch.setattr(Transaction, "refresh_token", fail)
    response = rfc.refresh("x")
    assert (response.status_code, response.json()["error"]) == (500, "server_error")
    assert "secret in it" not in response.text + caplog.text
    assert "ValueError" in caplog.text


def test_the_browser_driver_raises_the_text_of_an_error_page(
    rfc: Caller, driver: BrowserDriver
) -> None:
    with pytest.raises(FlowError, match=r"This link does not work .* that it did not register"):
        driver.approve_authorization(rfc.authorize_url(redirect_uri="https://evil.example"))
    with pytest.raises(FlowError, match="Code shown on the device"):
        driver.approve_device(f"{rfc.url}/device")


STALLED = (
    b"POST /token HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 10\r\n"
    b"content-type: application/x-www-form-urlencoded\r\n\r\n"
)


@pytest.mark.parametrize("begun", [b"", b"grant"])
def test_responds_to_a_body_that_never_arrives(begun: bytes) -> None:
    with IssuerServer(limits=Limits(body_seconds=0.2)) as server:
        port = int(server.address.rsplit(":", 1)[1])
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as stalled:
            stalled.sendall(STALLED + begun)
            assert read_response(stalled).startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize("begun", [b"", b"grant"])
def test_stops_while_a_body_is_incomplete(caplog: pytest.LogCaptureFixture, begun: bytes) -> None:
    with IssuerServer(limits=Limits(grace_seconds=1)) as server:
        port = int(server.address.rsplit(":", 1)[1])
        stalled = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        stalled.sendall(STALLED + begun)
        # After this response, the issuer has also received the stalled request.
        assert requests.get(f"{server.address}/health", timeout=PATIENCE).ok
    with stalled:
        assert read_response(stalled).startswith(b"HTTP/1.1 503 ")
    assert not [record for record in caplog.records if record.exc_info]
