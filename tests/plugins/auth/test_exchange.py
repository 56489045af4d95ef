"""Tests of retries without a network: a resource cannot make a client send without end."""

from __future__ import annotations

import pytest
from hypothesis import given, settings, strategies as st
from joserfc.jwk import ECKey

import grantway
from grantway_plugins.auth import Answer, Bearer, StepUpRequiredError
from grantway_plugins.auth._exchange import Exchange
from grantway_plugins.auth._step_up import StepUpChallenge, step_up_tokens
from grantway_plugins.client_auth import DPoP

HOME, AWAY = "https://api.example/a", "https://other.example/a"
CHALLENGES = [
    "",
    'DPoP error="use_dpop_nonce"',
    'DPoP error="invalid_token"',
    'Bearer error="invalid_token"',
    'DPoP error="insufficient_scope", scope="write"',
    'Bearer error="insufficient_user_authentication"',
]


class Source:
    """A source that returns another token each time.

    Args:
        kind: The type of the tokens.
    """

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self.count = 0

    def token(self, timeout: float | None = None) -> grantway.Token:
        self.count += 1
        return grantway.Token(f"token-{id(self)}-{self.count}", token_type=self._kind)

    async def token_async(self, timeout: float | None = None) -> grantway.Token:  # noqa: ASYNC109
        return self.token()

    def invalidate(self, token: grantway.Token) -> None:
        """Do nothing, because each token is returned only once."""


def exchange(source: Source) -> Exchange:
    def on_step_up(challenge: StepUpChallenge) -> grantway.Token:
        return source.token()

    return Exchange(
        "GET",
        HOME,
        source=source,
        bearer=Bearer(),
        dpop=DPoP(grantway.NoAuth("c"), KEY),
        step_up=step_up_tokens(source, on_step_up, None),
    )


KEY = ECKey.generate_key("P-256")
#: Status, challenge, nonce, and the URL of the request if a redirect has removed the token.
ANSWERS = st.lists(
    st.tuples(
        st.sampled_from([200, 401, 401, 401, 403]),
        st.sampled_from(CHALLENGES),
        st.sampled_from(["", "n1", "n2"]),
        st.sampled_from([None, None, None, HOME, AWAY]),
    ),
    min_size=20,
    max_size=20,
)


@settings(max_examples=40, deadline=None)
@given(ANSWERS, st.sampled_from(["Bearer", "DPoP"]))
def test_a_resource_can_cause_only_a_few_retries(
    answers: list[tuple[int, str, str, str | None]], kind: str
) -> None:
    source = Source(kind)
    sending = exchange(source)
    sending.first(lambda: True)
    sent = 1
    for status, challenge, nonce, redirect in answers:
        answer = Answer(status, challenge, nonce, "GET", redirect or HOME, redirect is None)
        try:
            headers = sending.next(answer, None, lambda: True)
        except StepUpRequiredError:
            break
        if headers is None:
            break
        assert redirect != AWAY  # the target of a redirect to another origin gets nothing
        sent += 1
    # Another token, a nonce, a redirect, a token that the source has by now, and the callback's.
    assert sent <= 6
    assert source.count <= 6


@pytest.mark.parametrize("challenge", CHALLENGES[:3])
def test_a_body_that_cannot_be_sent_again_is_never_sent_again(challenge: str) -> None:
    sending = exchange(Source("DPoP"))
    sending.first(lambda: True)
    answer = Answer(401, challenge, "n1", "POST", HOME)
    assert sending.next(answer, None, lambda: False) is None
