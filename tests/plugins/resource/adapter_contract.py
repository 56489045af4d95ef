"""What the adapter of every framework promises, on a real server and with a real issuer."""

from __future__ import annotations

import hashlib
import json
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from http.client import HTTPConnection
from typing import Any, ClassVar
from urllib.parse import urlsplit

import pytest
import requests
from joserfc.jwk import ECKey

import grantway
from grantway._requests.client_auth import ClientSecretBasic
from grantway._wire.challenges import Challenge, parse_challenges
from grantway_plugins.auth import TokenAuth
from grantway_plugins.client_auth import DPoP
from grantway_plugins.issuer import IssuerServer, IssuerSettings
from grantway_plugins.resource import AcceptedIssuer, ProtectedResource
from grantway_plugins.testing import WorkloadIssuer
from tests.plugins.resource.adapter_apps import Gate
from tests.plugins.server.proofs import KEY, proof
from tests.waiting import PATIENCE

BODY = b"x" * 300_000


class AnyWsgiApp:
    """An application that is created after the server, whose port is part of the resource."""

    app: Any

    def __call__(self, environ: Any, start_response: Any) -> Any:
        return self.app(environ, start_response)


class AnyAsgiApp:
    """The same for ASGI servers."""

    app: Any

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)


@dataclass
class Results:
    """Results of verifications, and reads of keys."""

    verified_as: list[str] = field(default_factory=list)
    read: list[str] = field(default_factory=list)

    def verified(self, issuer: str, result: str) -> None:
        self.verified_as.append(result)

    def asked(self, issuer: str, subject: str, result: str) -> None:
        self.read.append(result)


