"""Scopes, step-up, challenges and metadata of a protected resource."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, strategies as st

from grantway import ConfigurationError
from grantway._wire.challenges import parse_challenges
from grantway._wire.protected_resource import _well_known_addresses
from grantway_plugins.auth._step_up import step_up_of
from grantway_plugins.resource import AcceptedIssuer, ProtectedResource, Requirement
from grantway_plugins.resource._challenge import challenge
from grantway_plugins.testing import WorkloadIssuer
from tests.plugins.resource.conftest import API, Clock, Tokens, asked, denial

METADATA = f"{API}/.well-known/oauth-protected-resource"


@pytest.mark.parametrize(
    "issuers",
    ["https://a.example", ["https://a.example"], AcceptedIssuer("https://a.example"), None, [None]],
)
def test_issuers_are_a_list_of_accepted_issuers(issuers: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"^issuers: must be a list, such as \[Accepted"):
        ProtectedResource(API, issuers)


@pytest.mark.parametrize("scopes", ["read", "read write", ["read write"], [None]])
def test_scopes_of_the_metadata_are_names(scopes: Any) -> None:
    """A text would be published as a list of its letters."""
    with pytest.raises(ConfigurationError, match=r"^scopes: must be a tuple of names"):
        ProtectedResource(API, [AcceptedIssuer("https://a.example")], scopes=scopes)


def test_a_missing_scope_is_forbidden(resource: ProtectedResource, token: Tokens) -> None:
    request = asked(f"Bearer {token(scope='read')}")
    assert resource.verify(request, Requirement(scopes=("read",))).subject == "ann"
    for _ in range(2):
        error, found = denial(resource, request, Requirement(scopes=("read", "write")))
        assert (error.status, error.error) == (403, "insufficient_scope")
        assert found.parameters["scope"] == "read write"
        assert found.parameters["resource_metadata"] == METADATA
    step_up = step_up_of(403, error.challenge, {"bearer"})
    assert step_up is not None
    assert step_up.scope == ("read", "write")


def test_the_first_challenge_names_the_scope(resource: ProtectedResource) -> None:
    _, found = denial(resource, asked(), Requirement(scopes=("read",)))
    assert found.parameters == {"scope": "read", "resource_metadata": METADATA}


def test_step_up_by_age(resource: ProtectedResource, token: Tokens, clock: Clock) -> None:
    request = asked(f"Bearer {token(auth_time=int(clock.now))}")
    requirement = Requirement(max_age=60)
    assert resource.verify(request, requirement).subject == "ann"
    clock.now += 62
    error, found = denial(resource, request, requirement)
    assert (error.status, error.error) == (401, "insufficient_user_authentication")
    assert found.parameters["max_age"] == "60"
    step_up = step_up_of(401, error.challenge, {"bearer"})
    assert step_up is not None
    assert step_up.max_age == 60


@pytest.mark.parametrize("auth_time", [None, "now", True, float("nan")])
def test_an_unknown_login_time_is_too_old(
    resource: ProtectedResource, token: Tokens, auth_time: Any
) -> None:
    request = asked(f"Bearer {token(auth_time=auth_time)}")
    assert denial(resource, request, Requirement(max_age=10**9))[0].status == 401


@pytest.mark.parametrize("acr", [None, "1", ["2"], 2])
def test_step_up_by_class(resource: ProtectedResource, token: Tokens, acr: Any) -> None:
    requirement = Requirement(acr_values=("3", "2"))
    _, found = denial(resource, asked(f"Bearer {token(acr=acr)}"), requirement)
    assert found.parameters["error"] == "insufficient_user_authentication"
    assert found.parameters["acr_values"] == "3 2"
    assert "max_age" not in found.parameters
    assert resource.verify(asked(f"Bearer {token(acr='2')}"), requirement).subject == "ann"


@pytest.mark.parametrize(
    "options",
    [
        {"scopes": ("a b",)},
        {"scopes": ('a"b',)},
        {"scopes": ("",)},
        {"scopes": ["a"]},
        {"scopes": "a"},
        {"acr_values": ("a\\b",)},
        {"max_age": -1},
        {"max_age": 1.5},
        {"max_age": True},
    ],
)
def test_an_invalid_requirement_is_named(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Requirement(**options)
    assert list(caught.value.errors) == list(options)


@given(
    st.dictionaries(
        st.from_regex(r"[a-z_]{1,8}", fullmatch=True),
        st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=30),
        min_size=1,
        max_size=4,
    )
)
def test_clients_read_what_the_challenge_says(parameters: dict[str, str]) -> None:
    written = f"{challenge('Bearer', parameters)}, {challenge('DPoP', {'algs': 'ES256'})}"
    bearer, dpop = parse_challenges(written)
    assert bearer.parameters == parameters
    assert dpop.parameters == {"algs": "ES256"}


@given(st.text(min_size=1, max_size=30))
def test_a_challenge_is_one_printable_header(value: str) -> None:
    written = challenge("Bearer", {"error_description": value, "realm": ""})
    assert written.isascii()
    assert written.isprintable()
    [found] = parse_challenges(written)
    assert set(found.parameters) == {"error_description"}
    assert len(found.parameters["error_description"]) == len(value)


def test_the_metadata_describes_the_resource(issuer: WorkloadIssuer) -> None:
    resource = ProtectedResource(
        f"{API}/mcp", [AcceptedIssuer(issuer.url)], scopes=["read", "write", "read"]
    )
    assert resource.metadata_path == "/.well-known/oauth-protected-resource/mcp"
    found = resource.metadata()
    assert found["resource"] == f"{API}/mcp"
    assert found["authorization_servers"] == [issuer.url]
    assert found["scopes_supported"] == ["read", "write"]
    assert found["bearer_methods_supported"] == ["header"]
    assert "ES256" in found["dpop_signing_alg_values_supported"]
    _, first = denial(resource, asked())
    assert first.parameters["resource_metadata"] == f"{API}{resource.metadata_path}"


@pytest.mark.parametrize(
    ("path", "expected"), [("", ""), ("/", ""), ("/mcp", "/mcp"), ("/mcp/", "/mcp/")]
)
def test_clients_find_the_metadata_without_a_challenge(
    issuer: WorkloadIssuer, path: str, expected: str
) -> None:
    url = f"{API}{path}"
    resource = ProtectedResource(url, [AcceptedIssuer(issuer.url)])
    assert f"{API}{resource.metadata_path}" == f"{METADATA}{expected}"
    assert f"{API}{resource.metadata_path}" == _well_known_addresses(url)[0]
