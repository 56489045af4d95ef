"""Tests of the JWT bearer grant at the embedded issuer: trusted issuers, keys and claims."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey

import grantway
from grantway_plugins.client_auth import SigningKey
from grantway_plugins.grants import jwt_bearer
from grantway_plugins.issuer import IssuerServer, IssuerSettings
from grantway_plugins.server._log_format import FieldsMessage
from tests.plugins.grants.conftest import PARTNER, PARTNERS_KEY, Register
from tests.plugins.issuer.conftest import Caller, Clock

Refused = Callable[[requests.Response], str]


class Partner:
    """An identity provider that the issuer trusts."""

    def __init__(self, server: IssuerServer, clock: Clock) -> None:
        self._server, self._clock = server, clock
        self.key = SigningKey(PARTNERS_KEY)

    def assertion(self, header: dict[str, Any] | None = None, /, **claims: Any) -> str:
        """Return a valid assertion with some claims changed; None removes a claim."""
        usual = {
            "iss": PARTNER,
            "sub": "user-1",
            "aud": self._server.url,
            "iat": int(self._clock()),
            "exp": int(self._clock()) + 60,
            "jti": "once",
        }
        kept = {name: value for name, value in {**usual, **claims}.items() if value is not None}
        return self.key.sign(header or {"kid": "2031-1"}, kept)


@pytest.fixture
def partner(server: IssuerServer, clock: Clock) -> Partner:
    return Partner(server, clock)


@pytest.fixture
def caller(register: Register) -> Caller:
    return register()


def redeem(caller: Caller, assertion: str, **params: Any) -> requests.Response:
    return caller.as_rfc("/token", grant_type=jwt_bearer.GRANT_TYPE, assertion=assertion, **params)


@pytest.fixture
def refused(caplog: pytest.LogCaptureFixture) -> Callable[[requests.Response], str]:
    """Return a function that checks a uniform denial and returns its reason in the audit log."""
    caplog.set_level(logging.INFO, "grantway.audit")

    def reason(response: requests.Response) -> str:
        assert response.status_code == 400, response.text
        assert response.json() == {
            "error": "invalid_grant",
            "error_description": "The assertion is not accepted; the audit log of the issuer says "
            "why",
        }
        message = caplog.records[-1].msg
        assert isinstance(message, FieldsMessage)
        return str(message.fields["detail"])

    return reason


def test_issues_a_token_for_the_subject_of_the_assertion(caller: Caller, partner: Partner) -> None:
    response = redeem(caller, partner.assertion(), scope="a", resource="https://a.example/").json()
    assert "refresh_token" not in response
    known = caller.as_rfc("/introspect", token=response["access_token"]).json()
    assert (known["sub"], known["client_id"]) == ("user-1", caller.id)
    assert (known["scope"], known["aud"]) == ("a", ["https://a.example/"])


def test_works_with_the_grantway_client(
    server: IssuerServer, caller: Caller, partner: Partner
) -> None:
    with grantway.Client(
        grantway.Provider.discover(server.url), client_id=caller.id, client_secret=caller.secret
    ) as client:
        token = client.create_token(
            grant_type=jwt_bearer.GRANT_TYPE, assertion=partner.assertion(), scope="b"
        )
    assert token.scope == ("b",)


def test_accepts_an_assertion_with_a_jti_once(
    caller: Caller, partner: Partner, clock: Clock, refused: Refused
) -> None:
    assertion = partner.assertion()
    assert redeem(caller, assertion, scope="c").status_code == 400
    assert redeem(caller, assertion).status_code == 200
    assert "used before" in refused(redeem(caller, assertion))
    assert "used before" in refused(redeem(caller, partner.assertion(sub="user-2")))
    assert redeem(caller, partner.assertion(jti="twice")).status_code == 200


def test_only_one_of_many_concurrent_requests_succeeds(caller: Caller, partner: Partner) -> None:
    assertion = partner.assertion()

    def once(_number: int) -> int:
        with caller.clone() as another:
            return redeem(another, assertion).status_code

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(once, range(32)))
    assert sorted(answers) == [200, *[400] * 31]


def test_requires_a_jti_for_single_use(caller: Caller, partner: Partner, refused: Refused) -> None:
    assert "jti" in refused(redeem(caller, partner.assertion(jti=None)))


def test_tolerates_a_difference_of_the_clocks(
    caller: Caller, partner: Partner, clock: Clock, refused: Refused
) -> None:
    early = partner.assertion(iat=int(clock()) + 30, nbf=int(clock()) + 30, jti="1")
    late = partner.assertion(exp=int(clock()) - 29, jti="2")
    for assertion in (early, late):
        assert redeem(caller, assertion).status_code == 200
    clock.tick(1)
    assert "expired" in refused(redeem(caller, late))


def test_accepts_the_token_endpoint_as_audience(caller: Caller, partner: Partner) -> None:
    audience = ["https://other.example", f"{caller.url}/token"]
    assert redeem(caller, partner.assertion(aud=audience)).status_code == 200


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"iss": "https://stranger.example"}, "trusted"),
        ({"iss": None}, "trusted"),
        ({"iss": ["x"]}, "trusted"),
        ({"sub": None}, "sub"),
        ({"sub": ""}, "sub"),
        ({"sub": "a\nb"}, "sub"),
        ({"aud": None}, "aud"),
        ({"aud": "https://other.example"}, "aud"),
        ({"aud": {"x": 1}}, "aud"),
        ({"exp": None}, "exp"),
        ({"exp": "tomorrow"}, "exp"),
        ({"exp": True}, "exp"),
        ({"exp": 10**400}, "exp"),
        ({"iat": -(10**400)}, "iat"),
        ({"exp": 1}, "expired"),
        ({"exp": 4_000_000_000}, "max_lifetime is 3600"),
        ({"nbf": 1_900_000_000}, "nbf"),
        ({"iat": 1_900_000_000}, "iat"),
        ({"iat": "x"}, "iat"),
        ({"jti": ""}, "jti"),
        ({"jti": 7}, "jti"),
    ],
)
def test_rejects_invalid_claims(
    caller: Caller, partner: Partner, claims: dict[str, Any], reason: str, refused: Refused
) -> None:
    assert reason in refused(redeem(caller, partner.assertion(**claims)))


@pytest.mark.parametrize(
    "header", [{"typ": "at+jwt"}, {"typ": "client-authentication+jwt"}, {"kid": "x"}]
)
def test_rejects_jwts_signed_for_another_purpose(
    caller: Caller, partner: Partner, header: dict[str, Any], refused: Refused
) -> None:
    refused(redeem(caller, partner.assertion(header)))


@pytest.mark.parametrize("typ", ["JWT", "authorization-grant+jwt"])
def test_accepts_these_typ_values(caller: Caller, partner: Partner, typ: str) -> None:
    assert redeem(caller, partner.assertion({"typ": typ})).status_code == 200


def test_rejects_an_assertion_signed_with_another_key(
    caller: Caller, partner: Partner, refused: Refused
) -> None:
    partner.key = SigningKey(ECKey.generate_key("P-256"))
    refused(redeem(caller, partner.assertion()))
    partner.key = SigningKey(PARTNERS_KEY)
    head, _payload, signature = partner.assertion().split(".")
    _head, payload, _signature = partner.assertion(sub="someone-else").split(".")
    refused(redeem(caller, f"{head}.{payload}.{signature}"))


def test_rejects_hs256_with_the_public_key(
    caller: Caller, partner: Partner, server: IssuerServer, clock: Clock, refused: Refused
) -> None:
    """Algorithm confusion: an attacker signs with HS256 and the public key as secret."""
    secret = OctKey.import_key(str(PARTNERS_KEY.as_dict(private=False)))
    claims = {"iss": PARTNER, "sub": "user-1", "aud": server.url, "exp": int(clock()) + 60}
    refused(redeem(caller, jwt.encode({"alg": "HS256"}, claims, secret)))
    refused(redeem(caller, "eyJhbGciOiJub25lIn0." + partner.assertion().split(".")[1] + ".AA"))


@pytest.mark.parametrize("junk", ["a.b.c", "AA.AA.AA", "W10.W10.W10"])
def test_rejects_malformed_assertions(caller: Caller, junk: str, refused: Refused) -> None:
    refused(redeem(caller, junk))


def test_the_grant_is_not_offered_without_trusted_issuers() -> None:
    with IssuerServer(IssuerSettings()) as server:
        metadata = requests.get(f"{server.url}/.well-known/oauth-authorization-server").json()
    assert jwt_bearer.GRANT_TYPE not in metadata["grant_types_supported"]
    assert "federated_jwt" not in metadata["token_endpoint_auth_methods_supported"]