class Site:
    """A running API, and clients of it.

    Args:
        url: The URL of the server.
        issuer: An issuer at which clients can register.
        signer: An issuer of tokens with any claims.
        path: The path of the resource.
        nonce_key: Key of the nonces of proofs, or None.
    """

    def __init__(
        self,
        url: str,
        issuer: IssuerServer,
        signer: WorkloadIssuer,
        path: str,
        nonce_key: bytes | None,
    ) -> None:
        self.url, self.resource = url, f"{url}{path}"
        self.issuer, self.signer = issuer, signer
        self.gate, self.results = Gate(), Results()
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            self.silent = f"http://127.0.0.1:{unused.getsockname()[1]}"
        self.waiting = socket.create_server(("127.0.0.1", 0))
        self.waiting.settimeout(PATIENCE)
        self.slow = f"http://127.0.0.1:{self.waiting.getsockname()[1]}"
        self.protected = ProtectedResource(
            self.resource,
            [AcceptedIssuer(each) for each in (issuer.url, signer.url, self.silent, self.slow)],
            scopes=["read", "write"],
            observer=self.results,
            dpop_nonce_key=nonce_key,
        )
        self._clients = ExitStack()

    def close(self) -> None:
        self._clients.close()
        self.protected.close()
        self.waiting.close()

    def token(self, audience: str | None = None, **claims: Any) -> str:
        """Return a token with any claims."""
        usual = {"header": {"typ": "at+jwt"}, "scope": "read write"}
        return self.signer.token("ann", audience or self.resource, **{**usual, **claims})

    def auth(self, scope: str = "read write", *, bound: bool = False) -> TokenAuth:
        """Return the authentication of a new client, which found the issuer by the resource."""
        provider = grantway.Provider.for_resource(f"{self.resource}/orders")
        metadata = {"grant_types": ["client_credentials"], "scope": scope}
        made = requests.post(f"{provider.issuer}/register", json=metadata, timeout=PATIENCE).json()
        auth: Any = ClientSecretBasic(made["client_id"], made["client_secret"])
        if bound:
            auth = DPoP(auth, dict(ECKey.generate_key("P-256").as_dict(private=True)))
        client = grantway.Client(provider, client_id=made["client_id"], auth=auth)
        self._clients.enter_context(client)
        return TokenAuth(client.credential(grant_type="client_credentials", scope=scope.split()))

    def request(self, method: str, path: str, token: str = "", **options: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        headers |= options.pop("headers", {})
        return requests.request(
            method, f"{self.url}{path}", headers=headers, timeout=PATIENCE, **options
        )

    def get(self, path: str, token: str = "", **options: Any) -> requests.Response:
        return self.request("GET", path, token, **options)


def challenges(response: requests.Response) -> list[Challenge]:
    """Return the challenges of a response that must not be cached."""
    assert response.headers["Cache-Control"] == "no-store"
    return parse_challenges(response.headers["WWW-Authenticate"])


class AdapterContract:
    """Tests that every adapter passes. ``make_app`` and ``server`` are those of the framework."""

    make_app: ClassVar[Callable[..., Any]]
    server: ClassVar[Callable[..., Any]]
    any_app: ClassVar[type[AnyWsgiApp | AnyAsgiApp]] = AnyWsgiApp
    path = "/api"
    nonce_key: ClassVar[bytes | None] = None

    @pytest.fixture(scope="class")
    @classmethod
    def site(cls) -> Iterator[Site]:
        app = cls.any_app()
        settings = IssuerSettings(registration="unrestricted", access_token_format="jwt")
        with (
            IssuerServer(settings) as issuer,
            WorkloadIssuer() as signer,
            cls.server(app) as url,
            closing(Site(url, issuer, signer, cls.path, cls.nonce_key)) as site,
            cls.make_app(site.protected, site.gate) as app.app,
        ):
            yield site

    def test_a_token_is_accepted(self, site: Site) -> None:
        response = site.get("/api/orders", site.token())
        assert response.status_code == 200
        assert response.json() == {"sub": "ann", "scope": ["read", "write"]}

    def test_a_request_without_a_token_gets_a_challenge_for_each_scheme(self, site: Site) -> None:
        response = site.get("/api/orders")
        assert response.status_code == 401
        bearer, dpop = challenges(response)
        assert bearer == Challenge("bearer", {"resource_metadata": self.metadata_url(site)})
        assert dpop.scheme == "dpop"
        assert dpop.parameters.keys() == {"algs"}

    @pytest.mark.parametrize(
        "options",
        [
            {"headers": {"Authorization": "Basic YTpi"}},
            {"params": {"access_token": "TOKEN"}},
        ],
        ids=["other scheme", "query"],
    )
    def test_other_credentials_are_no_token(self, site: Site, options: Any) -> None:
        if "params" in options:
            options = {"params": {"access_token": site.token()}}
        response = site.get("/api/orders", **options)
        assert response.status_code == 401
        assert "error" not in challenges(response)[0].parameters

    def test_a_token_in_a_form_is_not_accepted(self, site: Site) -> None:
        response = site.request("POST", "/api/orders", data={"access_token": site.token()})
        assert response.status_code == 401

    @pytest.mark.parametrize(
        "claims",
        [
            {"audience": "https://other.example.com"},
            {"lifetime": -60},
            {"iss": "https://x.example"},
        ],
        ids=["audience", "expired", "issuer"],
    )
    def test_an_invalid_token_is_rejected(self, site: Site, claims: dict[str, Any]) -> None:
        response = site.get("/api/orders", site.token(**claims))
        assert response.status_code == 401
        found = challenges(response)[0]
        assert (found.scheme, found.parameters["error"]) == ("bearer", "invalid_token")
        assert found.parameters["resource_metadata"] == self.metadata_url(site)

    def test_a_token_without_the_scope_of_a_route_is_rejected(self, site: Site) -> None:
        response = site.request("POST", "/api/orders", site.token(scope="read"))
        assert response.status_code == 403
        found = challenges(response)[0].parameters
        assert (found["error"], found["scope"]) == ("insufficient_scope", "write")

    def test_a_login_that_is_too_old_for_a_route_is_rejected(self, site: Site) -> None:
        response = site.get("/api/payments", site.token(auth_time=1))
        assert response.status_code == 401
        found = challenges(response)[0].parameters
        assert (found["error"], found["max_age"]) == ("insufficient_user_authentication", "300")
        now = int(site.signer._clock())
        assert site.get("/api/payments", site.token(auth_time=now)).status_code == 200

    def test_a_repeated_header_is_rejected(self, site: Site) -> None:
        connection = HTTPConnection(urlsplit(site.url).netloc, timeout=PATIENCE)
        with closing(connection):
            connection.putrequest("GET", "/api/orders")
            for _ in range(2):
                connection.putheader("Authorization", f"Bearer {site.token()}")
            connection.endheaders()
            response = connection.getresponse()
            response.read()
        assert response.status == 400
        (found, *_) = parse_challenges(response.headers["WWW-Authenticate"])
        assert found.parameters["error"] == "invalid_request"

    def test_a_client_finds_the_issuer_and_gets_a_token(self, site: Site) -> None:
        response = site.get("/api/orders", auth=site.auth())
        assert response.json()["scope"] == ["read", "write"]

    def test_a_bound_token_needs_a_new_proof(self, site: Site) -> None:
        auth = site.auth(bound=True)
        with requests.Session() as session:
            session.auth = auth
            for _ in range(2):
                accepted = session.get(f"{site.url}/api/orders?page=1", timeout=PATIENCE)
                assert accepted.status_code == 200
            # Several parts of an application check the request, but the proof counts once.
            assert session.post(f"{site.url}/api/orders", timeout=PATIENCE).status_code == 200
        sent = accepted.request.headers
        assert sent["Authorization"].startswith("DPoP ")
        again = site.get("/api/orders", headers=dict(sent))
        assert again.status_code == 401
        assert challenges(again)[0].parameters["error"] == "invalid_dpop_proof"
        stolen = site.get("/api/orders", sent["Authorization"].removeprefix("DPoP "))
        assert challenges(stolen)[0].parameters["error"] == "invalid_token"

    def test_the_metadata_describe_the_resource(self, site: Site) -> None:
        response = requests.get(self.metadata_url(site), timeout=PATIENCE)
        assert response.status_code == 200
        assert response.headers["Content-Type"] == "application/json"
        assert response.headers["Access-Control-Allow-Origin"] == "*"
        assert response.json() == site.protected.metadata()
        head = requests.head(self.metadata_url(site), timeout=PATIENCE)
        assert (head.status_code, head.content) == (200, b"")

    def test_pages_of_other_sites_may_read_the_metadata(self, site: Site) -> None:
        headers = {"Origin": "https://app.example", "Access-Control-Request-Method": "GET"}
        found = requests.options(self.metadata_url(site), headers=headers, timeout=PATIENCE)
        assert found.status_code == 204
        assert found.headers["Access-Control-Allow-Headers"] == "*"
        assert requests.post(self.metadata_url(site), timeout=PATIENCE).status_code == 405

    def test_head_needs_a_token(self, site: Site) -> None:
        response = site.request("HEAD", "/api/orders")
        assert (response.status_code, response.content) == (401, b"")
        assert challenges(response)
        accepted = site.request("HEAD", "/api/orders", site.token())
        assert (accepted.status_code, accepted.content) == (200, b"")

    def test_a_preflight_request_shows_nothing(self, site: Site) -> None:
        headers = {"Origin": "https://app.example", "Access-Control-Request-Method": "GET"}
        response = site.request("OPTIONS", "/api/orders", headers=headers)
        assert response.status_code in {200, 401, 405}
        assert b"sub" not in response.content

    def test_no_answer_of_the_issuer_is_not_the_fault_of_the_caller(self, site: Site) -> None:
        response = site.get("/api/orders", site.token(iss=site.silent))
        assert response.status_code == 503
        assert int(response.headers["Retry-After"]) >= 1
        assert "WWW-Authenticate" not in response.headers
        assert site.silent not in response.text

    def test_a_slow_issuer_delays_only_its_own_tokens(self, site: Site) -> None:
        with ThreadPoolExecutor(1) as threads:
            slow = threads.submit(site.get, "/api/orders", site.token(iss=site.slow))
            connection, _ = site.waiting.accept()
            for path in ("/api/orders", "/health"):
                assert site.get(path, site.token()).status_code == 200
            assert not slow.done()
            site.waiting.close()
            connection.close()
            assert slow.result().status_code == 503

    def test_a_token_is_verified_once(self, site: Site) -> None:
        token = site.token(jti="seen twice")
        site.results.verified_as.clear()
        site.results.read.clear()
        for _ in range(3):
            assert site.get("/api/orders", token).status_code == 200
        assert site.results.verified_as == ["accepted", "cached", "cached"]
        assert site.results.read in ([], ["ok"])

    def test_bodies_are_not_changed(self, site: Site) -> None:
        response = site.request("POST", "/api/orders", site.token(), data=BODY)
        assert response.json() == {"sha256": hashlib.sha256(BODY).hexdigest()}

    def test_responses_are_streamed(self, site: Site) -> None:
        with site.get("/api/stream", site.token(), stream=True) as response:
            parts = response.iter_content(5)
            assert next(parts) == b"first"
            site.gate.opened.set()
            assert b"".join(parts) == b"second"

    def test_a_public_path_needs_no_token(self, site: Site) -> None:
        assert site.get("/health").status_code == 200

    def test_no_response_quotes_the_token(self, site: Site) -> None:
        for claims in ({"scope": "read"}, {"lifetime": -60}):
            token = site.token(**claims)
            response = site.request("POST", "/api/orders", token)
            assert token not in response.text + json.dumps(dict(response.headers))

    def test_a_proof_needs_a_nonce_if_there_is_a_key(self, site: Site) -> None:
        token = site.token(cnf={"jkt": KEY.thumbprint()})

        def ask(**claims: str) -> requests.Response:
            made = proof(f"{site.url}/api/orders", htm="GET", token=token, **claims)
            headers = {"Authorization": f"DPoP {token}", "DPoP": made}
            return site.get("/api/orders", headers=headers)

        first = ask()
        if self.nonce_key is None:
            assert first.status_code == 200
            return
        assert first.status_code == 401
        assert challenges(first)[0].parameters["error"] == "use_dpop_nonce"
        assert ask(nonce=first.headers["DPoP-Nonce"]).status_code == 200

    def metadata_url(self, site: Site) -> str:
        return f"{site.url}/.well-known/oauth-protected-resource{self.path}"
