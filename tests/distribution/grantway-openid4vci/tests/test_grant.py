"""The client side of the grant, without an issuer."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from grantway_openid4vci import (
    GRANT_TYPE,
    PRE_AUTHORIZED_CODE,
    CredentialOffer,
    OfferInvalidError,
    TransactionCode,
    authorization_server,
    read_offer,
)

import grantway
from grantway.testing import FaultServer, assert_grant_conforms, faults

OFFER: dict[str, Any] = {
    "credential_issuer": "https://issuer.example",
    "credential_configuration_ids": ["UniversityDegree"],
    "grants": {GRANT_TYPE: {"pre-authorized_code": "c0de-1", "tx_code": {}}},
    "unknown": "ignored",
}


def by_value(offer: object) -> str:
    return f"openid-credential-offer://?credential_offer={quote(json.dumps(offer))}"


def test_the_grant_conforms() -> None:
    assert_grant_conforms(PRE_AUTHORIZED_CODE)


def test_the_installed_plugin_is_complete() -> None:
    registry = grantway.build_registry(only=["grantway", "grantway-openid4vci"], strict=True)
    assert registry.grant(GRANT_TYPE) is PRE_AUTHORIZED_CODE
    assert GRANT_TYPE in registry.login_flows
    assert callable(registry.issuer_grants[GRANT_TYPE].decide)


def test_a_code_is_not_sent_again_after_a_lost_response(
    grantway_faults: Callable[..., FaultServer],
) -> None:
    server = grantway_faults(faults.reset_after_request, faults.respond())
    with (
        grantway.Client(grantway.Provider(server.token_endpoint), client_id="wallet") as client,
        pytest.raises(grantway.OutcomeUnknownError) as caught,
    ):
        client.create_token(grant_type=GRANT_TYPE, code="c0de-1", tx_code="493536")
    (request,) = server.requests
    assert request.form["pre-authorized_code"] == ["c0de-1"]
    assert request.form["tx_code"] == ["493536"]
    assert "c0de-1" not in str(caught.value)


@pytest.mark.parametrize("scheme", ["openid-credential-offer://", "https://wallet.example/offer"])
def test_reads_an_offer_by_value(scheme: str) -> None:
    offer = read_offer(by_value(OFFER).replace("openid-credential-offer://", scheme))
    assert offer.credential_issuer == "https://issuer.example"
    assert offer.code == "c0de-1"
    assert offer.tx_code == TransactionCode("numeric", None, "")
    assert "c0de-1" not in repr(offer)


def test_reads_an_offer_by_reference(grantway_faults: Callable[..., FaultServer]) -> None:
    server = grantway_faults(faults.respond(body=OFFER))
    reference = quote(f"{server.url}/offers/1", safe="")
    offer = read_offer(f"openid-credential-offer://?credential_offer_uri={reference}")
    assert offer.code == "c0de-1"
    assert server.requests[0].method == "GET"


@pytest.mark.parametrize(
    ("uri", "problem"),
    [
        ("openid-credential-offer://", "must have one parameter"),
        (f"{by_value(OFFER)}&credential_offer_uri=https%3A%2F%2Fx.example", "must have one"),
        ("not a URI", "must have one parameter"),
        ("https://[", "must have one parameter"),
        ("openid-credential-offer://?credential_offer=%7B", "is not a JSON object"),
        (by_value(["c0de-1"]), "is not a JSON object"),
        (by_value({**OFFER, "credential_configuration_ids": []}), "credential_configuration_ids"),
        (by_value({**OFFER, "grants": {"authorization_code": {}}}), f"grants.{GRANT_TYPE}"),
        (
            by_value({**OFFER, "grants": {GRANT_TYPE: {"pre-authorized_code": ["c0de-1"]}}}),
            "pre-authorized_code",
        ),
        (
            by_value(
                {
                    **OFFER,
                    "grants": {
                        GRANT_TYPE: {"pre-authorized_code": "c0de-1", "tx_code": {"length": "six"}}
                    },
                }
            ),
            "tx_code.length",
        ),
    ],
)
def test_rejects_an_invalid_offer_without_showing_the_code(uri: str, problem: str) -> None:
    with pytest.raises(OfferInvalidError) as caught:
        read_offer(uri)
    assert problem in str(caught.value)
    assert "c0de-1" not in str(caught.value)


def test_does_not_fetch_an_offer_without_tls() -> None:
    with pytest.raises(grantway.InsecureEndpointError):
        read_offer("openid-credential-offer://?credential_offer_uri=http%3A%2F%2Fx.example%2F1")


@pytest.mark.parametrize(
    "act",
    [
        faults.respond(404, body={"error": "not_found"}),
        faults.respond(body=b"<html>", headers={"Content-Type": "text/html"}),
        faults.respond(body=b"{", headers={"Content-Type": "application/json"}),
    ],
)
def test_an_offer_that_cannot_be_fetched_is_an_error(
    act: Any, grantway_faults: Callable[..., FaultServer]
) -> None:
    reference = quote(f"{grantway_faults(act).url}/offers/1", safe="")
    with pytest.raises(OfferInvalidError, match="ask the issuer for a new"):
        read_offer(f"openid-credential-offer://?credential_offer_uri={reference}")


def metadata(**members: Any) -> faults.Act:
    """Return an act that responds with the metadata of an issuer at the server's URL."""

    def act(stage: faults.Stage) -> bool:
        url = stage.server.url
        own = {"issuer": url, "credential_issuer": url, "token_endpoint": f"{url}/token"}
        return faults.respond(body={**own, **members})(stage)

    return act


