"""Different tokens have different keys, and equal settings have one key."""

from __future__ import annotations

import hashlib
import time
from typing import Any

import pytest
from hypothesis import given, strategies as st

from grantway import Client, Provider
from grantway._credentials import fingerprint as module
from grantway._credentials.fingerprint import fingerprint
from tests.core.credential.conftest import Start
from tests.core.credential.scenes import SECRET, issue

TEXT = st.text(max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)
FACTS = st.dictionaries(TEXT, VALUES, max_size=3)


def kinds(value: Any) -> Any:
    """Return a value that is equal only for the same value of the same type; True is not 1."""
    if isinstance(value, dict):
        return {name: kinds(each) for name, each in value.items()}
    if isinstance(value, list):
        return [kinds(each) for each in value]
    return type(value).__name__, value


@given(FACTS, FACTS)
def test_different_mappings_give_different_inputs(one: dict[str, Any], two: dict[str, Any]) -> None:
    same = module._bytes(one, frozenset(), "") == module._bytes(two, frozenset(), "")
    assert same == (kinds(one) == kinds(two))


@given(st.lists(st.text(alphabet="av:12kmtl", max_size=4), min_size=2, max_size=4), st.data())
def test_the_boundaries_between_values_matter(names: list[str], data: Any) -> None:
    """Split the same characters at another position."""
    joined = "".join(names)
    cut = data.draw(st.integers(0, len(joined)))
    other = [joined[:cut], joined[cut:]]
    same = fingerprint({"values": names}) == fingerprint({"values": other})
    assert same == (names == other)


@given(FACTS)
def test_the_order_of_names_is_irrelevant(facts: dict[str, Any]) -> None:
    assert fingerprint(dict(reversed(facts.items()))) == fingerprint(facts)


def test_the_order_of_a_list_matters_but_not_of_a_set() -> None:
    assert fingerprint({"scope": ["a", "b"]}) != fingerprint({"scope": ["b", "a"]})
    assert fingerprint({"s": {"x", "y", 1}}) == fingerprint({"s": {1, "y", "x"}})


def test_a_short_secret_is_stretched() -> None:
    secret = frozenset({"password"})
    facts = {"user": "ann", "password": "summer"}
    plain, stretched = fingerprint(facts), fingerprint(facts, secret)
    assert plain != stretched
    assert stretched != fingerprint({**facts, "password": "winter"}, secret)
    assert stretched == fingerprint(dict(facts), secret)
    # At any depth.
    nested = {"params": {"password": ["summer"]}}
    assert fingerprint(nested) != fingerprint(nested, secret)


def test_hashing_a_password_costs_a_hundred_thousand_rounds() -> None:
    def duration(secret: frozenset[str]) -> float:
        begun = time.process_time()
        fingerprint({"password": "summer"}, secret)
        return time.process_time() - begun

    begun = time.process_time()
    hashlib.pbkdf2_hmac("sha256", b"summer", b"salt", 50_000)
    half = time.process_time() - begun
    assert duration(frozenset({"password"})) > half


class TestKeys:
    """The keys of credentials."""

    def test_each_setting_that_distinguishes_tokens_changes_the_key(self, start: Start) -> None:
        client, server = start(issue())
        base: dict[str, Any] = {**SECRET, "scope": ["read"]}
        other = Client(client.provider, client_id="other", client_secret="s")
        elsewhere = Client(
            Provider(token_endpoint=f"{server.url}/elsewhere"),
            client_id="client",
            client_secret="s",
        )
        with other, elsewhere:
            keys = [
                client.credential(**base).key,
                client.credential(**base, subject="tenant-7").key,
                client.credential(**base, subject="tenant-8").key,
                client.credential(**{**base, "scope": ["read", "write"]}).key,
                client.credential(**{**base, "scope": ["write", "read"]}).key,
                client.credential(**SECRET).key,
                client.credential(**base, resource="https://api.example.com").key,
                client.credential(**base, extra={"audience": "api"}).key,
                client.credential(**base, extra={"audience": ["api"]}).key,
                client.credential(**base, extra={"audienc": "eapi"}).key,
                client.credential(**base, refresh={"audience": "api"}).key,
                client.credential(grant_type="refresh_token", scope=["read"]).key,
                other.credential(**base).key,
                elsewhere.credential(**base).key,
            ]
        assert len(set(keys)) == len(keys)
        assert all(len(key) == 64 for key in keys)

    def test_equal_settings_have_one_key(self, start: Start) -> None:
        client, _ = start(issue())
        one = client.credential(**SECRET, scope="read write", extra={"a": "1", "b": "2"})
        other = client.credential(**SECRET, scope=["read", "write"], extra={"b": "2", "a": "1"})
        assert one.key == other.key

    @pytest.mark.parametrize("name", ["code", "refresh_token"])
    def test_the_key_contains_no_secret(self, name: str, start: Start) -> None:
        client, _ = start(issue())
        given: dict[str, Any] = {"grant_type": "refresh_token", "refresh_token": "rt-seed"}
        if name == "code":
            given = {"grant_type": "authorization_code", "code": "rt-seed"}
            given["redirect_uri"] = "http://127.0.0.1/callback"
            given["code_verifier"] = "v" * 43
        assert "rt-seed" not in client.credential(**given).key

    def test_a_given_name_is_the_key(self, start: Start) -> None:
        client, _ = start(issue())
        assert client.credential(**SECRET, key="mine").key == "mine"
