"""Tests of presenting a token: headers, origins, challenges and retries."""

from __future__ import annotations

import io
import os

import pytest

import grantway
from grantway_plugins.auth import Answer, Bearer, Presentation, Retry, StepUpChallenge
from grantway_plugins.auth._body import Body
from grantway_plugins.auth._origin import origin_of

HERE = "https://api.example.com/things?a=1#top"
INVALID = 'Bearer error="invalid_token"'


def token(text: str, kind: str = "Bearer") -> grantway.Token:
    return grantway.Token(text, token_type=kind)


@pytest.mark.parametrize(
    ("bearer", "expected"),
    [
        (Bearer(), ("Authorization", "Bearer abc")),
        (Bearer(scheme="token"), ("Authorization", "token abc")),
        (Bearer(header="X-Api-Key", scheme=""), ("X-Api-Key", "abc")),
    ],
)
def test_uses_the_given_header_and_scheme(bearer: Bearer, expected: tuple[str, str]) -> None:
    assert bearer.present(HERE).headers(token("abc", "bearer"), "GET", HERE) == dict([expected])
    assert "abc" not in repr(bearer)


def test_a_named_scheme_accepts_other_token_types_except_those_that_need_a_proof() -> None:
    assert Bearer(scheme="Bearer").value(token("abc", "bot")) == "Bearer abc"
    with pytest.raises(grantway.ConfigurationError, match=r"dpop=DPoP\(\.\.\.\)") as caught:
        Bearer(scheme="DPoP").value(token("abc", "DPoP"))
    assert list(caught.value.errors) == ["token_type"]


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"header": ""}, "header"),
        ({"header": "X Y"}, "header"),
        ({"header": "X:"}, "header"),
        ({"scheme": "Bearer "}, "scheme"),
        ({"scheme": "a\r\nb"}, "scheme"),
        ({"origins": "https://api.example.com"}, "origins"),
        ({"origins": ["api.example.com"]}, "origins"),
        ({"origins": ["https:///path"]}, "origins"),
        ({"origins": ["https://api.example.com:port"]}, "origins"),
    ],
)
def test_rejects_invalid_arguments_by_name(options: dict[str, str], field: str) -> None:
    with pytest.raises(grantway.ConfigurationError) as caught:
        Bearer(**options)  # type: ignore[arg-type]
    assert list(caught.value.errors) == [field]
    assert str(caught.value).startswith(f"{field}: ")


def test_rejects_plain_http_to_another_machine() -> None:
    with pytest.raises(grantway.InsecureEndpointError, match="origins: http://api"):
        Bearer(origins=["http://api.example.com"])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://API.example.com", "https://api.example.com:443/x"),
        ("http://localhost:80", "http://localhost"),
        ("https://[::1]:8443/a", "https://[::1]:8443/b"),
        ("https://bücher.example", "https://xn--bcher-kva.example"),
        ("https://user:secret@api.example.com", "https://api.example.com"),
        ("https://api.example.com", "wss://api.example.com/socket"),
    ],
)
def test_equivalent_urls_have_the_same_origin(one: str, other: str) -> None:
    bearer = Bearer(origins=[one])
    assert bearer.present(other).origin == origin_of(one, "url")
    assert "secret" not in str(origin_of(one, "url"))


@pytest.mark.parametrize(
    "url",
    [
        "https://api.example.com.",
        "https://api.example.com.evil.example",
        "https://api.example.com:444",
        "https://api.example.com@evil.example",
        "https://evil.example/https://api.example.com",
        "https://evil.example\\@api.example.com",
        "https://sub.api.example.com",
        "//api.example.com",
        "ftp://api.example.com",
        "",
    ],
)
def test_distinguishes_similar_looking_origins(url: str) -> None:
    with pytest.raises(grantway.ConfigurationError, match=r"^url: "):
        Bearer(origins=["https://api.example.com"]).present(url)


def answer(status: int, challenges: str = "", *, url: str = HERE) -> Answer:
    return Answer(status, challenges, "", "GET", url)


def sent(bearer: Bearer, text: str, url: str = HERE) -> Presentation:
    """Return the presentation of a token after its request was sent."""
    sending = bearer.present(url)
    sending.headers(token(text), "GET", url)
    return sending


