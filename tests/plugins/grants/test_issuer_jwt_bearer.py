"""Whose assertions the embedded issuer believes, and which of them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

import grantway
from grantway._exceptions import ConfigurationError
from grantway_plugins.client_auth import SigningKey
from grantway_plugins.grants import jwt_bearer
from grantway_plugins.issuer import IssuerServer
from grantway_plugins.issuer._decisions.grants.jwt_bearer import LEEWAY, TrustedIssuer
from tests.plugins.grants.conftest import PARTNER, PARTNERS_KEY, Register
from tests.plugins.issuer.conftest import Caller, Clock


class Partner:
    """An identity provider that the issuer trusts."""

    def __init__(self, server: IssuerServer, clock: Clock) -> None:
        self._server, self._clock = server, clock
        self.key = SigningKey(PARTNERS_KEY)

    def assertion(self, header: dict[str, Any] | None = None, /, **claims: Any) -> str:
        """A good one, but for what is given; None leaves a claim out."""
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


def refused(answer: requests.Response) -> str:
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant"), answer.text
    return str(answer.json()["error_description"])


def test_a_token_for_the_one_whom_the_assertion_names(caller: Caller, partner: Partner) -> None:
    answer = redeem(caller, partner.assertion(), scope="a", resource="https://a.example/").json()
    assert "refresh_token" not in answer
    known = caller.as_rfc("/introspect", token=answer["access_token"]).json()
    assert (known["sub"], known["client_id"]) == ("user-1", caller.id)
    assert (known["scope"], known["aud"]) == ("a", ["https://a.example/"])


def test_through_grantways_own_client(
    server: IssuerServer, caller: Caller, partner: Partner
) -> None:
    with grantway.Client(
        grantway.Provider.discover(server.url), client_id=caller.id, client_secret=caller.secret
    ) as client:
        token = client.create_token(
            grant_type=jwt_bearer.GRANT_TYPE, assertion=partner.assertion(), scope="b"
        )
    assert token.scope == ("b",)


def test_one_with_a_jti_is_good_once(caller: Caller, partner: Partner, clock: Clock) -> None:
    assertion = partner.assertion()
    assert redeem(caller, assertion, scope="c").status_code == 400
    assert redeem(caller, assertion).status_code == 200
    assert "redeemed before" in refused(redeem(caller, assertion))
    assert "redeemed before" in refused(redeem(caller, partner.assertion(sub="user-2")))
    assert redeem(caller, partner.assertion(jti="twice")).status_code == 200


def test_of_many_at_once_one_wins(caller: Caller, partner: Partner) -> None:
    assertion = partner.assertion()

    def once(_number: int) -> int:
        with caller.clone() as another:
            return redeem(another, assertion).status_code

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(once, range(32)))
    assert sorted(answers) == [200, *[400] * 31]


def test_one_without_a_jti_is_good_until_it_expires(
    caller: Caller, partner: Partner, clock: Clock
) -> None:
    assertion = partner.assertion(jti=None)
    assert redeem(caller, assertion).status_code == 200
    assert redeem(caller, assertion).status_code == 200
    clock.tick(60 + LEEWAY)
    assert "expired" in refused(redeem(caller, assertion))


def test_the_token_endpoint_is_an_audience_too(caller: Caller, partner: Partner) -> None:
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
        ({"exp": 1}, "expired"),
        ({"exp": 4_000_000_000}, "within 3600"),
        ({"nbf": 1_900_000_000}, "nbf"),
        ({"iat": 1_900_000_000}, "iat"),
        ({"iat": "x"}, "iat"),
        ({"jti": ""}, "jti"),
        ({"jti": 7}, "jti"),
    ],
)
def test_claims_that_are_not_good_enough(
    caller: Caller, partner: Partner, claims: dict[str, Any], reason: str
) -> None:
    assert reason in refused(redeem(caller, partner.assertion(**claims)))


@pytest.mark.parametrize(
    "header", [{"typ": "at+jwt"}, {"typ": "client-authentication+jwt"}, {"kid": "x"}]
)
def test_what_was_signed_for_something_else(
    caller: Caller, partner: Partner, header: dict[str, Any]
) -> None:
    refused(redeem(caller, partner.assertion(header)))


@pytest.mark.parametrize("typ", ["JWT", "authorization-grant+jwt"])
def test_what_an_assertion_may_call_itself(caller: Caller, partner: Partner, typ: str) -> None:
    assert redeem(caller, partner.assertion({"typ": typ})).status_code == 200


def test_a_stranger_who_signs_in_the_partners_name(caller: Caller, partner: Partner) -> None:
    partner.key = SigningKey(ECKey.generate_key("P-256"))
    refused(redeem(caller, partner.assertion()))
    partner.key = SigningKey(PARTNERS_KEY)
    head, _payload, signature = partner.assertion().split(".")
    _head, payload, _signature = partner.assertion(sub="someone-else").split(".")
    refused(redeem(caller, f"{head}.{payload}.{signature}"))


def test_the_public_key_is_no_shared_secret(
    caller: Caller, partner: Partner, server: IssuerServer, clock: Clock
) -> None:
    """The classic confusion: HS256 with the public key, which everybody knows."""
    secret = OctKey.import_key(str(PARTNERS_KEY.as_dict(private=False)))
    claims = {"iss": PARTNER, "sub": "user-1", "aud": server.url, "exp": int(clock()) + 60}
    refused(redeem(caller, jwt.encode({"alg": "HS256"}, claims, secret)))
    refused(redeem(caller, "eyJhbGciOiJub25lIn0." + partner.assertion().split(".")[1] + ".AA"))


@pytest.mark.parametrize("junk", ["a.b.c", "AA.AA.AA", "W10.W10.W10"])
def test_junk_is_refused_like_any_other(caller: Caller, junk: str) -> None:
    refused(redeem(caller, junk))


def test_without_anyone_trusted_it_is_not_offered() -> None:
    assert jwt_bearer.GRANT_TYPE not in grantway.build_registry().issuer_grants


@pytest.mark.parametrize(
    "jwks",
    [
        {"keys": []},
        {"kty": "EC"},
        PARTNERS_KEY.as_dict(private=True),
        OctKey.generate_key(256).as_dict(),
        {"keys": [PARTNERS_KEY.as_dict(private=False), {"kty": "oct", "k": "AA"}]},
        {"kty": "RSA", "e": "AQAB", "n": "A" * 171},
        {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"},
    ],
)
def test_keys_that_prove_nothing(jwks: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError) as wrong:
        TrustedIssuer(PARTNER, jwks)
    for name in ("d", "k"):
        assert str(jwks.get(name, "nothing")) not in str(wrong.value)


def test_every_kind_of_key_pair() -> None:
    made = [RSAKey.generate_key(2048), PARTNERS_KEY, OKPKey.generate_key("Ed25519")]
    found = TrustedIssuer(PARTNER, {"keys": [key.as_dict(private=False) for key in made]})
    assert len(found.keys) == 3
