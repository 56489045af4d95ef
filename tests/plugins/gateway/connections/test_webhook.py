"""Webhooks are signed as the specification says, and each failure has a defined result."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest
from standardwebhooks import Webhook as Receiver

from grantway._exceptions import ConfigurationError, InsecureEndpointError
from grantway._plugins.default_registry import default_registry
from grantway._secrets.masked import Masked
from grantway._transport.transport import HttpTransport
from grantway_plugins.gateway._connections._webhook import webhook as module
from grantway_plugins.gateway._connections._webhook.signing import parse_secrets, signed_headers
from grantway_plugins.gateway._connections._webhook.webhook import DELAYS, Delivery, Webhook
from tests.faults import Act, FaultServer, certificate, endless, respond, stall

OLD = "whsec_" + base64.b64encode(bytes(range(32))).decode()
NEW = "whsec_" + base64.b64encode(bytes(range(32, 64))).decode()
BODY = b'{"type":"connection.broken"}'

Serve = Callable[..., FaultServer]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Return a function that starts a receiver with scripted responses."""
    with ExitStack() as running:
        yield lambda *script, **options: running.enter_context(FaultServer(*script, **options))


def send(url: str, secret: object = NEW, **options: object) -> Delivery:
    """Send one message."""
    transport = HttpTransport.within(module.TIMEOUT, trust_env=False, **options)
    webhook = Webhook(url, secret, transport)  # type: ignore[arg-type]
    try:
        return asyncio.run(webhook.send("msg_1", BODY))
    finally:
        webhook.close()


def test_a_receiver_with_the_official_library_accepts_the_message(serve: Serve) -> None:
    receiver = serve(respond(204, {}))
    assert send(receiver.url + "/hooks") == Delivery("delivered")
    (request,) = receiver.requests
    assert Receiver(NEW).verify(request.body, dict(request.headers)) == {
        "type": "connection.broken"
    }
    assert request.headers["webhook-id"] == "msg_1"
    assert request.headers["content-type"] == "application/json"


def test_the_signature_is_that_of_the_official_library() -> None:
    headers = signed_headers("msg_2", 1_700_000_000.9, b'{"a": "\xc3\xa4"}', parse_secrets(NEW))

    signed = Receiver(NEW).sign("msg_2", datetime.fromtimestamp(1_700_000_000, UTC), '{"a": "ä"}')
    assert headers["webhook-signature"] == signed
    assert headers["webhook-timestamp"] == "1700000000"


@pytest.mark.parametrize("known", [OLD, NEW])
def test_several_secrets_sign_a_message_so_that_receivers_can_change(
    known: str, serve: Serve
) -> None:
    receiver = serve(respond(200, {}))
    assert send(receiver.url, f"{NEW}, {OLD}").result == "delivered"
    (request,) = receiver.requests
    assert Receiver(known).verify(request.body, dict(request.headers))


def test_a_secret_in_a_file_is_read_again_when_it_changes(serve: Serve, tmp_path: Path) -> None:
    receiver = serve(respond(200, {}))
    path = tmp_path / "webhook.secret"
    source = default_registry().secret_source("file", path=str(path))
    for secret in (OLD, NEW):
        path.write_text(secret)
        assert send(receiver.url, source).result == "delivered"
        assert Receiver(secret).verify(receiver.requests[-1].body, receiver.requests[-1].headers)
    path.unlink()
    assert Webhook(receiver.url, source, HttpTransport()).check() is None
    missing = default_registry().secret_source("file", path=str(tmp_path / "missing"))
    assert send(receiver.url, missing) == Delivery("failed", "secret_unavailable")


@pytest.mark.parametrize(
    "secret",
    ["", "correct horse battery staple", "whsec_", "c2hvcnQ=", "ä" * 40, f"{NEW},", "A" * 200],
)
def test_a_secret_that_a_receiver_would_decode_differently_is_rejected(secret: str) -> None:
    with pytest.raises(ConfigurationError, match="openssl rand -base64 32") as raised:
        parse_secrets(secret)
    assert len(secret) < 8 or secret not in str(raised.value)
    assert "Masked" in repr(parse_secrets(NEW))


@pytest.mark.parametrize(
    ("act", "result"),
    [
        (respond(400, {}), Delivery("failed", "400")),
        (respond(500, {}), Delivery("failed", "500")),
        (respond(410, {}), Delivery("refused", "410")),
        (respond(503, {}, headers={"Retry-After": "120"}), Delivery("failed", "503", 120.0)),
        (respond(307, {}, headers={"Location": "/other"}), Delivery("failed", "redirect_refused")),
        (endless, Delivery("delivered")),
        (stall, Delivery("failed", "outcome_unknown")),
    ],
)
def test_each_response_has_one_result(
    act: Act, result: Delivery, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TIMEOUT", 1.0)
    receiver = serve(act)
    assert send(receiver.url) == result
    assert len(receiver.requests) == 1, "redirects are not followed"


def test_an_unreachable_receiver_is_a_failure() -> None:
    with FaultServer() as receiver:
        url = receiver.url
    assert send(url) == Delivery("failed", "connection_failed")


def test_certificates_are_verified(serve: Serve, tmp_path: Path) -> None:
    context, trusted = certificate(tmp_path)
    receiver = serve(respond(200, {}), tls=context)
    assert send(receiver.url).result == "failed"
    assert not receiver.requests
    assert send(receiver.url, ca_bundle=trusted).result == "delivered"


def test_plain_http_is_for_this_machine_only() -> None:
    with pytest.raises(InsecureEndpointError, match="use https"):
        Webhook("http://hooks.example.com", NEW, HttpTransport())


def test_attempts_span_about_a_day_and_end() -> None:
    failed = Delivery("failed", "500")
    delays = [failed.next_in(attempt) for attempt in range(1, len(DELAYS) + 2)]
    assert delays[-1] is None
    total = sum(each or 0 for each in delays)
    assert 23 * 3600 < total < 29 * 3600
    assert all(
        least <= (delay or 0) <= 1.2 * least
        for least, delay in zip(DELAYS, delays[:-1], strict=True)
    )
    assert (Delivery("failed", "503", 60.0).next_in(1) or 0) == 60.0
    assert (Delivery("failed", "503", 1e9).next_in(1) or 0) < 9 * 3600
    assert Delivery("refused", "410").next_in(1) is None
    assert Delivery("delivered").next_in(1) is None


def test_the_secret_and_the_path_are_not_shown() -> None:
    webhook = Webhook("https://hooks.example.com/secret-path?key=1", NEW, HttpTransport())
    assert repr(webhook) == "Webhook('hooks.example.com')"
    assert isinstance(vars(webhook)["_keys"], Masked)