@pytest.mark.parametrize("challenge", ["", INVALID, 'Basic realm="login"', "Bearer"])
def test_a_401_asks_for_another_token_only_once(challenge: str) -> None:
    sending = sent(Bearer(), f"first-{len(challenge)}")
    assert sending.received(answer(401, challenge)) is Retry.OTHER_TOKEN
    sending.headers(token(f"second-{len(challenge)}"), "GET", HERE)
    assert sending.received(answer(401, challenge)) is None


@pytest.mark.parametrize(
    ("status", "challenge"),
    [
        (200, INVALID),
        (403, INVALID),
        (401, 'Bearer error="invalid_request"'),
        (401, 'Basic realm="x", Bearer error="invalid_token", Bearer error="other"'),
        (401, 'Token error="expired"'),
    ],
)
def test_other_responses_are_final(status: int, challenge: str) -> None:
    assert sent(Bearer(scheme="Token"), "final").received(answer(status, challenge)) is None


def test_errors_of_other_schemes_are_ignored() -> None:
    challenge = f'Basic error="no", Negotiate abc==, {INVALID}, DPoP error="use_dpop_nonce"'
    assert sent(Bearer(), "mixed").received(answer(401, challenge)) is Retry.OTHER_TOKEN


def test_a_rejected_replacement_is_not_replaced_again_for_that_origin() -> None:
    sending = sent(Bearer(), "old")
    assert sending.received(answer(401, INVALID)) is Retry.OTHER_TOKEN
    sending.headers(token("new"), "GET", HERE)
    sending.received(answer(401, INVALID))
    for url, text, expected in [
        (HERE, "new", None),
        (HERE, "newer", Retry.OTHER_TOKEN),
        ("https://elsewhere.example.com", "new", Retry.OTHER_TOKEN),
    ]:
        later = sent(Bearer(), text, url)
        assert later.received(answer(401, INVALID, url=url)) is expected


def rejected(*tokens: str) -> list[Retry | StepUpChallenge | None]:
    """Present tokens in one request, which the origin rejects, and return the reactions."""
    sending, reactions = Bearer().present(HERE), []
    for text in tokens:
        sending.headers(token(text), "GET", HERE)
        reactions.append(sending.received(answer(401, INVALID)))
    return reactions


def test_replacements_of_an_accepted_token_may_have_been_revoked_as_well() -> None:
    """But an origin that rejects all of them causes no endless refreshes."""
    sent(Bearer(), "good-1").received(answer(200))
    for number in (1, 2, 3):
        replaced = rejected(f"good-{number}", f"good-{number + 1}")
        assert replaced == [Retry.OTHER_TOKEN, None]
        sent(Bearer(), f"good-{number + 1}").received(answer(200))  # such as at a public URL
    assert rejected("good-4") == [None]


def test_a_request_with_an_old_token_does_not_spoil_an_accepted_replacement() -> None:
    sent(Bearer(), "current").received(answer(200))
    assert rejected("old", "current") == [Retry.OTHER_TOKEN, None]
    assert rejected("current", "next") == [Retry.OTHER_TOKEN, None]
    assert rejected("other-old", "next") == [Retry.OTHER_TOKEN, None]
    assert rejected("next") == [Retry.OTHER_TOKEN]


def test_an_accepted_replacement_can_be_replaced_when_it_is_rejected_later() -> None:
    sending = sent(Bearer(), "one")
    assert sending.received(answer(401, INVALID)) is Retry.OTHER_TOKEN
    sending.headers(token("two"), "GET", HERE)
    assert sending.received(answer(200)) is None
    assert sent(Bearer(), "two").received(answer(401, INVALID)) is Retry.OTHER_TOKEN


def test_rewinds_a_body_to_its_start_position() -> None:
    file = io.BytesIO(b"0123456789")
    file.seek(4)
    body = Body(file)
    assert file.read() == b"456789"
    assert body.rewind()
    assert file.read() == b"456789"
    file.close()
    assert not body.rewind()


@pytest.mark.parametrize("body", [None, b"x", bytearray(b"x"), "x"])
def test_bodies_in_memory_can_be_sent_again(body: object) -> None:
    assert Body(body).rewind()


def test_a_stream_cannot_be_sent_again() -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as pipe, os.fdopen(writing, "wb"):
        assert not Body(pipe).rewind()
    assert not Body(iter([b"x"])).rewind()
    assert not Body([b"x"]).rewind()
