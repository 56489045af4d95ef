"""No two tokens share a key, and one token has one."""

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

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)
FACTS = st.dictionaries(st.text(), VALUES)


def kinds(value: Any) -> Any:
    """Equal for what is the same value of the same type; True is not 1."""
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
def test_where_one_value_ends_and_the_next_begins_counts(names: list[str], data: Any) -> None:
    """The same letters, cut elsewhere."""
    joined = "".join(names)
    cut = data.draw(st.integers(0, len(joined)))
    other = [joined[:cut], joined[cut:]]
    same = fingerprint({"values": names}) == fingerprint({"values": other})
    assert same == (names == other)


@given(FACTS)
def test_the_order_of_names_is_nothing(facts: dict[str, Any]) -> None:
    assert fingerprint(dict(reversed(facts.items()))) == fingerprint(facts)


def test_the_order_of_a_list_counts_and_that_of_a_set_does_not() -> None:
    assert fingerprint({"scope": ["a", "b"]}) != fingerprint({"scope": ["b", "a"]})
    assert fingerprint({"s": {"x", "y", 1}}) == fingerprint({"s": {1, "y", "x"}})


def test_a_short_secret_is_stretched() -> None:
    secret = frozenset({"password"})
    facts = {"user": "ann", "password": "summer"}
    plain, stretched = fingerprint(facts), fingerprint(facts, secret)
    assert plain != stretched
    assert stretched != fingerprint({**facts, "password": "winter"}, secret)
    assert stretched == fingerprint(dict(facts), secret)
    # Within a list, and deeper, too.
    nested = {"params": {"password": ["summer"]}}
    assert fingerprint(nested) != fingerprint(nested, secret)


def test_trying_a_password_costs_what_a_hundred_thousand_hashes_cost() -> None:
    def took(secret: frozenset[str]) -> float:
        begun = time.process_time()
        fingerprint({"password": "summer"}, secret)
        return time.process_time() - begun

    begun = time.process_time()
    hashlib.pbkdf2_hmac("sha256", b"summer", b"salt", 50_000)
    half = time.process_time() - begun
    assert took(frozenset({"password"})) > half


class TestKeys:
    """The keys of credentials."""

    def test_everything_that_makes_another_token_makes_another_key(self, start: Start) -> None:
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

    def test_one_token_has_one_key(self, start: Start) -> None:
        client, _ = start(issue())
        one = client.credential(**SECRET, scope="read write", extra={"a": "1", "b": "2"})
        other = client.credential(**SECRET, scope=["read", "write"], extra={"b": "2", "a": "1"})
        assert one.key == other.key

    @pytest.mark.parametrize("name", ["code", "refresh_token"])
    def test_the_key_holds_no_secret(self, name: str, start: Start) -> None:
        client, _ = start(issue())
        given: dict[str, Any] = {"grant_type": "refresh_token", "refresh_token": "rt-seed"}
        if name == "code":
            given = {"grant_type": "authorization_code", "code": "rt-seed"}
            given["redirect_uri"] = "http://127.0.0.1/callback"
            given["code_verifier"] = "v" * 43
        assert "rt-seed" not in client.credential(**given).key

    def test_a_name_of_ones_own_is_the_key(self, start: Start) -> None:
        client, _ = start(issue())
        assert client.credential(**SECRET, key="mine").key == "mine"
