"""Requests with DPoP tokens: a proof for each, against a server that verifies them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import aiohttp
import pytest
from joserfc.jwk import ECKey

import grantway
from grantway_plugins.auth import TokenAuth
from grantway_plugins.client_auth import DPoP
from tests.plugins.auth.dpop_server import DPoPServer
from tests.plugins.auth.libraries import LIBRARIES, Library, by_aiohttp
from tests.plugins.auth.resource import Resource

KEY = ECKey.generate_key("P-256")


@pytest.fixture(params=LIBRARIES)
def send(request: pytest.FixtureRequest) -> Library:
    return LIBRARIES[request.param]


@pytest.fixture
def server() -> Iterator[DPoPServer]:
    with DPoPServer() as server:
        yield server


def test_each_request_has_its_own_proof(send: Library, server: DPoPServer) -> None:
    credential = server.credential()
    url = f"{server.url}/things?a=1#top"
    assert send(credential, url, method="GET").status == 200
    assert send(credential, url, b"x", method="PUT").status == 200
    assert [claims["htm"] for claims in server.claims] == ["GET", "PUT"]
    assert {claims["htu"] for claims in server.claims} == {f"{server.url}/things"}
    assert len({claims["jti"] for claims in server.claims}) == 2
    assert len(server.keys) == 1


def test_a_websocket_is_opened_with_a_proof(server: DPoPServer) -> None:
    async def connect() -> None:
        auth = TokenAuth(server.credential(), origins=[server.url])
        url = f"{server.url.replace('http', 'ws')}/socket"
        async with aiohttp.ClientSession(middlewares=[auth]) as session:
            # The server accepts the proof, but opens no WebSocket.
            with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
                await session.ws_connect(url)
            assert caught.value.status == 200

    asyncio.run(connect())
    assert server.claims[0]["htu"] == f"{server.url}/socket"


def test_the_key_can_be_given(send: Library, server: DPoPServer) -> None:
    class Source:
        """A token source that does not know the key."""

        def __init__(self) -> None:
            self._credential = server.credential(dpop)
            self.token = self._credential.token
            self.token_async = self._credential.token_async
            self.invalidate = self._credential.invalidate

    dpop = DPoP(grantway.ClientSecretPost("app", "app-secret"), KEY)
    source = Source()
    with pytest.raises(grantway.ConfigurationError, match=r"dpop=DPoP\(\.\.\.\)"):
        send(source, server.url)
    assert server.paths == []
    assert send(source, server.url, dpop=dpop).status == 200


def test_sends_the_nonce_that_the_resource_requires(send: Library, server: DPoPServer) -> None:
    server.nonce, server.rotates = "n1", True
    credential = server.credential()
    for _ in range(3):
        assert send(credential, server.url, b"x").status == 200
    first, second, *later = [claims.get("nonce") for claims in server.claims]
    assert (first, second) == (None, "n1")
    assert len(set(later)) == len(later) == 2  # each response brought the next nonce
    assert [seen.body for seen in server.seen if seen.path != "/token"] == [b"x"] * 4
    assert len(server.keys) == 1


@pytest.mark.parametrize("nonce", ["", "other"])
def test_a_nonce_that_does_not_help_is_retried_once(send: Library, nonce: str) -> None:
    challenge = {"WWW-Authenticate": 'DPoP error="use_dpop_nonce"', "DPoP-Nonce": nonce}
    headers = {name: value for name, value in challenge.items() if value}
    with DPoPServer({"/x": (401, headers)}) as server:
        response = send(server.credential(), f"{server.url}/x")
        assert (response.status, response.challenge) == (401, challenge["WWW-Authenticate"])
        assert server.paths == ["/x*"] * (2 if nonce else 1)
        assert len(server.keys) == 1


def test_keeps_the_nonces_of_origins_apart(send: Library, server: DPoPServer) -> None:
    credential = server.credential()
    with DPoPServer() as other:
        other.keys = server.keys
        other.nonce = "other"
        for each in (other, server, other):
            assert send(credential, each.url).status == 200
        assert [claims.get("nonce") for claims in other.claims] == [None, "other", "other"]
        assert [claims.get("nonce") for claims in server.claims] == [None]


def test_replaces_a_rejected_token(send: Library, server: DPoPServer) -> None:
    credential = server.credential()
    server.keys[credential.token().access_token] = "revoked"
    assert send(credential, server.url, b"x").text == '{"sent": "x"}'
    assert [seen.body for seen in server.seen if seen.path == "/"] == [b"x", b"x"]
    assert len(server.keys) == 2


def test_a_stream_is_not_sent_again_but_the_next_request_has_the_nonce(
    send: Library, server: DPoPServer
) -> None:
    server.nonce = "n1"
    credential = server.credential()
    assert send(credential, server.url, iter([b"only ", b"once"])).status == 401
    assert send(credential, server.url, iter([b"only ", b"once"])).status == 200
    assert [claims.get("nonce") for claims in server.claims] == [None, "n1"]


def test_a_redirect_within_the_origin_gets_its_own_proof(send: Library) -> None:
    with DPoPServer({"/old": (307, {"Location": "/new?x=1"})}) as server:
        credential = server.credential()
        assert send(credential, f"{server.url}/old", b"x").text == '{"sent": "x"}'
        # aiohttp sends each redirect through the middleware.
        attempts = ["/new?x=1*"] if send is by_aiohttp else ["/new?x=1", "/new?x=1*"]
        assert server.paths == ["/old*", *attempts]
        assert server.claims[-1]["htu"] == f"{server.url}/new"
        assert len(server.keys) == 1


@pytest.mark.parametrize("status", [302, 307])
def test_a_redirect_to_another_origin_gets_neither_token_nor_proof(
    send: Library, status: int
) -> None:
    with (
        Resource(lambda token: False) as elsewhere,
        DPoPServer({"/away": (status, {"Location": f"{elsewhere.url}/here"})}) as server,
    ):
        assert send(server.credential(), f"{server.url}/away", b"x").status == 401
        (seen,) = elsewhere.seen
    assert not {"authorization", "dpop"} & seen.headers.keys()
    assert len(server.keys) == 1


def test_threads_with_a_rejected_token_cause_one_refresh(server: DPoPServer) -> None:
    names = [*LIBRARIES] * 4
    credential = server.credential()
    server.keys[credential.token().access_token] = "revoked"
    together = threading.Barrier(len(names))

    def run(name: str) -> int:
        together.wait(30)
        return LIBRARIES[name](credential, server.url, b"x").status

    with ThreadPoolExecutor(len(names)) as pool:
        assert {*pool.map(run, names)} == {200}
    assert len(server.keys) == 2
    jtis = [claims["jti"] for claims in server.claims]
    assert len({*jtis}) == len(jtis)


def test_a_client_that_binds_tokens_may_still_use_a_bearer_token(send: Library) -> None:
    with Resource(lambda token: token == "plain") as resource, DPoPServer() as server:
        credential = server.credential()
        credential.accept(grantway.Token("plain", expires_in=60))
        assert send(credential, resource.url).status == 200
        assert resource.authorizations == ["Bearer plain"]
        assert "dpop" not in resource.seen[0].headers


@pytest.mark.parametrize("options", [{"header": "X-Token"}, {"scheme": "Token"}])
def test_a_dpop_token_has_no_other_header_or_scheme(
    send: Library, server: DPoPServer, options: dict[str, str]
) -> None:
    with pytest.raises(grantway.ConfigurationError, match="leave out header and scheme"):
        send(server.credential(), server.url, **options)
    assert server.paths == []


@pytest.mark.parametrize("dpop", ["key", KEY, object()])
def test_rejects_an_object_that_makes_no_proofs(server: DPoPServer, dpop: object) -> None:
    with pytest.raises(grantway.ConfigurationError, match=r"^dpop: must be a .*DPoP"):
        TokenAuth(server.credential(), dpop=dpop)  # type: ignore[arg-type]
