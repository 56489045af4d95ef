"""The token endpoint in every framework, with both dialects and backends."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import closing
from typing import Any

import pytest
import requests
from botocore.config import Config
from starlette.middleware.cors import CORSMiddleware

import grantway
from grantway.testing import Register, faults
from grantway_plugins.gateway import Broker, EmbeddedIssuer, Principal, TokenEndpoint
from grantway_plugins.issuer import (
    Denial,
    GrantRequest,
    Issue,
    IssuerClientAuth,
    IssuerGrant,
    IssuerRequest,
    IssuerServer,
    IssuerSettings,
    Transaction,
)
from grantway_plugins.testing._live_issuer import LiveIssuer
from tests.aws_sessions import boto3_session
from tests.plugins.gateway.conftest import (
    CLIENTS,
    COUPON,
    COUPON_TYPE,
    FORM,
    JSON,
    OURS,
    SHOP,
    THEIRS,
    Brokered,
    Coupons,
    Serve,
)
from tests.plugins.gateway.frameworks import FRAMEWORKS
from tests.plugins.gateway.servers import asgi_server

FIRST = {"grant_type": COUPON_TYPE, "coupon": "SPRING-2031", "scope": "read"}
each_framework = pytest.mark.parametrize("framework", FRAMEWORKS)


@each_framework
def test_responds_to_a_form_as_rfc_6749_describes(
    framework: str, broker: Broker, serve: Serve, http: requests.Session
) -> None:
    url = serve(framework, TokenEndpoint(broker))
    response = http.post(url, data=FIRST, auth=("shop", THEIRS))
    assert response.status_code == 200, response.text
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["content-type"] == JSON
    assert "x-amzn-requestid" not in response.headers
    token = response.json()
    assert token["access_token"].startswith("gwa_")
    assert (token["token_type"], token["scope"]) == ("Bearer", "read")
    assert token["expires_in"] > 3000

    refreshed = http.post(
        url,
        data={"grant_type": "refresh_token", "refresh_token": token["refresh_token"], **SHOP},
    )
    assert refreshed.status_code == 200, refreshed.text
    assert refreshed.json()["refresh_token"] != token["refresh_token"]


@each_framework
def test_a_public_caller_may_identify_itself_by_basic_with_an_empty_secret(
    framework: str, broker: Broker, serve: Serve, http: requests.Session
) -> None:
    url = serve(framework, TokenEndpoint(broker))
    assert http.post(url, data=FIRST, auth=("kiosk", "")).status_code == 200
    rejected = http.post(url, data=FIRST, auth=("shop", ""))
    assert (rejected.status_code, rejected.json()["error"]) == (401, "invalid_client")


@each_framework
def test_rejects_create_token_with_iam(framework: str, broker: Broker, serve: Serve) -> None:
    url = serve(framework, TokenEndpoint(broker))
    session = boto3_session("AKIAIOSFODNN7EXAMPLE", "secret", region_name="us-east-1")
    aws = session.client("sso-oidc", endpoint_url=url.removesuffix("/token"))
    with closing(aws), pytest.raises(aws.exceptions.InvalidRequestException) as rejected:
        aws.create_token_with_iam(clientId="shop", grantType="refresh_token", refreshToken="t")
    assert "CreateTokenWithIAM is not supported" in rejected.value.response["error_description"]


def test_works_with_starlettes_cors_middleware(broker: Broker, http: requests.Session) -> None:
    origin = "https://app.example.com"
    app = CORSMiddleware(
        TokenEndpoint(broker).asgi,
        allow_origins=[origin],
        allow_methods=["POST"],
        allow_headers=["Authorization"],
    )
    with asgi_server(app) as url:
        headers = {
            "origin": origin,
            "access-control-request-method": "POST",
            "access-control-request-headers": "authorization",
        }
        preflight = http.options(url, headers=headers)
        assert (preflight.status_code, preflight.headers["access-control-allow-origin"]) == (
            200,
            origin,
        )
        response = http.post(url, data=FIRST, auth=("shop", THEIRS), headers={"origin": origin})
    assert response.status_code == 200, response.text
    assert response.headers["access-control-allow-origin"] == origin
    assert "access-control-allow-credentials" not in response.headers


@each_framework
def test_responds_to_json_like_aws(
    framework: str, broker: Broker, serve: Serve, http: requests.Session
) -> None:
    url = serve(framework, TokenEndpoint(broker))
    parameters = {
        "grantType": COUPON_TYPE,
        "coupon": "SPRING-2031",
        "scope": ["read", "write"],
        "clientId": "shop",
        "clientSecret": THEIRS,
    }
    response = http.post(url, json=parameters)
    assert response.status_code == 200, response.text
    assert response.headers["x-amzn-requestid"]
    assert response.headers["cache-control"] == "no-store"
    token = response.json()
    assert {"accessToken", "tokenType", "expiresIn", "refreshToken"} <= set(token)
    assert token["scope"] == ["read", "write"]

    rejected = http.post(url, json={**parameters, "coupon": "AUTUMN-2031"})
    assert (rejected.status_code, rejected.json()["error"]) == (400, "invalid_grant")
    assert rejected.headers["x-amzn-errortype"] == "InvalidGrantException"
    assert rejected.json()["message"] == "The coupon is unknown"


@each_framework
def test_serves_boto3_and_grantway_clients(framework: str, broker: Broker, serve: Serve) -> None:
    url = serve(framework, TokenEndpoint(broker))
    aws: Any = boto3_session().client(
        "sso-oidc",
        region_name="eu-west-1",
        endpoint_url=url.removesuffix("/token"),
        config=Config(retries={"total_max_attempts": 1}),
    )
    with grantway.Client(
        grantway.Provider(token_endpoint=url), client_id="shop", client_secret=THEIRS
    ) as client:
        first = client.create_token(grant_type=COUPON_TYPE, coupon="SPRING-2031")
        with pytest.raises(grantway.InvalidGrantException, match="unknown"):
            client.create_token(grant_type=COUPON_TYPE, coupon="AUTUMN-2031")
    mine = {"clientId": "shop", "clientSecret": THEIRS, "grantType": "refresh_token"}
    token = aws.create_token(**mine, refreshToken=first.refresh_token)
    assert token["accessToken"] != first.access_token
    with pytest.raises(aws.exceptions.InvalidGrantException):
        aws.create_token(**mine, refreshToken="never issued")
    with pytest.raises(aws.exceptions.InvalidClientException):
        aws.create_token(**{**mine, "clientSecret": "wrong"}, refreshToken="x")
    aws.close()


@each_framework
def test_sends_a_challenge_if_basic_authentication_fails(
    framework: str, broker: Broker, serve: Serve, http: requests.Session
) -> None:
    url = serve(framework, TokenEndpoint(broker))
    by_header = http.post(url, data=FIRST, auth=("shop", "wrong"))
    assert (by_header.status_code, by_header.json()["error"]) == (401, "invalid_client")
    assert by_header.headers["www-authenticate"].startswith("Basic realm=")
    by_body = http.post(url, data={**FIRST, **SHOP, "client_secret": "wrong"})
    assert (by_body.status_code, by_body.json()["error"]) == (401, "invalid_client")
    assert "www-authenticate" not in by_body.headers


@each_framework
def test_accepts_only_post(
    framework: str, broker: Broker, serve: Serve, http: requests.Session
) -> None:
    url = serve(framework, TokenEndpoint(broker))
    for method in ("GET", "PUT", "DELETE"):
        response = http.request(method, url)
        assert (response.status_code, response.headers["allow"]) == (405, "POST")
        assert response.json()["error"] == "invalid_request"
    assert http.head(url).status_code == 405


@pytest.mark.parametrize("framework", ["starlette", "flask"])
def test_accepts_a_grant_that_is_registered_later(
    framework: str,
    grantway_register: Register,
    brokered: Brokered,
    serve: Serve,
    http: requests.Session,
) -> None:
    backend, server = brokered(faults.respond())
    url = serve(framework, TokenEndpoint(backend))
    unknown = http.post(url, data={**FIRST, **SHOP})
    assert (unknown.status_code, unknown.json()["error"]) == (400, "unsupported_grant_type")
    assert "refresh_token" in unknown.json()["error_description"]
    assert not server.requests

    grantway_register(COUPON)
    assert http.post(url, data={**FIRST, **SHOP}).json()["access_token"] == "at-1"
    assert server.requests[-1].form["coupon"] == ["SPRING-2031"]
    grantway.reload(only=["grantway"])
    assert http.post(url, data={**FIRST, **SHOP}).status_code == 200

    grantway.unregister(COUPON_TYPE)
    response = http.post(url, data={**FIRST, **SHOP})
    assert response.json()["error"] == "unsupported_grant_type"


@each_framework
def test_the_embedded_issuer_issues_tokens(
    framework: str,
    grantway_register: Register,
    grantway_issuer: LiveIssuer,
    serve: Serve,
    http: requests.Session,
) -> None:
    server = grantway_issuer.server
    backend = EmbeddedIssuer(server.store, server.settings)
    url = serve(framework, TokenEndpoint(backend))
    registered = grantway_issuer.client(grant_types=["client_credentials", "refresh_token"])
    with grantway.Client(
        grantway.Provider(token_endpoint=url), client_id=registered.client_id, auth=registered.auth
    ) as client:
        token = client.create_token(grant_type="client_credentials", scope=["read"])
        assert token.scope == ("read",)
        # A grant that is registered later is accepted; the client's registration decides.
        grantway_register(COUPON, issuer=Coupons())
        with pytest.raises(grantway.UnauthorizedClientException, match="not registered for"):
            client.create_token(grant_type=COUPON_TYPE, coupon="SPRING-2031")
    unknown = http.post(url, data={**FIRST, **SHOP})
    assert (unknown.status_code, unknown.json()["error"]) == (401, "invalid_client")


class Looks:
    """Puts what it sees of a request into the response, for clients that a plugin authenticates."""

    schema = None

    def decide(self, request: GrantRequest, transaction: Transaction) -> Issue | Denial:
        members = {"peer": request.peer, "seen": request.headers.get("X-Custom", "")}
        return request.issue(subject="x", members=members)

    def client_id(self, request: IssuerRequest) -> str | None:
        return request.headers.get("x-client")

    def verify(self, request: IssuerRequest, client: Any, transaction: Transaction) -> bool:
        return request.headers.get("x-key") == THEIRS

    @grantway.hookimpl
    def grantway_register_grants(self) -> list[grantway.Grant]:
        return [COUPON]

    @grantway.hookimpl
    def grantway_register_issuer_grants(self) -> dict[str, IssuerGrant]:
        return {COUPON_TYPE: self}

    @grantway.hookimpl
    def grantway_register_issuer_client_auth(self) -> dict[str, IssuerClientAuth]:
        return {"key": self}


@each_framework
def test_plugins_of_the_embedded_issuer_see_the_headers_and_the_address(
    framework: str, serve: Serve, http: requests.Session
) -> None:
    registry = grantway.build_registry({"looks": Looks()}, strict=True)
    settings = IssuerSettings(registration="unrestricted")
    with IssuerServer(settings, registry=registry) as server:
        metadata = {"token_endpoint_auth_method": "key", "grant_types": [COUPON_TYPE]}
        registered = http.post(f"{server.url}/register", json=metadata).json()
        backend = EmbeddedIssuer(server.store, server.settings, registry=registry)
        url = serve(framework, TokenEndpoint(backend))
        headers = {"X-Custom": "one", "X-Client": registered["client_id"], "X-Key": THEIRS}
        data = {"grant_type": COUPON_TYPE, "coupon": "SPRING-2031"}
        token = http.post(url, data=data, headers=headers).json()
        assert (token["peer"], token["seen"]) == ("127.0.0.1", "one")
        rejected = http.post(url, data=data, headers={**headers, "X-Key": "wrong"})
        assert (rejected.status_code, rejected.json()["error"]) == (401, "invalid_client")


@pytest.mark.parametrize("framework", ["asgi", "wsgi"])
def test_a_closed_store_is_not_reported_as_invalid_grant(
    framework: str, grantway_issuer: LiveIssuer, serve: Serve, http: requests.Session
) -> None:
    server = grantway_issuer.server
    url = serve(framework, TokenEndpoint(EmbeddedIssuer(server.store, server.settings)))
    server.store.close()
    data = {"grant_type": "refresh_token", "refresh_token": "x", **SHOP}
    response = http.post(url, data=data)
    assert (response.status_code, response.json()["error"]) == (503, "server_error")
    assert response.headers["retry-after"] == "1"


def test_rejects_grant_types_that_are_not_allowed(
    brokered: Brokered, serve: Serve, http: requests.Session
) -> None:
    backend, server = brokered(faults.respond())
    url = serve("asgi", TokenEndpoint(backend, allow=["refresh_token"]))
    response = http.post(url, data={"grant_type": "client_credentials", **SHOP})
    assert (response.status_code, response.json()["error"]) == (400, "unsupported_grant_type")
    assert response.json()["error_description"] == "The grant type is not one of refresh_token"
    assert not server.requests
    data = {"grant_type": "refresh_token", "refresh_token": backend.bind("shop", "rt"), **SHOP}
    assert http.post(url, data=data).status_code == 200


def test_sends_the_gateways_credentials_instead_of_the_callers(
    brokered: Brokered, serve: Serve, http: requests.Session
) -> None:
    backend, server = brokered(faults.respond())
    url = serve("asgi", TokenEndpoint(backend))
    data = {
        "grant_type": "refresh_token",
        "refresh_token": backend.bind("shop", "rt"),
        "redirect_uri": "not of this grant",
        "timeout": "0.001",
        "attempts": "9",
        "extra": "x",
        "code": "",
    }
    assert http.post(url, data=data, auth=("shop", THEIRS)).status_code == 200
    (sent,) = server.requests
    assert sent.form == {"grant_type": ["refresh_token"], "refresh_token": ["rt"]}
    assert THEIRS not in str(sent)
    basic = requests.auth._basic_auth_str("gateway", OURS)  # type: ignore[attr-defined]
    assert sent.headers["authorization"] == basic


def test_passes_on_extra_members_without_the_gateways_secret(
    brokered: Brokered, serve: Serve, http: requests.Session
) -> None:
    payload = {
        "access_token": "at",
        "token_type": "Bearer",
        "issued_token_type": "urn:x",
        "team": {"id": "T1", "roles": ["a"]},
        "echo": f"you are gateway:{OURS}",
        "nested": {"deep": [OURS]},
        "client_secret": OURS,
    }
    body = json.dumps(payload).replace('"T1"', '"T1", "n": 7').encode()[:-1] + b', "huge": 1e999}'
    backend, _ = brokered(faults.respond(200, body, {"Content-Type": "application/json"}))
    url = serve("asgi", TokenEndpoint(backend))
    data = {"grant_type": "client_credentials", **SHOP}
    assert http.post(url, data=data).json() == {
        "access_token": "at",
        "token_type": "Bearer",
        "issued_token_type": "urn:x",
        "team": {"id": "T1", "roles": ["a"], "n": 7},
    }
    members = {"grantType": "client_credentials", "clientId": "shop", "clientSecret": THEIRS}
    assert http.post(url, json=members).json()["issuedTokenType"] == "urn:x"


def test_responds_without_a_framework(brokered: Brokered) -> None:
    backend, _ = brokered(faults.respond())
    endpoint = TokenEndpoint(backend)
    body = f"grant_type=client_credentials&client_id=shop&client_secret={THEIRS}".encode()
    response = endpoint.respond("POST", {"Content-Type": FORM, "Content-Length": "9999"}, body)
    assert response.status == 200
    assert response.headers["cache-control"] == "no-store"
    assert json.loads(response.body)["access_token"] == "at-1"
    assert endpoint.respond("GET", {}, b"").status == 405
    assert endpoint.respond("POST", {"content-type": FORM}, b"a" * 65_537).status == 413
    assert (
        "connection" not in endpoint.respond("POST", {"content-type": FORM}, b"=" * 65_537).headers
    )


def test_rejects_invalid_arguments(brokered: Brokered) -> None:
    backend, _ = brokered(faults.respond())
    with pytest.raises(grantway.ConfigurationError, match="allow: must be a list"):
        TokenEndpoint(backend, allow="refresh_token")
    with pytest.raises(grantway.ConfigurationError, match="body_seconds: must be"):
        TokenEndpoint(backend, body_seconds=0)
    for name in ("threads", "timeout", "waiting"):
        with pytest.raises(grantway.ConfigurationError, match=f"{name}: "):
            brokered(faults.respond(), **{name: -1})


def test_a_failing_backend_reveals_nothing(
    serve: Serve, http: requests.Session, caplog: pytest.LogCaptureFixture
) -> None:
    class FailingBackend:
        repeatable: frozenset[str] = frozenset()

        def respond(self, request: Any) -> Any:
            raise RuntimeError("hunter2")

        async def arespond(self, request: Any) -> Any:
            raise RuntimeError("hunter2")

    for framework in ("asgi", "wsgi"):
        url = serve(framework, TokenEndpoint(FailingBackend()))
        response = http.post(url, data={"grant_type": "x"})
        assert (response.status_code, response.json()["error"]) == (500, "server_error")
        assert "hunter2" not in response.text + caplog.text
    assert caplog.text.count("RuntimeError") == 2


def test_a_principal_can_limit_the_grant_types(
    brokered: Brokered, serve: Serve, http: requests.Session
) -> None:
    def rule(client_id: str, secret: str | None) -> Principal | None:
        return Principal(client_id, frozenset({"refresh_token"})) if secret == THEIRS else None

    backend, server = brokered(faults.respond(), clients=rule)
    url = serve("asgi", TokenEndpoint(backend))
    response = http.post(url, data={"grant_type": "client_credentials", **SHOP})
    assert (response.status_code, response.json()["error"]) == (400, "unauthorized_client")
    assert not server.requests
    data = {"grant_type": "refresh_token", "refresh_token": backend.bind("shop", "rt"), **SHOP}
    assert http.post(url, data=data).status_code == 200


def test_importing_the_package_imports_no_framework_or_database() -> None:
    code = (
        "import sys; from grantway_plugins.gateway import Broker, TokenEndpoint;"
        "heavy = ('sqlalchemy', 'starlette', 'uvicorn', 'anyio', 'flask', 'django');"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_reprs_contain_no_secret(brokered: Brokered) -> None:
    backend, _ = brokered(faults.respond())
    assert OURS not in repr(TokenEndpoint(backend))
    assert "CLIENTS" not in repr(backend)
    assert all(kept not in repr(backend) for kept in CLIENTS.values() if kept)
