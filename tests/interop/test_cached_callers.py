"""Tokens that nginx caches for verified callers never reach another caller."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from grantway_plugins.gateway._connections.user import user_id
from grantway_plugins.testing import WorkloadIssuer
from tests.faults import free_port
from tests.interop.proxies import nginx_http, printed
from tests.interop.test_cached_tokens import Provider, Proxies, authorized, content, request, route
from tests.plugins.gateway.running.programs import EchoUpstream, gateway, write
from tests.plugins.gateway.servers import asgi_server
from tests.plugins.server.proofs import KEY, proof

API = "http://127.0.0.1/api"


class Callers(Proxies):
    """nginx with and without caching in front of a gateway that verifies callers.

    Attributes:
        issuer: Issuer of the callers' tokens.
        tokens: A valid token of each caller.
    """

    issuer: WorkloadIssuer
    tokens: dict[str, str]

    def token(self, subject: str, **claims: Any) -> str:
        """Return a new token of a caller."""
        usual: dict[str, Any] = {"scope": "orders:read", "org_id": f"org-{subject}"}
        return self.issuer.token(subject, API, header={"typ": "at+jwt"}, **{**usual, **claims})

    def send(self, token: str, path: str = "/users") -> tuple[int, str]:
        """Send a request of a caller to the nginx that caches."""
        return self.ask(self.cached, caller_request(f"Bearer {token}", path))

    def files(self) -> list[bytes]:
        """Return the contents of the cached responses."""
        return [content(each) for each in self.folder.rglob("*")]

    def own(self, name: str, route: str = "users") -> tuple[int, str]:
        """Return the response with the token of a caller."""
        tenant = user_id(self.issuer.url, name) if route == "users" else f"org-{name}"
        return 200, f"Bearer {route}.{tenant}"


@pytest.fixture(scope="module")
def callers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callers]:
    echo, folder, authorize = EchoUpstream(), tmp_path_factory.mktemp("callers"), free_port()
    with ExitStack() as running:
        upstream = running.enter_context(asgi_server(echo))
        provider = running.enter_context(asgi_server(Provider()))
        issuer = running.enter_context(WorkloadIssuer())
        text = (
            # Comparing the token with the stored one must not keep it from being cached.
            '[gateway]\nlisten = "127.0.0.1:0"\nadmin = "127.0.0.1:0"\nrecheck = 2\n'
            f'[providers.login]\ntoken_endpoint = "{provider}/token"\nclient_id = "x"\n'
            'auth = "none"\n'
            + route("users", "user", upstream, 'path = "/users"')
            + route("orgs", "claim:org_id", upstream, 'path = "/orgs"\nscopes = ["orders:read"]')
            + route("open", "single", upstream, 'path = "/open"\nanonymous = true')
            + f'[inbound]\nresource = "{API}"\n[[inbound.issuer]]\nissuer = "{issuer.url}"\n'
            + f'[authorize]\nlisten = "127.0.0.1:{authorize}"\n'
        )
        file = write(folder, text)
        run = running.enter_context(gateway(file))
        found = Callers(run, echo, "nginx", tmp_path_factory.mktemp("cached"))
        found.issuer = issuer
        found.tokens = {name: found.token(name) for name in ("ann", "ben")}
        never = write(folder, f"{text}cache_seconds = 0\n", "never.toml")
        for name, config, where in (
            ("cached", file, found.folder),
            ("uncached", never, tmp_path_factory.mktemp("uncached")),
        ):
            port = free_port()
            conf = printed("nginx", config, port).replace("/run/grantway-nginx", f"{where}/cache")
            setattr(found, name, running.enter_context(nginx_http(where, conf, port)))
        yield found


def caller_request(authorization: str, path: str = "/users", **headers: str) -> bytes:
    """Return a request with a caller's authorization."""
    more = [("Authorization", authorization)] if authorization else []
    return request("", path, headers=[*more, *headers.items()])


def test_each_caller_gets_their_own_token(callers: Callers) -> None:
    for _ in range(3):
        for name, token in callers.tokens.items():
            assert callers.send(token) == callers.own(name)
            assert callers.send(token, "/orgs/1") == callers.own(name, "orgs")


