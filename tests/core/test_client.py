"""The front door: what it refuses when it is made."""

from __future__ import annotations

from typing import Any

import pytest

import grantway
from grantway.exceptions import ConfigurationError, RequestInvalidError
from grantway.transport import RequestsTransport


def test_a_call_shorter_than_one_attempt_is_refused() -> None:
    provider = grantway.Provider(token_endpoint="http://127.0.0.1:9/token")
    transport = RequestsTransport(connect_timeout=2, read_timeout=3)
    with pytest.raises(ConfigurationError, match=r"timeout: 4 s .* less than the 5 s") as refused:
        grantway.Client(provider, client_id="a", transport=transport, timeout=4)
    assert list(refused.value.errors) == ["timeout"]
    for unusable in ("30", None, 0, -1, float("nan")):
        with pytest.raises(ConfigurationError, match="timeout: seconds"):
            grantway.Client(provider, client_id="a", timeout=unusable)  # type: ignore[arg-type]
    grantway.Client(provider, client_id="a", transport=transport, timeout=5).close()


@pytest.mark.parametrize("timeout", [0.5, 4, 30, 300])
def test_a_transport_of_its_own_fits_into_the_call(timeout: float) -> None:
    assert RequestsTransport.within(timeout).attempt_seconds <= timeout


@pytest.mark.parametrize("extra", ["audience", [("audience", "api")], {1: "api"}])
def test_extra_is_a_mapping_of_names(extra: Any) -> None:
    provider = grantway.Provider(token_endpoint="https://example.com/token")
    client = grantway.Client(provider, client_id="a")
    with pytest.raises(RequestInvalidError, match="extra must map names") as refused:
        client.create_token(grant_type="refresh_token", refresh_token="rt-1", extra=extra)
    assert list(refused.value.errors) == ["extra"]
