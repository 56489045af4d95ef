"""Any credentials and any claims are either accepted or rejected, without another error."""

from __future__ import annotations

import base64
import ipaddress
import json
import time
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, strategies as st

from grantway._wire.challenges import parse_challenges
from grantway_plugins.resource import (
    AcceptedIssuer,
    AccessDeniedError,
    CertificateHeader,
    ProtectedResource,
    Requirement,
    VerifiedToken,
)
from grantway_plugins.resource._claims import token_of
from grantway_plugins.resource._errors import InvalidTokenError
from tests.plugins.resource.conftest import API, asked

ISSUER = AcceptedIssuer("https://login.example.com", jwks_file="/missing/keys.json")
HEADER = CertificateHeader("X-Cert", (ipaddress.ip_network("10.0.0.0/8"),), authenticates=True)
RESOURCE = ProtectedResource(API, [ISSUER], certificates=HEADER)
VISIBLE = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_categories=["Cc"]))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)
NAMES = ("aud", "exp", "nbf", "iat", "sub", "client_id", "azp", "scope", "scp", "cnf", "x")


def denied(request: Any) -> None:
    """Check that a request is rejected with a challenge that clients can read."""
    with pytest.raises(AccessDeniedError) as caught:
        RESOURCE.verify(request, Requirement(scopes=("read",)))
    assert caught.value.status in {401, 403}
    assert parse_challenges(caught.value.challenge)
    assert caught.value.challenge.isascii()
    assert caught.value.challenge.isprintable()


@given(st.sampled_from(["", "Bearer ", "bearer", "DPoP ", "Basic "]), VISIBLE, VISIBLE)
def test_any_header_is_rejected_with_a_challenge(scheme: str, value: str, certificate: str) -> None:
    denied(asked(f"{scheme}{value}", dpop=value, x_cert=certificate))


@given(JSON, JSON)
def test_any_unsigned_token_is_rejected(header: Any, claims: Any) -> None:
    parts = [
        base64.urlsafe_b64encode(json.dumps(each).encode()).rstrip(b"=").decode()
        for each in (header, claims)
    ]
    denied(asked(f"Bearer {'.'.join(parts)}.AAAA"))


@given(st.dictionaries(st.sampled_from(NAMES), JSON))
def test_any_claims_are_accepted_or_rejected(claims: dict[str, Any]) -> None:
    now = time.time()
    for more in ({}, {"exp": now + 60}, {"exp": now + 60, "aud": API}):
        with suppress(InvalidTokenError):
            found = token_of({**claims, **more}, ISSUER, (API,), now)
            assert isinstance(found, VerifiedToken)
            assert API in found.audience
            assert found.expires_at > now - ISSUER.leeway
