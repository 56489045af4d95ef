"""Promises that hold for every HTTP library."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import aiohttp
import httpx
import httpx2
import pytest

import grantway
from grantway.testing import FaultServer, faults
from grantway_plugins.auth import TokenAuth, TokenSource
from tests.plugins.auth.libraries import (
    LIBRARIES,
    Library,
    by_aiohttp,
    by_httpx,
    by_httpx2,
    by_requests,
)
from tests.plugins.auth.resource import REVOKED, Application, Resource


@pytest.fixture(params=LIBRARIES)
def send(request: pytest.FixtureRequest) -> Library:
    return LIBRARIES[request.param]


class Fixed:
    """A token source that always returns the same token."""

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


def test_a_request_sends_the_token(
    send: Library, application: Application, resource: Resource
) -> None:
    credential = application.credential()
    assert send(credential, resource.url, method="GET").status == 200
    assert send(credential, resource.url, b"again").text == '{"sent": "again"}'
    assert resource.authorizations == [f"Bearer {credential.token().access_token}"] * 2
    assert len(application.tokens) == 1


@pytest.mark.parametrize("body", [None, b"bytes", "text"])
def test_retries_with_a_new_token_after_a_revocation(
    send: Library, application: Application, resource: Resource, body: str | bytes | None
) -> None:
    credential = application.credential()
    application.revoke(credential.token())
    response = send(credential, resource.url, body)
    assert response.status == 200
    assert [seen.body for seen in resource.seen] == [
        body.encode() if isinstance(body, str) else body or b""
    ] * 2
    assert [bearer(each) for each in resource.authorizations] == application.tokens
    assert len(application.tokens) == 2


def test_a_stream_is_not_sent_again_but_the_next_request_has_a_new_token(
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
    # httpx cannot send part of a file: it announces the length of the whole file.
    [
        (by_requests, 0),
        (by_requests, 6),
        (by_httpx, 0),
        (by_httpx2, 0),
        (by_httpx2, 6),
        (by_aiohttp, 0),
        (by_aiohttp, 6),
    ],
)
def test_sends_a_file_again_from_its_start_position(
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
        (401, 'Bearer error="invalid_request"'),
        (401, 'Basic realm="a, b", Bearer realm="c", error="invalid_request"'),
        (403, ""),
        (403, 'Basic error="insufficient_scope"'),
        (400, 'Bearer error="insufficient_scope"'),
        (403, 'Bearer error="invalid_token"'),
        (400, ""),
        (500, 'Bearer error="invalid_token"'),
    ],
)
def test_returns_responses_that_another_token_would_not_change(
    send: Library, application: Application, status: int, challenge: str
) -> None:
    credential = application.credential()
    headers = {"WWW-Authenticate": challenge}
    with Resource(application.active, {"/x": (status, headers)}) as resource:
        response = send(credential, f"{resource.url}/x")
        assert (response.status, response.challenge) == (status, challenge)
        assert len(resource.seen) == len(application.tokens) == 1


def test_a_resource_that_rejects_every_token_causes_only_one_refresh(
    send: Library, application: Application
) -> None:
    credential = application.credential()
    with Resource(lambda token: False) as resource:
        for _ in range(5):
            response = send(credential, resource.url)
            assert (response.status, response.challenge) == (401, REVOKED)
        assert len(resource.seen) == 6
    assert len(application.tokens) == 2
    # Another origin is not affected.
    application.revoke(credential.token())
    with Resource(application.active) as resource:
        assert send(credential, resource.url).status == 200


def test_recovers_at_once_if_a_replacement_was_revoked_as_well(
    send: Library, application: Application
) -> None:
    credential = application.credential()
    valid = 1  # the number of the only valid token

    def active(token: str) -> bool:
        return application.tokens.index(token) + 1 == valid

    with Resource(active) as resource:
        statuses = [send(credential, resource.url).status]
        valid = 3
        statuses += [send(credential, resource.url).status for _ in range(3)]
    assert statuses == [200, 401, 200, 200]
    assert len(application.tokens) == 3


def test_raises_if_no_other_token_is_available(
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
    assert resource.authorizations == [f"Bearer {token.access_token}"]


@pytest.mark.parametrize("status", [302, 307])
def test_a_redirect_to_another_origin_does_not_send_the_token(
    send: Library, application: Application, resource: Resource, status: int
) -> None:
    away = {"/away": (status, {"Location": f"{resource.url}/here"})}
    with Resource(application.active, away) as elsewhere:
        response = send(application.credential(), f"{elsewhere.url}/away", b"x")
        assert elsewhere.authorizations == [f"Bearer {application.tokens[0]}"]
    # The other origin responds with 401, but must not receive a token.
    assert (response.status, resource.authorizations) == (401, [""])
    assert len(application.tokens) == 1


def test_a_redirect_within_the_origin_sends_the_token_and_replaces_a_rejected_one(
    send: Library, application: Application
) -> None:
    credential = application.credential()
    application.revoke(credential.token())
    with Resource(application.active, {"/old": (307, {"Location": "/new"})}) as resource:
        assert send(credential, f"{resource.url}/old", b"x").text == '{"sent": "x"}'
        assert [seen.path for seen in resource.seen] == ["/old", "/new", "/new"]
        first, second = application.tokens
        assert [bearer(each) for each in resource.authorizations] == [first, first, second]


@pytest.mark.parametrize("host", ["same", "other"])
def test_a_redirect_drops_a_header_with_another_name(
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
            # aiohttp sends each redirect through the middleware, which adds the token again.
            kept = send is by_aiohttp and host == "same"
            redirected = send(credential, f"{resource.url}/old", **options)
            tokens = [seen.headers.get("x-token", "") for seen in [*resource.seen, *goal.seen]]
    token = f"Token {credential.token().access_token}"
    assert redirected.status == (200 if kept else 401)
    assert tokens == [token, token, token if kept else ""]


def test_the_header_and_the_scheme_can_be_chosen(send: Library, application: Application) -> None:
    credential = application.credential()
    application.revoke(credential.token())
    with Resource(application.active, header=("x-api-key", "")) as resource:
        response = send(credential, resource.url, b"x", header="X-Api-Key", scheme="")
        assert response.status == 200
        assert [seen.headers["x-api-key"] for seen in resource.seen] == application.tokens
        assert resource.authorizations == ["", ""]


def test_sends_the_token_only_to_the_allowed_origins(
    send: Library, application: Application, resource: Resource
) -> None:
    credential = application.credential()
    elsewhere = ["https://api.example.com"]
    if send is by_aiohttp:  # the request may be the redirect of another one
        assert send(credential, resource.url, origins=elsewhere).status == 401
        assert resource.authorizations == [""]
    else:
        with pytest.raises(grantway.ConfigurationError, match=r"is for https://api\.example\.com,"):
            send(credential, resource.url, origins=elsewhere)
        assert resource.seen == []
    with pytest.raises(
        grantway.InsecureEndpointError, match=r"http://api\.example\.com would send"
    ):
        send(credential, "http://api.example.com/things")
    assert application.tokens == []
    assert send(credential, resource.url, origins=[resource.url]).status == 200


@pytest.mark.parametrize("kind", ["DPoP", "mac", "N_A", "pop", "whatever"])
def test_does_not_send_another_token_type_as_bearer(
    send: Library, resource: Resource, kind: str
) -> None:
    source: TokenSource = Fixed(grantway.Token("very-secret", token_type=kind))
    with pytest.raises(grantway.ConfigurationError, match=kind) as caught:
        send(source, resource.url)
    assert resource.seen == []
    assert "very-secret" not in f"{caught.value!r} {caught.value}"


@pytest.mark.parametrize("kind", ["Bearer", "bearer", "BEARER"])
def test_compares_the_token_type_case_insensitively(
    send: Library, application: Application, resource: Resource, kind: str
) -> None:
    token = replace(application.credential().token(), token_type=kind)
    assert send(Fixed(token), resource.url).status == 200


def test_the_error_about_an_invalid_token_does_not_contain_it(
    send: Library, resource: Resource
) -> None:
    with pytest.raises(grantway.ConfigurationError, match="access_token") as caught:
        send(Fixed(grantway.Token("secret\r\nX-Evil: 1")), resource.url)
    assert resource.seen == []
    assert "secret" not in f"{caught.value!r} {caught.value}"


def test_never_sends_an_expired_token(
    send: Library, application: Application, resource: Resource
) -> None:
    credential = application.credential()
    token = credential.token()
    credential.accept(replace(token, expires_at=time.time() - 1))
    assert send(credential, resource.url).status == 200
    assert [bearer(each) for each in resource.authorizations] == application.tokens[1:]


def test_a_connection_closed_after_the_401_raises_the_librarys_error(
    send: Library, application: Application
) -> None:
    refused = faults.respond(401)
    credential = application.credential()
    with (
        FaultServer(refused, faults.close_after_request) as broken,
        pytest.raises(
            (httpx.TransportError, httpx2.TransportError, OSError, aiohttp.ClientConnectionError)
        ),
    ):
        send(credential, broken.url, b"x")
    assert len(application.tokens) == 2


def test_the_repr_hides_the_token(application: Application) -> None:
    credential = application.credential()
    token = credential.token().access_token
    assert token not in repr(TokenAuth(credential))
