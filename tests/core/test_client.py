"""The client rejects invalid arguments."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qsl

import pytest

import grantway
from grantway._exceptions import ConfigurationError, RequestInvalidError
from grantway._transport.deadline import Deadline
from grantway._transport.http import HttpRequest, HttpResponse
from grantway._transport.transport import HttpTransport


def test_rejects_a_timeout_shorter_than_one_attempt() -> None:
    provider = grantway.Provider(token_endpoint="http://127.0.0.1:9/token")
    transport = HttpTransport(connect_timeout=2, read_timeout=3)
    with pytest.raises(ConfigurationError, match=r"timeout: 4 s .* less than the 5 s") as refused:
        grantway.Client(provider, client_id="a", transport=transport, timeout=4)
    assert list(refused.value.errors) == ["timeout"]
    for unusable in ("30", None, 0, -1, float("nan")):
        with pytest.raises(ConfigurationError, match="timeout: must be"):
            grantway.Client(provider, client_id="a", timeout=unusable)  # type: ignore[arg-type]
    grantway.Client(provider, client_id="a", transport=transport, timeout=5).close()


@pytest.mark.parametrize("timeout", [0.5, 4, 30, 300])
def test_the_default_transport_fits_into_the_timeout(timeout: float) -> None:
    assert HttpTransport.within(timeout).attempt_seconds <= timeout


@pytest.mark.parametrize("extra", ["audience", [("audience", "api")], {1: "api"}])
def test_extra_is_a_mapping_of_names(extra: Any) -> None:
    provider = grantway.Provider(token_endpoint="https://example.com/token")
    client = grantway.Client(provider, client_id="a")
    with pytest.raises(RequestInvalidError, match="extra must map names") as refused:
        client.create_token(grant_type="refresh_token", refresh_token="rt-1", extra=extra)
    assert list(refused.value.errors) == ["extra"]


class Echo:
    """A transport whose error responses repeat the request."""

    def send(self, request: HttpRequest, deadline: Deadline) -> HttpResponse:
        sent = " ".join(value for _, value in parse_qsl(request.body.decode()))
        body = {"error": "invalid_request", "error_description": sent}
        return HttpResponse(400, {}, json.dumps(body).encode())

    def close(self) -> None:
        """There is nothing to close."""


def test_masks_a_secret_that_another_endpoint_repeats() -> None:
    provider = grantway.Provider(
        token_endpoint="https://example.com/token", revocation_endpoint="https://example.com/r"
    )
    client = grantway.Client(provider, client_id="a", transport=Echo())
    for name in ("token", "registration_access_token", "api_key", "state", "user_code"):
        params: dict[str, Any] = {"token_type_hint": "refresh_token", name: "value-123"}
        with pytest.raises(grantway.InvalidRequestException) as refused:
            client.call("revocation", **params)
        assert refused.value.error_description == "refresh_token *** a"
