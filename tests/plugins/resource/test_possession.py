"""Tokens that are bound to a key: DPoP (RFC 9449) and client certificates (RFC 8705)."""

from __future__ import annotations

import base64
import hashlib
import ipaddress
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from grantway import ConfigurationError
from grantway._wire.challenges import parse_challenges
from grantway_plugins.resource import (
    AcceptedIssuer,
    CertificateHeader,
    ProtectedResource,
    Requirement,
    VerificationUnavailableError,
    _proofs,
)
from grantway_plugins.testing import WorkloadIssuer
from tests.certificates import Identity, issue
from tests.plugins.resource.conftest import API, Clock, Tokens, asked, denial
from tests.plugins.server.proofs import KEY, OTHER_KEY, proof

URL = f"{API}/orders"
HEADER = "X-Client-Cert"


@pytest.fixture
def bound(token: Tokens) -> str:
    """Return a token that is bound to the key of the proofs."""
    return token(cnf={"jkt": KEY.thumbprint()})


def request_with(token: str, *, url: str = URL, scheme: str = "DPoP", **options: Any) -> Any:
    usual = {"htm": "GET", "token": token, **options}
    return asked(f"{scheme} {token}", dpop=proof(url, **usual))


def test_a_bound_token_with_its_proof_is_accepted(resource: ProtectedResource, bound: str) -> None:
    for _ in range(2):
        assert resource.verify(request_with(bound)).confirmation == {"jkt": KEY.thumbprint()}


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"url": "https://other.example/orders"}, "invalid_dpop_proof"),
        ({"url": f"{API}/other"}, "invalid_dpop_proof"),
        ({"htm": "POST"}, "invalid_dpop_proof"),
        ({"ath": None}, "invalid_dpop_proof"),
        ({"ath": "x"}, "invalid_dpop_proof"),
        ({"now": 0}, "invalid_dpop_proof"),
        ({"jti": None}, "invalid_dpop_proof"),
        ({"header": {"typ": "at+jwt"}}, "invalid_dpop_proof"),
        ({"key": OTHER_KEY}, "invalid_token"),
    ],
)
def test_another_proof_is_rejected(
    resource: ProtectedResource, bound: str, options: dict[str, Any], error: str
) -> None:
    found, challenge = denial(resource, request_with(bound, **options))
    assert (found.status, found.error) == (401, error)
    assert challenge.scheme == "dpop"
    assert challenge.parameters["error"] == error
    assert "ES256" in challenge.parameters["algs"].split()
    assert resource.verify(request_with(bound)).subject == "ann"  # the token is still accepted


def test_a_replayed_proof_is_rejected(resource: ProtectedResource, bound: str) -> None:
    request = request_with(bound)
    resource.verify(request)
    error, _ = denial(resource, request)
    assert error.error == "invalid_dpop_proof"
    assert "used before" in error.message


def test_proofs_are_not_offered_to_an_application_that_reads_bearer_tokens_only(
    issuer: WorkloadIssuer, clock: Clock, token: Tokens, bound: str
) -> None:
    resource = ProtectedResource(API, [AcceptedIssuer(issuer.url)], dpop=False, clock=clock)
    assert "dpop_signing_alg_values_supported" not in resource.metadata()
    assert resource.verify(asked(f"Bearer {token()}")).subject == "ann"
    for request in (asked(""), request_with(bound), request_with(bound, scheme="Bearer")):
        error, _ = denial(resource, request)
        assert [each.scheme for each in parse_challenges(error.challenge)] == ["bearer"]


@pytest.mark.parametrize("path", ["/%6Frders", "/%6frders", "/o%72ders"])
def test_another_spelling_of_the_path_is_a_replay(
    resource: ProtectedResource, bound: str, path: str
) -> None:
    """Applications decode the path, so both requests reach the same route."""
    first = request_with(bound)
    resource.verify(first)
    again = asked(f"DPoP {bound}", path, dpop=first.header("dpop"))
    assert "used before" in denial(resource, again)[0].message


def test_a_path_cannot_change_the_host(resource: ProtectedResource, bound: str) -> None:
    """Another resource could pass on the requests that it gets."""
    made = proof("https://other.example/orders", htm="GET", token=bound)
    for path in ("@other.example/orders", ":80@other.example/orders"):
        error, _ = denial(resource, asked(f"DPoP {bound}", path, dpop=made))
        assert error.error == "invalid_dpop_proof"


def test_a_proof_of_another_token_is_rejected(
    resource: ProtectedResource, bound: str, token: Tokens
) -> None:
    other = token(cnf={"jkt": KEY.thumbprint()}, jti="other")
    request = asked(f"DPoP {bound}", dpop=proof(URL, htm="GET", token=other))
    assert denial(resource, request)[0].error == "invalid_dpop_proof"


