"""Settings are validated on construction, and the error names the field."""

from __future__ import annotations

from typing import Any

import pytest

from grantway._exceptions import ConfigurationError
from grantway_plugins.issuer import IssuerSettings, Lifetimes


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("access_token", 0),
        ("access_token", "3600"),
        ("access_token", True),
        ("access_token", float("nan")),
        ("authorization_code", 601),
        ("pushed_request", 601),
        ("device_code", float("inf")),
        ("device_interval", -1),
        ("registration", None),
        ("refresh_family", -5),
        ("refresh_reuse_window", -1),
    ],
)
def test_rejects_an_invalid_lifetime(field: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=field) as raised:
        Lifetimes(**{field: value})
    assert list(raised.value.errors) == [field]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("dpop_require_nonce", "yes"),
        ("dpop_require_nonce", 1),
        ("dpop_proof_seconds", 9),
        ("dpop_proof_seconds", 601),
        ("dpop_proof_seconds", float("nan")),
        ("require_bound_tokens", None),
        ("fapi2", "yes"),
        ("require_pushed_authorization_requests", "yes"),
        ("issuer", "login.example.com"),
        ("issuer", "ftp://login.example.com"),
        ("issuer", "https://login.example.com/"),
        ("issuer", "https://login.example.com/auth/"),
        ("issuer", "https://login.example.com/a//b"),
        ("issuer", "https://login.example.com/a/../b"),
        ("issuer", "https://login.example.com/a%20b"),
        ("issuer", "https://login.example.com/a#"),
        ("issuer", "https://login.example.com?x"),
        ("issuer", "https://login.example.com#x"),
        ("issuer", "https://user@login.example.com"),
        ("issuer", "https://login.example.com:x"),
        ("issuer", "https://[::1"),
        ("issuer", "https://m\u00fcnchen.example"),
        ("issuer", "https://login.example.com "),
        ("issuer", " https://login.example.com"),
        ("issuer", "https://login.example.com\n"),
        ("issuer", "https://lo\tgin.example.com"),
        ("issuer", "https://a b.example.com"),
        ("issuer", "https://<b>.example.com"),
        ("issuer", "https://login..example.com"),
        ("issuer", "https://login.example.com:"),
        ("issuer", "HTTPS://login.example.com"),
        ("issuer", ""),
        ("approve", "yes"),
        ("subject", ""),
        ("subject", "a\nb"),
        ("default_scopes", ('a"',)),
        ("default_scopes", 7),
    ],
)
def test_rejects_an_invalid_setting(field: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=field) as raised:
        IssuerSettings(**{field: value})
    assert list(raised.value.errors) == [field]


@pytest.mark.parametrize(
    "issuer",
    [
        "https://Login.example.com:8443/Auth",
        "https://xn--mnchen-3ya.example",
        "http://my_service:8400",
        "http://[::1]:8400",
    ],
)
def test_accepts_a_valid_issuer(issuer: str) -> None:
    assert IssuerSettings(issuer=issuer).url == issuer


def test_url_requires_an_issuer() -> None:
    with pytest.raises(ConfigurationError, match="issuer"):
        _ = IssuerSettings().url
    assert IssuerSettings(issuer="https://login.example.com").url == "https://login.example.com"
