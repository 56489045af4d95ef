"""The wallet and the issuer, over a real socket."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from grantway_openid4vci import GRANT_TYPE, read_offer
from grantway_openid4vci.new_offers import ATTEMPTS, LIFETIME

import grantway
from grantway.testing import FrozenClock
from grantway_plugins.issuer import IssuerSettings
from grantway_plugins.testing import LiveIssuer

from .conftest import Offer


def redeem(wallet: grantway.Client, offered: dict[str, Any], **params: Any) -> grantway.Token:
    given = {"tx_code": offered["tx_code"]} if "tx_code" in offered else {}
    code = read_offer(offered["credential_offer"]).code
    return wallet.create_token(grant_type=GRANT_TYPE, code=code, **{**given, **params})


def wrong(offered: dict[str, Any]) -> str:
    return f"{(int(offered['tx_code']) + 1) % 1_000_000:06}"


def test_issues_a_token_for_an_offer(
    wallet: grantway.Client, offer: Offer, grantway_issuer: LiveIssuer
) -> None:
    offered = offer(scope="degree", description="We sent it by post.")
    by_reference = read_offer(offered["credential_offer"])
    assert by_reference == read_offer(offered["credential_offer_by_value"])
    assert by_reference.credential_issuer == grantway_issuer.url
    assert by_reference.tx_code is not None
    assert by_reference.tx_code.length == len(offered["tx_code"])
    assert by_reference.tx_code.description == "We sent it by post."
    token = redeem(wallet, offered)
    assert token.scope == ("degree",)
    assert wallet.create_token(grant_type="refresh_token", refresh_token=token.refresh_token)


def test_the_metadata_name_the_endpoints(grantway_issuer: LiveIssuer) -> None:
    metadata = grantway_issuer.provider.metadata
    assert GRANT_TYPE in metadata["grant_types_supported"]
    assert metadata["pre-authorized_grant_anonymous_access_supported"] is False
    assert metadata["credential_offers_endpoint"] == f"{grantway_issuer.url}/credential-offers"


def test_an_offer_may_have_no_transaction_code(wallet: grantway.Client, offer: Offer) -> None:
    offered = offer(tx_code="false")
    with pytest.raises(grantway.InvalidRequestException, match="must be left out"):
        redeem(wallet, offered, tx_code="493536")
    assert redeem(wallet, offered)


def test_a_code_works_once(wallet: grantway.Client, offer: Offer) -> None:
    offered = offer()
    code = read_offer(offered["credential_offer"]).code

    def attempt(_: int) -> str:
        try:
            wallet.create_token(grant_type=GRANT_TYPE, code=code, tx_code=offered["tx_code"])
        except grantway.InvalidGrantException as error:
            return str(error.error_description)
        return "token"

    used = "The pre-authorized code is unknown, has expired or was used; ask for a new offer"
    with ThreadPoolExecutor(4) as threads:
        assert sorted(threads.map(attempt, range(4))) == [*[used] * 3, "token"]


def test_the_right_transaction_code_is_accepted_after_a_wrong_one(
    wallet: grantway.Client, offer: Offer
) -> None:
    offered = offer()
    code = read_offer(offered["credential_offer"]).code
    with pytest.raises(grantway.InvalidGrantException, match="attempts left: 4"):
        redeem(wallet, offered, tx_code=wrong(offered))
    with pytest.raises(grantway.InvalidRequestException, match="tx_code is required"):
        wallet.create_token(grant_type=GRANT_TYPE, code=code)
    assert redeem(wallet, offered)


def test_wrong_transaction_codes_void_the_code(wallet: grantway.Client, offer: Offer) -> None:
    offered = offer()
    code = read_offer(offered["credential_offer"]).code
    for _ in range(ATTEMPTS):
        with pytest.raises(grantway.InvalidGrantException, match="transaction code is wrong"):
            wallet.create_token(grant_type=GRANT_TYPE, code=code, tx_code=wrong(offered))
    with pytest.raises(grantway.InvalidGrantException, match="unknown, has expired or was used"):
        wallet.create_token(grant_type=GRANT_TYPE, code=code, tx_code=offered["tx_code"])


def test_an_offer_expires(
    wallet: grantway.Client, offer: Offer, grantway_clock: FrozenClock
) -> None:
    offered = offer()
    code = read_offer(offered["credential_offer"]).code
    with pytest.raises(grantway.InvalidGrantException):  # a wrong attempt does not extend it
        redeem(wallet, offered, tx_code=wrong(offered))
    grantway_clock.step(LIFETIME)
    with pytest.raises(grantway.InvalidGrantException, match="has expired"):
        wallet.create_token(grant_type=GRANT_TYPE, code=code, tx_code=offered["tx_code"])
    with pytest.raises(grantway.GrantwayError, match="is not available"):
        read_offer(offered["credential_offer"])


def test_the_scope_is_at_most_that_of_the_offer(wallet: grantway.Client, offer: Offer) -> None:
    offered = offer(scope="degree other")
    for scope in ("licence", "other"):  # not offered; offered, but this wallet may not have it
        with pytest.raises(grantway.InvalidScopeException):
            redeem(wallet, offered, scope=scope)
    assert redeem(wallet, offered, scope="degree").scope == ("degree",)


@pytest.mark.parametrize(
    "params",
    [
        {"subject": ""},
        {"credential_configuration_ids": []},
        {"credential_issuer": "http://x.example"},
        {"tx_code": "perhaps"},
        {"unknown": "x"},
    ],
)
def test_an_invalid_offer_is_not_created(params: dict[str, Any], offer: Offer) -> None:
    with pytest.raises(grantway.InvalidRequestException, match=next(iter(params))):
        offer(**params)


def test_only_clients_with_the_scope_create_offers(wallet: grantway.Client) -> None:
    with pytest.raises(grantway.UnauthorizedClientException, match="credential_offer"):
        wallet.call("credential_offers", extra={"subject": "mallory"})


class TestOpenRegistration:
    """With an issuer where anyone registers clients."""

    @pytest.fixture
    def grantway_issuer_settings(self) -> Any:
        return IssuerSettings(registration="open", registration_grant_types=("client_credentials",))

    def test_anonymous_clients_create_no_offers(self, offer: Offer) -> None:
        with pytest.raises(grantway.UnauthorizedClientException):
            offer()
