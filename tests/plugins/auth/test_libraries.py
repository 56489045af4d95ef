"""What a token's use promises, whatever library sends the request."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
import requests

import grantway
from grantway.testing import FaultServer, faults
from grantway_plugins.auth import HttpxAuth, RequestsAuth, TokenSource
from tests.plugins.auth.libraries import LIBRARIES, Library, by_httpx, by_requests
from tests.plugins.auth.resource import REVOKED, Application, Resource


@pytest.fixture(params=LIBRARIES)
def send(request: pytest.FixtureRequest) -> Library:
    return LIBRARIES[request.param]


class Fixed:
    """A source of one token, whatever is said of it."""

    def __init__(self, token: grantway.Token) -> None:
        self._token = token
        self.invalidated: list[str] = []

    def token(self, timeout: float | None = None) -> grantway.Token:
        return self._token

    async def token_async(self, timeout: float | None = None) -> grantway.Token:  # noqa: ASYNC109
        return self._token

    def invalidate(self, token: grantway.Token) -> None:
        self.invalidated.append(token.access_token)


def bearer(header: str) -> str:
    return header.removeprefix("Bearer ")


def test_a_request_carries_the_token(
    send: Library, application: Application, resource: Resource
) -> None:
    credential = application.credential()
    assert send(credential, resource.url, method="GET").status == 200
    assert send(credential, resource.url, b"again").text == '{"sent": "again"}'
    assert resource.carried == [f"Bearer {credential.token().access_token}"] * 2
    assert len(application.tokens) == 1


@pytest.mark.parametrize("body", [None, b"bytes", "text"])
def test_a_revoked_token_is_replaced_and_the_request_sent_again(
    send: Library, application: Application, resource: Resource, body: str | bytes | None
) -> None:
    credential = application.credential()
    application.revoke(credential.token())
    answer = send(credential, resource.url, body)
    assert answer.status == 200
    assert [seen.body for seen in resource.seen] == [
        body.encode() if isinstance(body, str) else body or b""
    ] * 2
    assert [bearer(each) for each in resource.carried] == application.tokens
    assert len(application.tokens) == 2


def test_a_stream_is_not_sent_again_and_the_next_request_has_another_token(
    send: Library, application: Application, resource: Resource
) -> None:
    def parts() -> Iterator[bytes]:
        yield b"only "
        yield b"once"

    credential = application.credential()
    application.revoke(credential.token())
    refused = send(credential, resource.url, parts())
    assert (refused.status, refused.challenge) == (401, REVOKED)
    assert [seen.body for seen in resource.seen] == [b"only once"]
    accepted = send(credential, resource.url, parts())
    assert (accepted.status, accepted.text) == (200, '{"sent": "only once"}')
    assert len(application.tokens) == 2


@pytest.mark.parametrize(
    ("send", "start"),
    # httpx itself cannot send a file from its middle: it promises the whole length.
    [(by_requests, 0), (by_requests, 6), (by_httpx, 0)],
)
def test_a_file_is_sent_again_from_where_it_was(
    send: Library, application: Application, resource: Resource, start: int, tmp_path: Path
) -> None:
    path = tmp_path / "letter"
    path.write_bytes(b"0123456789" * 20_000)
    credential = application.credential()
    application.revoke(credential.token())
    with path.open("rb") as letter:
        letter.seek(start)
        assert send(credential, resource.url, letter).status == 200
    assert [seen.body for seen in resource.seen] == [path.read_bytes()[start:]] * 2


@pytest.mark.parametrize(
    ("status", "challenge"),
    [
        (401, 'Bearer error="insufficient_scope", scope="write"'),
        (401, 'Basic realm="a, b", Bearer realm="c", error="insufficient_user_authentication"'),
        (403, 'Bearer error="insufficient_scope"'),
        (403, 'Bearer error="invalid_token"'),
        (400, ""),
        (500, 'Bearer error="invalid_token"'),
    ],
)
def test_what_another_token_does_not_cure_comes_back_as_it_is(
    send: Library, application: Application, status: int, challenge: str
) -> None:
    credential = application.credential()
    headers = {"WWW-Authenticate": challenge}
    with Resource(application.active, {"/x": (status, headers)}) as resource:
        answer = send(credential, f"{resource.url}/x")
        assert (answer.status, answer.challenge) == (status, challenge)
        assert len(resource.seen) == len(application.tokens) == 1


def test_a_resource_that_refuses_every_token_costs_one_more_token_and_not_one_a_request(
    send: Library, application: Application
) -> None:
    credential = application.credential()
    with Resource(lambda token: False) as resource:
        for _ in range(5):
            answer = send(credential, resource.url)
            assert (answer.status, answer.challenge) == (401, REVOKED)
        assert len(resource.seen) == 6
    assert len(application.tokens) == 2
    # Elsewhere the same token is asked about as ever.
    application.revoke(credential.token())
    with Resource(application.active) as resource:
        assert send(credential, resource.url).status == 200


def test_where_no_other_token_can_be_had_the_caller_is_told(
    send: Library, application: Application, resource: Resource
) -> None:
    credential = application.client.credential(
        grant_type="refresh_token", refresh_token="spent", scope=["read"]
    )
    token = application.credential().token()
    credential.accept(token)
    application.revoke(token)
    with pytest.raises(grantway.LoginNeededError):
        send(credential, resource.url)
    assert resource.carried == [f"Bearer {token.access_token}"]


@pytest.mark.parametrize("status", [302, 307])
def test_a_redirect_to_another_origin_carries_no_token(
    send: Library, application: Application, resource: Resource, status: int
) -> None:
    away = {"/away": (status, {"Location": f"{resource.url}/here"})}
    with Resource(application.active, away) as elsewhere:
        answer = send(application.credential(), f"{elsewhere.url}/away", b"x")
        assert elsewhere.carried == [f"Bearer {application.tokens[0]}"]
    # Refused for want of a token, which is no reason to send one.
    assert (answer.status, resource.carried) == (401, [""])
    assert len(application.tokens) == 1


def test_a_redirect_within_the_origin_carries_it_and_a_refused_one_is_replaced(
    send: Library, application: Application
) -> None:
    credential = application.credential()
    application.revoke(credential.token())
    with Resource(application.active, {"/old": (307, {"Location": "/new"})}) as resource:
        assert send(credential, f"{resource.url}/old", b"x").text == '{"sent": "x"}'
        assert [seen.path for seen in resource.seen] == ["/old", "/new", "/new"]
        first, second = application.tokens
        assert [bearer(each) for each in resource.carried] == [first, first, second]


@pytest.mark.parametrize("host", ["same", "other"])
def test_a_header_of_another_name_is_carried_over_no_redirect(
    send: Library, application: Application, host: str
) -> None:
    credential = application.credential()
    form = ("x-token", "Token ")
    with Resource(application.active, header=form) as goal:
        target = "/new" if host == "same" else f"{goal.url}/new"
        moved = {"/old": (307, {"Location": target})}
        with Resource(application.active, moved, header=form) as resource:
            options = {"header": "X-Token", "scheme": "Token"}
            assert send(credential, resource.url, **options).status == 200
            assert send(credential, f"{resource.url}/old", **options).status == 401
            carried = [seen.headers.get("x-token", "") for seen in [*resource.seen, *goal.seen]]
    assert carried == [f"Token {credential.token().access_token}"] * 2 + [""]


def test_the_header_and_the_scheme_can_be_chosen(send: Library, application: Application) -> None:
    credential = application.credential()
    application.revoke(credential.token())
    with Resource(application.active, header=("x-api-key", "")) as resource:
        answer = send(credential, resource.url, b"x", header="X-Api-Key", scheme="")
        assert answer.status == 200
        assert [seen.headers["x-api-key"] for seen in resource.seen] == application.tokens
        assert resource.carried == ["", ""]


def test_the_token_goes_only_where_it_is_meant_for(
    send: Library, application: Application, resource: Resource
) -> None:
    credential = application.credential()
    with pytest.raises(grantway.ConfigurationError, match=r"meant for https://api\.example\.com,"):
        send(credential, resource.url, origins=["https://api.example.com"])
    with pytest.raises(
        grantway.InsecureEndpointError, match=r"http://api\.example\.com would send"
    ):
        send(credential, "http://api.example.com/things")
    assert (resource.seen, application.tokens) == ([], [])
    assert send(credential, resource.url, origins=[resource.url]).status == 200


@pytest.mark.parametrize("kind", ["DPoP", "mac", "N_A", "pop", "whatever"])
def test_a_token_that_is_no_bearer_token_is_not_sent_as_one(
    send: Library, resource: Resource, kind: str
) -> None:
    source: TokenSource = Fixed(grantway.Token("very-secret", token_type=kind))
    with pytest.raises(grantway.ConfigurationError, match=kind) as caught:
        send(source, resource.url)
    assert resource.seen == []
    assert "very-secret" not in f"{caught.value!r} {caught.value}"


@pytest.mark.parametrize("kind", ["Bearer", "bearer", "BEARER"])
def test_the_type_is_compared_without_case(
    send: Library, application: Application, resource: Resource, kind: str
) -> None:
    token = replace(application.credential().token(), token_type=kind)
    assert send(Fixed(token), resource.url).status == 200


def test_a_token_that_no_header_can_carry_stays_out_of_the_error(
    send: Library, resource: Resource
) -> None:
    with pytest.raises(grantway.ConfigurationError, match="access_token") as caught:
        send(Fixed(grantway.Token("secret\r\nX-Evil: 1")), resource.url)
    assert resource.seen == []
    assert "secret" not in f"{caught.value!r} {caught.value}"


def test_an_expired_token_is_never_sent(
    send: Library, application: Application, resource: Resource
) -> None:
    credential = application.credential()
    token = credential.token()
    credential.accept(replace(token, expires_at=time.time() - 1))
    assert send(credential, resource.url).status == 200
    assert [bearer(each) for each in resource.carried] == application.tokens[1:]


def test_a_server_that_breaks_off_after_the_refusal_is_an_error_of_the_library(
    send: Library, application: Application
) -> None:
    refused = faults.answer(401)
    credential = application.credential()
    with (
        FaultServer(refused, faults.close_after_request) as broken,
        pytest.raises((httpx.TransportError, requests.ConnectionError)),
    ):
        send(credential, broken.url, b"x")
    assert len(application.tokens) == 2


def test_nothing_prints_a_token(application: Application) -> None:
    credential = application.credential()
    token = credential.token().access_token
    assert token not in f"{RequestsAuth(credential)!r} {HttpxAuth(credential)!r}"
