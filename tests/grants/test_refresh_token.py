"""The refresh token grant (RFC 6749 section 6)."""

from __future__ import annotations

from typing import Any

import pytest

from grantway import Client, Provider
from tests import faults
from tests.faults import FaultServer


@pytest.mark.parametrize(
    ("brought", "held"),
    [({}, "rt-1"), ({"refresh_token": None}, "rt-1"), ({"refresh_token": ""}, "rt-1"),
     ({"refresh_token": "rt-2"}, "rt-2")],
)  # fmt: skip
def test_keeps_the_refresh_token_until_a_new_one_is_issued(brought: Any, held: str) -> None:
    with FaultServer(faults.respond(200, {**faults.TOKEN, **brought})) as server:
        provider = Provider(token_endpoint=server.token_endpoint)
        with Client(provider, client_id="c") as client:
            token = client.create_token(
                grant_type="refresh_token", refresh_token="rt-1", scope=["b", "a"]
            )
    assert token.refresh_token == held
    assert server.requests[0].form == {
        "grant_type": ["refresh_token"],
        "refresh_token": ["rt-1"],
        "scope": ["b a"],
        "client_id": ["c"],
    }
