"""Clients that authenticate with ``private_key_jwt`` (OpenID Connect Core section 9, RFC 7523)."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import requests
from joserfc import jwt
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey

import grantway
from grantway._requests.client_auth import JWT_BEARER
from grantway_plugins._jose import cached_keys
from grantway_plugins.client_auth import PrivateKeyJwt
from grantway_plugins.issuer import ClientDocuments, IssuerServer, IssuerSettings
from grantway_plugins.server._proofs.algorithms import ALGORITHMS
from tests.plugins.issuer.conftest import CALLBACK, Caller, Clock
from tests.plugins.issuer.published import Published
from tests.waiting import PATIENCE, until

KEY = ECKey.generate_key("P-256", {"kid": "one"})
OTHER = ECKey.generate_key("P-256", {"kid": "two"})
GRANTS = ["client_credentials", "authorization_code", "refresh_token"]


def jwks(*keys: Key) -> dict[str, Any]:
    return {"keys": [key.as_dict(private=False) for key in keys]}


class Signer:
    """A client that signs assertions."""

    def __init__(self, caller: Caller, clock: Clock) -> None:
        self.caller, self.clock = caller, clock

    def register(self, **metadata: Any) -> requests.Response:
        asked = {
            "token_endpoint_auth_method": "private_key_jwt",
            "grant_types": GRANTS,
            "redirect_uris": [CALLBACK],
            **metadata,
        }
        made = self.caller.http.post(f"{self.caller.url}/register", json=asked)
        self.made = made.json()
        self.caller.id = made.json().get("client_id", "")
        return made

    def change(self, **metadata: Any) -> None:
        """Change the registration."""
        url, token = (self.made[f"registration_{name}"] for name in ("client_uri", "access_token"))
        kept = ("client_id", "grant_types", "redirect_uris", "token_endpoint_auth_method")
        asked = {name: self.made[name] for name in kept} | metadata
        headers = {"Authorization": f"Bearer {token}"}
        assert self.caller.http.put(url, json=asked, headers=headers).status_code == 200

    def claims(self, **changes: Any) -> dict[str, Any]:
        now = int(self.clock.now)
        claims = {
            "iss": self.caller.id,
            "sub": self.caller.id,
            "aud": self.caller.url,
            "iat": now,
            "exp": now + 60,
            "jti": secrets.token_urlsafe(16),
            **changes,
        }
        return {name: value for name, value in claims.items() if value is not None}

    def assertion(
        self, key: Key = KEY, header: dict[str, Any] | None = None, **changes: Any
    ) -> str:
        alg = {"EC": "ES256", "OKP": "Ed25519", "RSA": "PS256"}[key.key_type]
        protected = {"alg": alg, **({"kid": key.kid} if key.kid else {}), **(header or {})}
        return jwt.encode(protected, self.claims(**changes), key, algorithms=list(ALGORITHMS))

    def ask(self, assertion: str, path: str = "/token", **params: Any) -> requests.Response:
        asked = {
            "grant_type": "client_credentials",
            "client_assertion_type": JWT_BEARER,
            "client_assertion": assertion,
            **params,
        }
        return self.caller.rfc(path, **asked)


@pytest.fixture
def signer(caller: Caller, clock: Clock) -> Signer:
    made = Signer(caller, clock)
    assert made.register(jwks=jwks(KEY)).status_code == 201
    return made


def test_a_registered_key_authenticates_without_a_secret(caller: Caller, clock: Clock) -> None:
    signer = Signer(caller, clock)
    made = signer.register(jwks=jwks(KEY)).json()
    assert "client_secret" not in made
    assert made["jwks"] == jwks(KEY)
    response = signer.ask(signer.assertion())
    assert response.status_code == 200, response.text
    assert signer.ask(signer.assertion(), client_id=caller.id).status_code == 200


@pytest.mark.parametrize(
    "key",
    [
        OKPKey.generate_key("Ed25519"),
        RSAKey.generate_key(2048),
        ECKey.generate_key("P-256"),
    ],
    ids=["Ed25519", "RSA", "P-256 without kid"],
)
def test_keys_of_several_types_are_accepted(caller: Caller, clock: Clock, key: Key) -> None:
    signer = Signer(caller, clock)
    signer.register(jwks=jwks(OTHER, key))
    assert signer.ask(signer.assertion(key)).status_code == 200


@pytest.mark.parametrize("path", ["", "/token"])
def test_the_issuer_and_the_endpoint_are_accepted_audiences(signer: Signer, path: str) -> None:
    assert signer.ask(signer.assertion(aud=signer.caller.url + path)).status_code == 200


def test_introspection_and_revocation_accept_an_assertion(signer: Signer) -> None:
    token = signer.ask(signer.assertion()).json()["access_token"]
    for path in ("/introspect", "/revoke"):
        response = signer.caller.rfc(
            path,
            token=token,
            client_assertion_type=JWT_BEARER,
            client_assertion=signer.assertion(aud=signer.caller.url + path),
        )
        assert response.status_code == 200, response.text


CHANGES: list[dict[str, Any]] = [
    {"aud": "https://other.example"},
    {"aud": None},
    {"aud": []},
    {"exp": 1},
    {"exp": None},
    {"exp": "soon"},
    {"exp": 1_900_000_000},
    {"iat": 1_900_000_000},
    {"nbf": 1_900_000_000},
    {"jti": None},
    {"jti": ""},
    {"jti": 7},
    {"jti": "x" * 256},
]


@pytest.mark.parametrize("changes", CHANGES, ids=str)
def test_an_assertion_with_other_claims_is_rejected(
    signer: Signer, changes: dict[str, Any]
) -> None:
    response = signer.ask(signer.assertion(**changes))
    assert response.status_code == 401
    assert response.json()["error"] == "invalid_client"


def test_an_audience_beside_the_issuer_is_rejected(signer: Signer) -> None:
    audience = [signer.caller.url, "https://other.example"]
    assert signer.ask(signer.assertion(aud=audience)).status_code == 401


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text[:-4] + ("AAAA" if text[-4:] != "AAAA" else "BBBB"),
        lambda text: text.rpartition(".")[0] + ".",
        lambda text: "." + text.partition(".")[2],
        lambda text: text + ".x",
        lambda text: text.partition(".")[0],
        lambda _: "x" * 20_000,
        lambda _: "..",
    ],
)
def test_a_damaged_assertion_is_rejected(signer: Signer, change: Callable[[str], str]) -> None:
    response = signer.ask(change(signer.assertion()))
    assert response.status_code == 401, response.text
    assert response.json()["error"] == "invalid_client"


def test_a_foreign_key_type_or_algorithm_is_rejected(signer: Signer) -> None:
    assert signer.ask(signer.assertion(OTHER)).status_code == 401
    impostor = ECKey.generate_key("P-256", {"kid": "one"})
    assert signer.ask(signer.assertion(impostor)).status_code == 401
    assert signer.ask(signer.assertion(header={"typ": "dpop+jwt"})).status_code == 401


def test_a_registered_algorithm_excludes_others(caller: Caller, clock: Clock) -> None:
    signer = Signer(caller, clock)
    signer.register(jwks=jwks(KEY), token_endpoint_auth_signing_alg="ES384")
    assert signer.ask(signer.assertion()).status_code == 401


def test_an_assertion_is_accepted_once(signer: Signer) -> None:
    assertion = signer.assertion()
    assert signer.ask(assertion).status_code == 200
    assert signer.ask(assertion).status_code == 401
    # The same jti of another client is another assertion.
    other = Signer(signer.caller.clone(), signer.clock)
    other.register(jwks=jwks(KEY))
    for each in (signer, other):
        assert each.ask(each.assertion(jti="same")).status_code == 200


def test_an_assertion_that_failed_for_another_reason_can_be_sent_again(signer: Signer) -> None:
    assertion = signer.assertion()
    assert signer.ask(assertion, grant_type="nothing").status_code == 400
    assert signer.ask(assertion).status_code == 200


def test_a_client_with_a_key_cannot_use_another_method(signer: Signer) -> None:
    client_id = signer.caller.id
    without = signer.caller.rfc("/token", grant_type="client_credentials", client_id=client_id)
    assert without.status_code == 401
    secret = signer.caller.rfc(
        "/token", grant_type="client_credentials", client_id=client_id, client_secret="x"
    )
    assert secret.status_code == 401
    both = signer.ask(signer.assertion(), client_secret="x")
    assert both.json()["error"] == "invalid_request"


def test_a_client_with_a_secret_cannot_use_an_assertion(caller: Caller, clock: Clock) -> None:
    signer = Signer(caller, clock)
    signer.register(jwks=jwks(KEY), token_endpoint_auth_method="client_secret_basic")
    assert signer.ask(signer.assertion()).status_code == 401


def test_another_client_id_than_the_subject_is_rejected(signer: Signer) -> None:
    assert signer.ask(signer.assertion(), client_id="other").status_code == 401
    assert signer.ask(signer.assertion(sub="other")).status_code == 401


PRIVATE = {"keys": [KEY.as_dict(private=True)]}


@pytest.mark.parametrize(
    ("metadata", "rule"),
    [
        ({}, "requires jwks or jwks_uri"),
        ({"jwks": jwks(KEY), "jwks_uri": "https://app.example/jwks"}, "exclude each other"),
        ({"jwks": []}, "jwks must be an object"),
        ({"jwks": {"keys": {}}}, "jwks must be an object"),
        ({"jwks": {"keys": []}}, "at least one key"),
        ({"jwks": PRIVATE}, "public key"),
        ({"jwks": {"keys": [{"kty": "oct", "k": "AAAA"}]}}, "public key"),
        ({"jwks": {"keys": [{"kty": "EC", "crv": "P-256", "x": "!", "y": "!"}]}}, "jwks"),
        ({"jwks": {"keys": [None]}}, "public key"),
        ({"jwks_uri": "ftp://app.example/jwks"}, "jwks_uri"),
        ({"jwks_uri": "http://app.example/jwks"}, "must be an https URL"),
        ({"jwks_uri": 7}, "jwks_uri must be a URL"),
        ({"jwks": jwks(KEY), "token_endpoint_auth_signing_alg": "none"}, "must be one of"),
        ({"jwks": jwks(KEY), "token_endpoint_auth_signing_alg": "HS256"}, "must be one of"),
        ({"jwks": jwks(*[KEY] * 101)}, "at most 100"),
        ({"jwks": {"keys": [{**KEY.as_dict(private=False), "note": "x" * 9000}]}}, "larger"),
    ],
)
def test_invalid_key_metadata_is_rejected_with_its_rule(
    caller: Caller, clock: Clock, metadata: dict[str, Any], rule: str
) -> None:
    response = Signer(caller, clock).register(**metadata)
    assert response.status_code == 400, response.text
    assert response.json()["error"] == "invalid_client_metadata"
    assert rule in response.json()["error_description"]
    assert KEY.as_dict(private=True)["d"] not in response.text


class Publisher(Published):
    """A web server with the keys of a client."""

    def __init__(self) -> None:
        self.keys: tuple[Key, ...] = (KEY,)
        super().__init__("/jwks", self.content, "application/jwk-set+json")

    def content(self) -> bytes:
        return json.dumps(jwks(*self.keys)).encode()


@pytest.fixture
def publisher(monkeypatch: pytest.MonkeyPatch) -> Iterator[Publisher]:
    monkeypatch.setattr(cached_keys, "PAUSE", 0.0)
    running = Publisher()
    yield running
    running.close()


def test_published_keys_are_read_once_and_again_for_a_new_key(
    caller: Caller, clock: Clock, publisher: Publisher
) -> None:
    signer = Signer(caller, clock)
    assert signer.register(jwks_uri=publisher.url).status_code == 201
    for _ in range(3):
        assert signer.ask(signer.assertion()).status_code == 200
    assert publisher.reads == 1
    publisher.keys = (OTHER,)
    assert signer.ask(signer.assertion(OTHER)).status_code == 200
    assert publisher.reads == 2


def test_a_key_that_was_replaced_through_another_issuer_is_accepted_at_once(
    clock: Clock, tmp_path: Path
) -> None:
    shared: Any = {
        "settings": IssuerSettings(registration="unrestricted"),
        "database": str(tmp_path / "issuer.db"),
        "clock": clock,
    }
    with (
        IssuerServer(**shared) as one,
        IssuerServer(**shared) as two,
        Caller(one.url) as first,
        Caller(two.url) as second,
    ):
        there, here = Signer(first, clock), Signer(second, clock)
        there.register(jwks=jwks(KEY))
        second.id = first.id
        assert here.ask(here.assertion(KEY)).status_code == 200
        there.change(jwks=jwks(OTHER))
        assert here.ask(here.assertion(OTHER)).status_code == 200
        assert here.ask(here.assertion(KEY)).status_code == 401


def test_unreadable_keys_are_a_temporary_failure(
    caller: Caller, clock: Clock, publisher: Publisher
) -> None:
    signer = Signer(caller, clock)
    signer.register(jwks_uri=publisher.url)
    publisher.status = 500
    response = signer.ask(signer.assertion())
    assert response.status_code == 503
    publisher.status = 200
    assert signer.ask(signer.assertion()).status_code == 200


def test_an_anonymous_client_cannot_name_keys_on_a_private_network(
    clock: Clock, publisher: Publisher
) -> None:
    with IssuerServer(IssuerSettings(), clock=clock) as running, Caller(running.url) as caller:
        signer = Signer(caller, clock)
        grants = {"grant_types": ["authorization_code", "refresh_token"]}
        assert signer.register(jwks_uri=publisher.url, **grants).status_code == 400
        address = publisher.url.replace("http:", "https:")
        assert signer.register(jwks_uri=address, **grants).status_code == 201
        refused = signer.ask(signer.assertion(), grant_type="refresh_token", refresh_token="x")
        assert refused.status_code == 503
    assert publisher.reads == 0


@pytest.fixture
def anonymous(clock: Clock) -> Iterator[Callable[[str], Signer]]:
    """Registers clients anonymously, whose keys may be on this machine."""
    settings = IssuerSettings(
        registration="open",
        registration_rate=40,
        client_documents=ClientDocuments(private_hosts=("127.0.0.1",)),
    )
    with IssuerServer(settings, clock=clock) as running, ExitStack() as open_callers:

        def register(uri: str) -> Signer:
            signer = Signer(open_callers.enter_context(Caller(running.url)), clock)
            made = signer.register(jwks_uri=uri, grant_types=["authorization_code"])
            assert made.status_code == 201, made.text
            return signer

        yield register


def revoke(signer: Signer) -> int:
    return signer.ask(signer.assertion(), "/revoke", token="x").status_code


def test_servers_that_do_not_respond_take_a_limited_number_of_threads(
    anonymous: Callable[[str], Signer], publisher: Publisher
) -> None:
    signers = [anonymous(f"{publisher.url}?{number}") for number in range(17)]
    publisher.open.clear()
    with ThreadPoolExecutor(16) as pool:
        slow = [pool.submit(revoke, each) for each in signers[:16]]
        until(lambda: publisher.reads == 16)
        assert revoke(signers[16]) == 503
        publisher.open.set()
        assert [each.result(PATIENCE) for each in slow] == [200] * 16
    assert revoke(signers[16]) == 200


def test_one_address_cannot_cause_many_reads(
    anonymous: Callable[[str], Signer], publisher: Publisher
) -> None:
    signer = anonymous(publisher.url)
    outcomes = []
    for number in range(41):
        signer.change(jwks_uri=f"{publisher.url}?{number}")
        outcomes.append(revoke(signer))
    assert outcomes == [200] * 40 + [503]
    assert publisher.reads == 40


def test_grantways_own_client_authenticates(signer: Signer, server: IssuerServer) -> None:
    key = json.dumps(KEY.as_dict(private=True))
    client_id = signer.caller.id
    signer.clock.now = time.time()
    with grantway.Client(
        grantway.Provider.discover(server.url),
        client_id=client_id,
        auth=PrivateKeyJwt(client_id, key),
    ) as client:
        assert client.create_token(grant_type="client_credentials").access_token


def test_the_metadata_lists_the_method_and_its_algorithms(caller: Caller) -> None:
    metadata = caller.http.get(f"{caller.url}/.well-known/oauth-authorization-server").json()
    assert "private_key_jwt" in metadata["token_endpoint_auth_methods_supported"]
    assert "ES256" in metadata["token_endpoint_auth_signing_alg_values_supported"]