def test_the_gateway_is_asked_once_for_several_requests(callers: Callers) -> None:
    token = callers.token("counted")
    assert callers.send(token) == callers.own("counted")
    before = authorized(callers.run)
    for number in range(20):
        assert callers.send(token, f"/users/{number}") == callers.own("counted")
    assert authorized(callers.run) - before <= 10  # the response expires every few seconds


def test_a_token_is_not_used_after_the_token_of_its_caller_has_expired(callers: Callers) -> None:
    for seconds, longest in ((60, b"max-age=3,"), (5, b"max-age=2,")):
        token = callers.token("brief", exp=int(time.time()) + seconds)
        assert callers.send(token) == callers.own("brief")
        (stored,) = [each for each in callers.files() if token.encode() in each]
        found = stored.partition(b"max-age=")[2][:1]
        assert found <= longest[8:9]
        assert (found == b"3") == (seconds == 60)


def test_a_rejected_caller_gets_a_challenge_and_nothing_is_cached(callers: Callers) -> None:
    narrow = callers.token("ann", scope="other")
    for _ in range(2):
        assert callers.send(narrow, "/orgs") == (403, "")
        assert callers.send("not-a-token") == (401, "")
        assert callers.ask(callers.cached, caller_request("")) == (401, "")
        assert callers.send(callers.tokens["ann"], "/orgs") == callers.own("ann", "orgs")


def test_a_proof_of_possession_is_checked_for_each_request(callers: Callers) -> None:
    bound = callers.token("ann", cnf={"jkt": KEY.thumbprint()})
    host = callers.cached.removeprefix("http://").partition(":")[0]

    def ask(shown: str = "") -> tuple[int, str]:
        more = {"DPoP": shown} if shown else {}
        return callers.ask(callers.cached, caller_request(f"DPoP {bound}", **more))

    made = proof(f"http://{host}/users", token=bound, htm="GET")
    first, second = ask(made), ask(made)
    assert second[0] == 401, "a proof is for one request"
    assert ask() == (401, "")
    assert callers.send(bound) == (401, ""), "a bound token is no bearer token"
    assert not [each for each in callers.files() if bound.encode() in each]
    assert first == callers.own("ann")


def test_an_anonymous_route_does_not_depend_on_the_caller(callers: Callers) -> None:
    for name in ("", *callers.tokens):
        sent = caller_request(f"Bearer {callers.tokens[name]}" if name else "", "/open")
        assert callers.ask(callers.cached, sent)[0] == 200


PARTS = st.sampled_from(
    ["ann", "ben", "Bearer ", "bearer ", "Basic ", "DPoP ", " ", ",", ", ", "x", "\t", '"']
)
AUTHORIZATIONS = st.lists(PARTS, max_size=4)
HEADERS = st.sampled_from(
    ["Authorization", "authorization", "AUTHORIZATION", "X-Authorization", "DPoP", "X-Tenant",
     "X-Original-URI", "X-Grantway-Route", "Connection", "Cookie", "Proxy-Authorization"]
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(["/users", "/orgs"]),
    st.lists(st.tuples(HEADERS, AUTHORIZATIONS), max_size=3),
)
def test_a_cached_token_is_the_one_that_the_gateway_would_give(
    callers: Callers, path: str, headers: list[tuple[str, list[str]]]
) -> None:
    """Each example first stores the tokens of two callers."""
    for name, token in callers.tokens.items():
        assert callers.send(token, path) == callers.own(name, path.strip("/"))
    made = [
        (name, "".join(callers.tokens.get(part, part) for part in parts).strip())
        for name, parts in headers
    ]
    sent = request("", path, headers=made)
    assert callers.ask(callers.cached, sent) == callers.ask(callers.uncached, sent)


def test_responses_to_callers_with_long_tokens_are_cached(callers: Callers) -> None:
    """A cached response begins with its key, which nginx keeps only if its buffer is larger."""
    long = callers.token("long", padding="x" * 3000)
    before = authorized(callers.run)
    for _ in range(20):
        assert callers.send(long)[0] == 200
    assert authorized(callers.run) - before <= 10