def test_a_bound_token_is_no_bearer_token(resource: ProtectedResource, bound: str) -> None:
    for request in (asked(f"Bearer {bound}"), request_with(bound, scheme="Bearer")):
        error, challenge = denial(resource, request)
        assert error.error == "invalid_token"
        assert "send it with the scheme DPoP" in error.message
        assert challenge.scheme == "bearer"
        assert parse_challenges(error.challenge)[1].scheme == "dpop"


def test_a_bearer_token_needs_its_scheme(resource: ProtectedResource, token: Tokens) -> None:
    assert denial(resource, request_with(token()))[0].error == "invalid_token"


def test_a_bound_token_without_proof_is_rejected(resource: ProtectedResource, bound: str) -> None:
    assert denial(resource, asked(f"DPoP {bound}"))[0].error == "invalid_dpop_proof"


def test_too_many_proofs_are_not_forgotten(
    issuer: WorkloadIssuer, token: Tokens, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_proofs, "MOST_PROOFS", 2)
    resource = ProtectedResource(API, [AcceptedIssuer(issuer.url)], clock=clock)
    bound = token(cnf={"jkt": KEY.thumbprint()})
    for _ in range(2):
        resource.verify(request_with(bound, now=clock.now))
    with pytest.raises(VerificationUnavailableError):
        resource.verify(request_with(bound, now=clock.now))
    clock.now += 121
    resource.verify(request_with(bound, now=clock.now))


# --- nonces ---


@pytest.fixture
def with_nonces(issuer: WorkloadIssuer, clock: Clock) -> ProtectedResource:
    return ProtectedResource(
        API, [AcceptedIssuer(issuer.url)], dpop_nonce_key=b"k" * 32, clock=clock
    )


def test_a_proof_needs_the_nonce(with_nonces: ProtectedResource, bound: str) -> None:
    error, challenge = denial(with_nonces, request_with(bound))
    assert (error.status, error.error) == (401, "use_dpop_nonce")
    assert challenge.scheme == "dpop"
    assert challenge.parameters["error"] == "use_dpop_nonce"
    assert with_nonces.verify(request_with(bound, nonce=error.nonce)).subject == "ann"
    other, _ = denial(with_nonces, request_with(bound, nonce="another"))
    assert (other.error, other.nonce) == ("use_dpop_nonce", error.nonce)


