"""Requests of servers without an adapter."""

from __future__ import annotations

import asyncio

import pytest

from grantway._wire.challenges import parse_challenges
from grantway_plugins.resource import AccessDeniedError, ProtectedResource, ReceivedRequest
from tests.plugins.resource.conftest import Tokens
from tests.plugins.server.proofs import KEY, proof


def test_names_of_headers_are_case_insensitive(resource: ProtectedResource, token: Tokens) -> None:
    bound = token(cnf={"jkt": KEY.thumbprint()})
    made = proof("https://api.example.com/orders", htm="GET", token=bound)
    headers = {"AUTHORIZATION": f"DPoP {bound}", "dpop": made}
    request = ReceivedRequest("GET", "/orders", headers.items())
    assert resource.verify(request).subject == "ann"


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        (["Bearer a", "Bearer b"], "repeated"),
        (["Bearer a, Bearer b"], "repeated"),  # as WSGI servers join them
        (["Bearer a\x00"], "not allowed"),
    ],
)
def test_an_ambiguous_header_is_an_invalid_request(
    resource: ProtectedResource, values: list[str], problem: str
) -> None:
    request = ReceivedRequest("GET", "/orders", [("Authorization", each) for each in values])
    for verify in (resource.verify, lambda asked: asyncio.run(resource.verify_async(asked))):
        with pytest.raises(AccessDeniedError, match=problem) as caught:
            verify(request)
        assert caught.value.status == 400
        found = parse_challenges(caught.value.challenge)[0].parameters
        assert found["error"] == "invalid_request"
        assert "resource_metadata" in found
