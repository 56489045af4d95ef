"""The rules of the grant and of the source of assertions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from grantway_ssh import GRANT_TYPE, SSH_SIGNATURE, SshAssertion, key_file

import grantway
from grantway.testing import SecretSourceTests, assert_grant_conforms

from .conftest import PRINCIPAL


def test_the_grant_conforms() -> None:
    assert_grant_conforms(SSH_SIGNATURE)


def test_the_installed_plugin_is_complete(registry: grantway.Registry) -> None:
    assert registry.grant(GRANT_TYPE) is SSH_SIGNATURE
    assert GRANT_TYPE in registry.login_flows
    assert callable(registry.issuer_grants[GRANT_TYPE].decide)


def test_without_a_list_of_keys_the_issuer_does_not_offer_the_grant() -> None:
    registry = grantway.build_registry(only=["grantway", "grantway-ssh"], strict=True)
    assert GRANT_TYPE in registry.grants
    assert GRANT_TYPE not in registry.issuer_grants


class TestSshAssertion(SecretSourceTests):
    """The source of assertions obeys the rules of single-use sources."""

    @pytest.fixture
    def source(self, assertion: SshAssertion) -> SshAssertion:
        return assertion

    @pytest.fixture
    def unavailable(self, key: Path) -> Iterator[SshAssertion]:
        provider = grantway.Provider("https://x.example/token", issuer="https://x.example")
        with grantway.Client(provider, client_id="x") as client:  # it has no nonce endpoint
            yield SshAssertion(client, PRINCIPAL, key_file(key))


@pytest.mark.parametrize("content", [None, "no key", ""])
def test_a_key_file_that_cannot_be_used_is_an_error(content: str | None, tmp_path: Path) -> None:
    file = tmp_path / "key"
    if content is not None:
        file.write_text(content)
    with pytest.raises(grantway.SecretUnavailableError, match="key cannot be used"):
        key_file(file)
