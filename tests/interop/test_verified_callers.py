"""Access tokens of npm's oidc-provider, which a protected resource verifies."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from joserfc.jwk import ECKey

import grantway
from grantway._requests.client_auth import ClientSecretBasic
from grantway_plugins.client_auth import DPoP
from grantway_plugins.resource import AcceptedIssuer, AccessDeniedError, ProtectedResource
from tests.interop.oidc_provider import OidcProvider
from tests.plugins.resource.conftest import API, asked
from tests.plugins.server.proofs import OTHER_KEY, proof

pytestmark = pytest.mark.slow


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def client_of(provider: OidcProvider, opened: ExitStack, auth: Any = None) -> grantway.Client:
    known = provider.clients["basic"]
    assert known.client_secret is not None
    return opened.enter_context(
        grantway.Client(
            grantway.Provider.discover(provider.issuer),
            client_id=known.client_id,
            auth=auth or ClientSecretBasic(known.client_id, known.client_secret),
        )
    )


def test_a_jwt_is_verified(oidc_provider: OidcProvider, opened: ExitStack) -> None:
    client = client_of(oidc_provider, opened)
    token = client.create_token(
        grant_type="client_credentials", scope=["read"], resource=f"{API}/jwt"
    ).access_token
    resource = ProtectedResource(f"{API}/jwt", [AcceptedIssuer(oidc_provider.issuer)])
    found = resource.verify(asked(f"Bearer {token}"))
    assert found.client_id == client.client_id
    assert found.scope == {"read"}
    other = ProtectedResource(API, [AcceptedIssuer(oidc_provider.issuer)])
    with pytest.raises(AccessDeniedError, match="is not for this resource"):
        other.verify(asked(f"Bearer {token}"))


def test_an_opaque_token_is_introspected(oidc_provider: OidcProvider, opened: ExitStack) -> None:
    client = client_of(oidc_provider, opened)
    token = client.create_token(
        grant_type="client_credentials", scope=["read"], resource=f"{API}/opaque"
    ).access_token
    accepted = AcceptedIssuer(oidc_provider.issuer, introspection=client)
    resource = ProtectedResource(f"{API}/opaque", [accepted])
    opened.callback(resource.close)
    assert resource.verify(asked(f"Bearer {token}")).scope == {"read"}
    client.call("revocation", token=token)
    fresh = ProtectedResource(f"{API}/opaque", [accepted])
    opened.callback(fresh.close)
    with pytest.raises(AccessDeniedError, match="is not active"):
        fresh.verify(asked(f"Bearer {token}"))


def test_a_token_that_the_provider_bound_needs_its_key(
    oidc_provider: OidcProvider, opened: ExitStack
) -> None:
    known = oidc_provider.clients["basic"]
    assert known.client_secret is not None
    key = ECKey.generate_key("P-256")
    auth = DPoP(
        ClientSecretBasic(known.client_id, known.client_secret), dict(key.as_dict(private=True))
    )
    token = client_of(oidc_provider, opened, auth).create_token(
        grant_type="client_credentials", resource=f"{API}/jwt"
    )
    assert token.token_type == "DPoP"
    resource = ProtectedResource(f"{API}/jwt", [AcceptedIssuer(oidc_provider.issuer)])
    secret = token.access_token
    own = proof(f"{API}/orders", htm="GET", key=key, token=secret)
    assert resource.verify(asked(f"DPoP {secret}", dpop=own)).confirmation.keys() == {"jkt"}
    stolen = proof(f"{API}/orders", htm="GET", key=OTHER_KEY, token=secret)
    for request in (asked(f"DPoP {secret}", dpop=stolen), asked(f"Bearer {secret}")):
        with pytest.raises(AccessDeniedError):
            resource.verify(request)
