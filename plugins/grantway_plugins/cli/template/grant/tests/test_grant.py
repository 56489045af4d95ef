"""The grant conforms to grantway's rules, is registered when installed, and is not retried."""

from collections.abc import Callable

import grantway
import pytest
from grantway.testing import FaultServer, Register, assert_grant_conforms, faults

from example_plugin import GRANT, GRANT_TYPE

DISTRIBUTION = "example-plugin"


def test_the_grant_conforms() -> None:
    assert_grant_conforms(GRANT)


def test_the_installed_grant_is_registered() -> None:
    registry = grantway.build_registry(only=["grantway", DISTRIBUTION], strict=True)
    assert registry.grant(GRANT_TYPE) is GRANT
    assert registry.owner(GRANT_TYPE).distribution == DISTRIBUTION
    assert callable(registry.issuer_grants[GRANT_TYPE].decide)


def test_a_request_is_not_sent_again_after_a_lost_response(
    grantway_register: Register, grantway_faults: Callable[..., FaultServer]
) -> None:
    registry = grantway_register(GRANT)
    server = grantway_faults(faults.reset_after_request, faults.respond())
    provider = grantway.Provider(token_endpoint=server.token_endpoint)
    with (
        grantway.Client(provider, client_id="tests", registry=registry) as client,
        pytest.raises(grantway.OutcomeUnknownError),
    ):
        client.create_token(grant_type=GRANT_TYPE, example_parameter="value-1")
    assert len(server.requests) == 1
