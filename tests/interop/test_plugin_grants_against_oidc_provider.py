"""Tests of the plugin grants that npm's oidc-provider supports."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

import grantway
from grantway_plugins.grants.ciba import CibaFlow
from tests.interop.oidc_provider import OidcProvider

ClientMaker = Callable[[str], grantway.Client]


@pytest.fixture
def client_of(oidc_provider: OidcProvider) -> Iterator[ClientMaker]:
    provider = grantway.Provider.discover(oidc_provider.issuer)
    with ExitStack() as exits:

        def make(name: str) -> grantway.Client:
            registered = oidc_provider.clients[name]
            return exits.enter_context(
                grantway.Client(
                    provider,
                    client_id=registered.client_id,
                    client_secret=registered.client_secret,
                    auth=registered.token_endpoint_auth_method,
                )
            )

        yield make


@pytest.mark.parametrize("name", ["basic", "post"])
def test_gets_a_token_with_client_credentials(client_of: ClientMaker, name: str) -> None:
    token = client_of(name).create_token(grant_type="client_credentials", scope=["read"])
    assert token.access_token
    assert token.scope == ("read",)
    assert token.refresh_token is None


def test_reports_a_client_without_client_credentials(client_of: ClientMaker) -> None:
    # oidc-provider returns invalid_request instead of the standard's unauthorized_client.
    with pytest.raises(grantway.InvalidRequestException, match="not allowed for this client"):
        client_of("awkward").create_token(grant_type="client_credentials")


def test_gets_a_token_after_approval_on_the_users_device(
    oidc_provider: OidcProvider, client_of: ClientMaker
) -> None:
    flow = CibaFlow(client_of("ciba"), scope=["openid", "read"], pause=lambda _seconds: None)
    asked = flow.start(login_hint="user-1", binding_message="W4-SCT", requested_expiry=60)
    assert 50 < asked.expires_in <= 60
    polls: list[str] = []

    def on_poll(outcome: str) -> None:
        polls.append(outcome)
        if len(polls) == 1:
            oidc_provider.decide_on_phone("W4-SCT", "approve")

    token = flow.wait(asked, on_poll=on_poll)
    assert polls == ["authorization_pending"]
    assert token.access_token
    assert token.id_token
    with pytest.raises(grantway.InvalidGrantException):
        flow.wait(asked)


def test_a_denied_request_raises_access_denied(
    oidc_provider: OidcProvider, client_of: ClientMaker
) -> None:
    flow = CibaFlow(client_of("ciba"), pause=lambda _seconds: None)
    asked = flow.start(login_hint="user-1", binding_message="NO-THANKS")
    oidc_provider.decide_on_phone("NO-THANKS", "deny")
    with pytest.raises(grantway.AccessDeniedException):
        flow.wait(asked)


def test_rejects_an_unknown_user_and_an_invalid_message(client_of: ClientMaker) -> None:
    flow = CibaFlow(client_of("ciba"))
    with pytest.raises(grantway.TokenError) as unknown:
        flow.start(login_hint="nobody", binding_message="A")
    assert unknown.value.error == "unknown_user_id"
    with pytest.raises(grantway.TokenError) as wrong:
        flow.start(login_hint="user-1", binding_message="lower case")
    assert wrong.value.error == "invalid_binding_message"
