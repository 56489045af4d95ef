"""The repr, pickling and expiry of tokens."""

from __future__ import annotations

import copy
import pickle
import time

import pytest

from grantway import Token

FULL = Token(
    access_token="at-secret",
    expires_in=60,
    expires_at=1_700_000_060.0,
    refresh_token="rt-secret",
    id_token="id-secret",
    scope=("a", "b"),
    extra={"session": "extra-secret"},
)


def test_the_repr_hides_secrets() -> None:
    for shown in (repr(FULL), str(FULL), f"{FULL}", f"{[FULL]}", "%s" % FULL):  # noqa: UP031
        assert "secret" not in shown
    assert repr(FULL) == (
        "Token(access_token=***, token_type='Bearer', expires_in=60, refresh_token=***, "
        "id_token=***, scope='a b', extra=<session>)"
    )
    assert repr(Token("x")) == (
        "Token(access_token=***, token_type='Bearer', expires_in=None, scope=None)"
    )


@pytest.mark.parametrize("token", [FULL, Token("x")])
def test_a_token_can_be_copied_and_pickled(token: Token) -> None:
    for twin in (pickle.loads(pickle.dumps(token)), copy.copy(token), copy.deepcopy(token)):
        assert twin == token
        assert (twin.access_token, dict(twin.extra)) == (token.access_token, dict(token.extra))


def test_a_token_is_immutable() -> None:
    with pytest.raises(AttributeError):
        FULL.access_token = "other"  # type: ignore[misc]


def test_expired_includes_the_leeway() -> None:
    now = time.time()
    assert Token("x", expires_at=now - 1).expired()
    assert not Token("x", expires_at=now + 100).expired()
    assert Token("x", expires_at=now + 100).expired(leeway=101)
    assert not Token("x").expired(leeway=10**9)