def offer_of(server: FaultServer, **grant: str) -> CredentialOffer:
    members = {**OFFER["grants"][GRANT_TYPE], **grant}
    return read_offer(
        by_value({**OFFER, "credential_issuer": server.url, "grants": {GRANT_TYPE: members}})
    )


def test_the_credential_issuer_is_its_own_authorization_server(
    grantway_faults: Callable[..., FaultServer],
) -> None:
    server = grantway_faults(metadata())
    assert authorization_server(offer_of(server)).issuer == server.url
    assert server.requests[0].target == "/.well-known/openid-credential-issuer"


def test_of_several_authorization_servers_one_supports_the_grant(
    grantway_faults: Callable[..., FaultServer],
) -> None:
    first = grantway_faults(metadata())
    second = grantway_faults(metadata(grant_types_supported=[GRANT_TYPE]))
    issuer = grantway_faults(metadata(authorization_servers=[first.url, second.url]))
    assert authorization_server(offer_of(issuer)).issuer == second.url
    named = offer_of(issuer, authorization_server=first.url)
    assert authorization_server(named).issuer == first.url
    with pytest.raises(OfferInvalidError, match="does not list"):
        authorization_server(offer_of(issuer, authorization_server="https://x.example"))


@pytest.mark.parametrize(
    ("members", "problem"),
    [
        ({"credential_issuer": "https://x.example"}, "is not for"),
        ({"authorization_servers": "https://x.example"}, "is no list"),
        ({"authorization_servers": []}, "supports"),
    ],
)
def test_the_metadata_of_the_credential_issuer_are_checked(
    members: dict[str, Any], problem: str, grantway_faults: Callable[..., FaultServer]
) -> None:
    with pytest.raises(OfferInvalidError, match=problem):
        authorization_server(offer_of(grantway_faults(metadata(**members))))


@pytest.mark.parametrize(
    ("issuer", "error"),
    [
        ("https://[", grantway.ConfigurationError),
        ("issuer.example", grantway.ConfigurationError),
        ("http://issuer.example", grantway.InsecureEndpointError),
    ],
)
def test_the_credential_issuer_must_be_an_https_url(
    issuer: str, error: type[grantway.GrantwayError]
) -> None:
    offer = read_offer(by_value({**OFFER, "credential_issuer": issuer}))
    with pytest.raises(error, match="credential_issuer"):
        authorization_server(offer)