def test_a_nonce_is_replaced(with_nonces: ProtectedResource, bound: str, clock: Clock) -> None:
    clock.now = (clock.now // 150 + 1) * 150
    nonce = denial(with_nonces, request_with(bound, now=clock.now))[0].nonce
    clock.now += 299
    later = {"now": clock.now, "nonce": nonce}
    assert with_nonces.verify(request_with(bound, **later)).subject == "ann"
    clock.now += 2
    error, _ = denial(with_nonces, request_with(bound, now=clock.now, nonce=nonce))
    assert error.error == "use_dpop_nonce"
    assert error.nonce not in {nonce, ""}


def test_processes_with_the_same_key_accept_the_same_nonces(
    issuer: WorkloadIssuer, with_nonces: ProtectedResource, bound: str
) -> None:
    nonce = denial(with_nonces, request_with(bound))[0].nonce
    for key, accepted in ((b"k" * 32, True), (b"l" * 32, False)):
        other = ProtectedResource(API, [AcceptedIssuer(issuer.url)], dpop_nonce_key=key)
        request = request_with(bound, nonce=nonce)
        if accepted:
            other.verify(request)
        else:
            assert denial(other, request)[0].error == "use_dpop_nonce"


def test_a_bearer_token_needs_no_nonce(with_nonces: ProtectedResource, token: Tokens) -> None:
    assert with_nonces.verify(asked(f"Bearer {token()}")).subject == "ann"
    error, _ = denial(with_nonces, asked())
    assert error.nonce  # for the first proof


@pytest.mark.parametrize("key", [b"", b"short", "k" * 32])
def test_a_weak_key_of_nonces_is_rejected(issuer: WorkloadIssuer, key: Any) -> None:
    with pytest.raises(ConfigurationError, match="dpop_nonce_key: must be at least 32 secret"):
        ProtectedResource(API, [AcceptedIssuer(issuer.url)], dpop_nonce_key=key)


# --- client certificates ---


@pytest.fixture(scope="module")
def identities(tmp_path_factory: pytest.TempPathFactory) -> tuple[Identity, Identity]:
    folder = tmp_path_factory.mktemp("certificates")
    return issue(folder, "orders"), issue(folder, "other")


def sent(identity: Identity) -> str:
    return base64.b64encode(identity.x509.public_bytes(Encoding.DER)).decode()


def thumbprint(identity: Identity) -> str:
    hashed = hashlib.sha256(identity.x509.public_bytes(Encoding.DER)).digest()
    return base64.urlsafe_b64encode(hashed).decode().rstrip("=")


def behind_proxy(issuer: WorkloadIssuer, *, authenticates: bool = False) -> ProtectedResource:
    header = CertificateHeader(
        HEADER, (ipaddress.ip_network("10.0.0.0/8"),), authenticates=authenticates
    )
    return ProtectedResource(API, [AcceptedIssuer(issuer.url)], certificates=header)


def test_a_token_is_accepted_with_its_certificate(
    issuer: WorkloadIssuer, token: Tokens, identities: tuple[Identity, Identity]
) -> None:
    own, other = identities
    resource = behind_proxy(issuer)
    bound = f"Bearer {token(cnf={'x5t#S256': thumbprint(own)})}"
    assert resource.verify(asked(bound, x_client_cert=sent(own))).subject == "ann"
    for value in (sent(other), "damaged", f"{sent(own)}, {sent(own)}", ""):
        error, _ = denial(resource, asked(bound, x_client_cert=value))
        assert (error.error, error.status) == ("invalid_token", 401)


def test_a_forged_certificate_header_is_ignored(
    issuer: WorkloadIssuer, token: Tokens, identities: tuple[Identity, Identity]
) -> None:
    resource = behind_proxy(issuer, authenticates=True)
    bound = f"Bearer {token(cnf={'x5t#S256': thumbprint(identities[0])})}"
    for peer in ("192.0.2.1", "", "unix"):
        forged = asked(bound, peer=peer, x_client_cert=sent(identities[0]))
        assert "another client certificate" in denial(resource, forged)[0].message
        alone = asked(peer=peer, x_client_cert=sent(identities[0]))
        assert denial(resource, alone)[0].message == "An access token is needed"


def test_without_certificates_a_bound_token_is_rejected(
    resource: ProtectedResource, token: Tokens, identities: tuple[Identity, Identity]
) -> None:
    bound = f"Bearer {token(cnf={'x5t#S256': thumbprint(identities[0])})}"
    request = asked(bound, x_client_cert=sent(identities[0]))
    assert denial(resource, request)[0].error == "invalid_token"


def test_a_certificate_alone_is_accepted_only_if_it_authenticates(
    issuer: WorkloadIssuer, identities: tuple[Identity, Identity]
) -> None:
    request = asked(x_client_cert=sent(identities[0]))
    assert denial(behind_proxy(issuer), request)[0].error == ""
    found = behind_proxy(issuer, authenticates=True).verify(request)
    assert found.subject == "CN=orders"
    assert found.claims["common_name"] == "orders"
    assert found.scope == frozenset()
    error, _ = denial(
        behind_proxy(issuer, authenticates=True), request, Requirement(scopes=("read",))
    )
    assert error.status == 403


def test_a_damaged_certificate_is_described(issuer: WorkloadIssuer) -> None:
    error, _ = denial(behind_proxy(issuer, authenticates=True), asked(x_client_cert="damaged"))
    assert "cannot be read" in error.message


@pytest.mark.parametrize(("name", "proxies"), [("", (1,)), ("X-Client-Cert", ())])
def test_a_header_needs_a_name_and_proxies(name: str, proxies: Any) -> None:
    with pytest.raises(ConfigurationError):
        CertificateHeader(name, proxies)


def test_the_alternative_names_are_claims(issuer: WorkloadIssuer, tmp_path: Path) -> None:
    identity = issue(tmp_path, "plain")
    names = [
        x509.UniformResourceIdentifier("spiffe://example.org/orders"),
        x509.DNSName("orders.example.org"),
        x509.DNSName("other.example.org"),
    ]
    certificate = (
        x509.CertificateBuilder(identity.x509.issuer, identity.x509.subject)
        .public_key(identity.private.public_key())
        .serial_number(1)
        .not_valid_before(identity.x509.not_valid_before_utc)
        .not_valid_after(identity.x509.not_valid_after_utc)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(identity.private, hashes.SHA256())
    )
    value = base64.b64encode(certificate.public_bytes(Encoding.DER)).decode()
    found = behind_proxy(issuer, authenticates=True).verify(asked(x_client_cert=value))
    assert found.claims == {
        "iss": "CN=plain",
        "sub": "CN=plain",
        "common_name": "plain",
        "san_uri": "spiffe://example.org/orders",
        "san_dns": "orders.example.org",
        "cnf": found.confirmation,
    }
