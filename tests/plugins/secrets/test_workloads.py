"""Tokens of platforms: Kubernetes, SPIFFE, GitHub Actions, Google Cloud, Azure and AWS.

The servers check requests and respond as the platforms document.
"""

from __future__ import annotations

import base64
import json
import time
import traceback
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

import grantway
from grantway import SecretSource, SecretUnavailableError
from grantway.testing import SecretSourceTests
from grantway_plugins.secrets import (
    AwsWebIdentityToken,
    AzureToken,
    GitHubActionsToken,
    GoogleCloudToken,
    KubernetesToken,
    SpiffeToken,
)
from grantway_plugins.secrets._workloads import requests as platform_requests
from grantway_plugins.secrets._workloads.jwt import jwt_secret

REQUEST_TOKEN = "request-token-0123456789"
AUDIENCE = "https://issuer.example/a b"


def encoded(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def jwt(seconds: float = 600, **claims: Any) -> str:
    exp = {} if seconds == 0 else {"exp": int(time.time() + seconds)}
    return f"{encoded({'alg': 'RS256'})}.{encoded({**exp, **claims})}.c2lnbmF0dXJl"


def problem(source: SecretSource) -> str:
    with pytest.raises(SecretUnavailableError) as caught:
        source.read()
    shown = "".join(traceback.format_exception(caught.value))
    assert REQUEST_TOKEN not in shown
    assert "c2lnbmF0dXJl" not in shown
    return str(caught.value)


# --- files ---


class TestKubernetesToken(SecretSourceTests):
    """``kubernetes``."""

    @pytest.fixture
    def source(self, tmp_path: Path) -> KubernetesToken:
        (tmp_path / "token").write_text(jwt() + "\n")
        return KubernetesToken(tmp_path / "token")

    @pytest.fixture
    def unavailable(self, tmp_path: Path) -> KubernetesToken:
        return KubernetesToken(tmp_path / "missing")


class TestSpiffeToken(TestKubernetesToken):
    """``spiffe``."""

    @pytest.fixture
    def source(self, tmp_path: Path) -> SpiffeToken:  # type: ignore[override]
        (tmp_path / "svid").write_text(jwt())
        return SpiffeToken(tmp_path / "svid")

    @pytest.fixture
    def unavailable(self, tmp_path: Path) -> SpiffeToken:  # type: ignore[override]
        return SpiffeToken(tmp_path / "missing")


class TestAwsWebIdentityToken(SecretSourceTests):
    """``aws_web_identity``."""

    @pytest.fixture
    def source(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AwsWebIdentityToken:
        (tmp_path / "token").write_text(jwt())
        monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
        return AwsWebIdentityToken()

    @pytest.fixture
    def unavailable(self) -> SecretSource:
        class WithoutVariable(AwsWebIdentityToken):
            def read(self) -> grantway.Secret:
                with pytest.MonkeyPatch.context() as patch:
                    patch.delenv("AWS_WEB_IDENTITY_TOKEN_FILE", raising=False)
                    return super().read()

        return WithoutVariable()


def test_the_expiry_of_a_file_is_that_of_its_token(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(jwt(600))
    expires_at = KubernetesToken(file).read().expires_at
    assert expires_at == pytest.approx(time.time() + 600, abs=5)
    file.write_text(jwt(-5))
    assert f"the token in {file} expired" in problem(KubernetesToken(file))
    assert "check that spiffe-helper runs" in problem(SpiffeToken(file))
    file.write_text("not a jwt")
    assert problem(SpiffeToken(file)).startswith(f"{file} contains no JWT; check that spiffe")


def test_a_client_uses_the_token_that_the_kubelet_wrote_last(tmp_path: Path) -> None:
    """The kubelet replaces a symbolic link to the folder of the token."""
    (tmp_path / "..1").mkdir()
    (tmp_path / "..data").symlink_to("..1")
    (tmp_path / "token").symlink_to("..data/token")
    (tmp_path / "token").write_text(first := jwt(jti="1"))
    registry = grantway.build_registry(strict=True)
    source = registry.secret_source("kubernetes", path=str(tmp_path / "token"))
    assert source.read().value == first
    (tmp_path / "..2").mkdir()
    (tmp_path / "..2" / "token").write_text(second := jwt(jti="2"))
    (tmp_path / "new").symlink_to("..2")
    (tmp_path / "new").replace(tmp_path / "..data")
    assert source.read().value == second


@pytest.mark.parametrize(
    "payload",
    ["", "{}", "[]", '{"exp": null}', '{"exp": "x"}', '{"exp": 1e999}', '{"exp": NaN}', "[" * 9999],
)
def test_a_token_without_expiry_is_left_to_the_provider(payload: str) -> None:
    part = base64.urlsafe_b64encode(payload.encode()).decode().rstrip("=") or "AA"
    assert jwt_secret(f"AA.{part}.AA", "somewhere", "do something").expires_at is None


# --- servers ---


class Platform(ThreadingHTTPServer):
    """GitHub's token service, and the metadata services of Google Cloud and Azure."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.failures = 0
        self.requests = 0
        self.body: bytes | None = None
        self.token = jwt()


class _Handler(BaseHTTPRequestHandler):
    server: Platform

    def do_GET(self) -> None:
        platform = self.server
        platform.requests += 1
        url = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        status, body, flavor = 404, b"{}", ""
        if platform.failures:
            platform.failures -= 1
            status = 503
        elif url.path == "/github":
            allowed = self.headers["Authorization"] == f"Bearer {REQUEST_TOKEN}"
            named = query == {"api-version": "2.0", "audience": AUDIENCE}
            status = 200 if allowed and named else 401
            body = json.dumps({"count": 1, "value": platform.token}).encode()
        elif url.path.startswith("/computeMetadata/"):
            flavor = "Google"
            named = query == {"audience": AUDIENCE, "format": "full"}
            known = url.path == "/computeMetadata/v1/instance/service-accounts/default/identity"
            status = 200 if self.headers["Metadata-Flavor"] == "Google" and named and known else 403
            body = platform.token.encode()
        elif url.path == "/metadata/identity/oauth2/token":
            status = 200 if self.headers["Metadata"] == "true" else 400
            if query != {"api-version": "2018-02-01", "resource": "api://orders"}:
                status = 400
            body = json.dumps({"access_token": platform.token, "expires_on": "1"}).encode()
        elif url.path == "/msi/token":
            wanted = {"api-version": "2019-08-01", "resource": "api://orders", "client_id": "c"}
            status = 200 if query == wanted else 400
            if self.headers["X-IDENTITY-HEADER"] != REQUEST_TOKEN:
                status = 401
            body = json.dumps({"access_token": platform.token}).encode()
        body = body if platform.body is None else platform.body
        self.send_response(status)
        if flavor:
            self.send_header("Metadata-Flavor", flavor)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class
        pass


@pytest.fixture(scope="module")
def running() -> Iterator[Platform]:
    with Platform() as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def platform(running: Platform, monkeypatch: pytest.MonkeyPatch) -> Platform:
    """The services, as a workload finds them in its environment."""
    for name in ("IDENTITY_ENDPOINT", "IDENTITY_HEADER", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_URL", f"{running.url}/github?api-version=2.0")
    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", REQUEST_TOKEN)
    monkeypatch.setenv("GCE_METADATA_HOST", f"127.0.0.1:{running.server_port}")
    monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", running.url)
    monkeypatch.setattr(platform_requests, "_PAUSE", 0.0)
    running.failures = running.requests = 0
    running.body = None
    return running


SOURCES: list[SecretSource] = [
    GitHubActionsToken(AUDIENCE),
    GoogleCloudToken(AUDIENCE),
    AzureToken("api://orders"),
]
every = pytest.mark.parametrize("source", SOURCES, ids=["github", "google", "azure"])


@every
def test_requests_a_token_with_its_expiry(platform: Platform, source: SecretSource) -> None:
    secret = source.read()
    assert secret.value == platform.token
    assert secret.expires_at == pytest.approx(time.time() + 600, abs=60)
    assert platform.requests == 1


@every
def test_a_busy_platform_is_asked_again(platform: Platform, source: SecretSource) -> None:
    platform.failures = 2
    assert source.read().value == platform.token
    platform.failures = 3
    assert "returned status 503" in problem(source)
    assert platform.requests == 6


@every
@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[" * 60_000, b'{"value": 7}', b"x" * 70_000, b"{}"]
)
def test_an_unusable_response_is_an_error_without_the_body(
    platform: Platform, source: SecretSource, body: bytes
) -> None:
    platform.body = body
    assert "<html>" not in problem(source)


@every
def test_does_not_use_a_token_that_has_expired(platform: Platform, source: SecretSource) -> None:
    kept, platform.token = platform.token, jwt(-1)
    assert "expired" in problem(source)
    platform.token = kept


def test_the_registry_creates_the_sources(platform: Platform) -> None:
    registry = grantway.build_registry(strict=True)
    for name, options in {
        "github_actions": {"audience": AUDIENCE, "timeout": 3},
        "google_cloud": {"audience": AUDIENCE, "service_account": "default"},
        "azure": {"resource": "api://orders"},
    }.items():
        source = registry.secret_source(name, **options)
        assert source.read().value == source.read().value == platform.token
    assert platform.requests == 3  # the second read is cached


def test_github_without_permission(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    source = GitHubActionsToken("another")
    assert problem(source).endswith(
        "/github returned status 401; give the job `permissions: id-token: write`"
    )
    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_URL", "http://github.example/token")
    assert "ACTIONS_ID_TOKEN_REQUEST_URL: http://github.example would send" in problem(source)
    monkeypatch.delenv("ACTIONS_ID_TOKEN_REQUEST_URL")
    assert "ACTIONS_ID_TOKEN_REQUEST_URL is not set; in GitHub Actions" in problem(source)


def test_google_rejects_another_server(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    """A captive portal or a stranger may have the address of the metadata server."""
    monkeypatch.setattr(_Handler, "send_header", lambda *_pair: None)
    monkeypatch.setattr(_Handler, "protocol_version", "HTTP/1.0")
    assert "is not Google's metadata server" in problem(GoogleCloudToken(AUDIENCE))
    monkeypatch.undo()


def test_azure_app_service(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"{platform.url}/msi/token")
    monkeypatch.setenv("IDENTITY_HEADER", REQUEST_TOKEN)
    assert AzureToken("api://orders", client_id="c").read().value == platform.token
    assert "status 400" in problem(AzureToken("api://orders"))


def test_metadata_is_never_requested_through_a_proxy(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "")
    for source in (GoogleCloudToken(AUDIENCE), AzureToken("api://orders")):
        assert source.read().value == platform.token


def test_an_unreachable_platform(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GCE_METADATA_HOST", "127.0.0.1:1")
    assert problem(GoogleCloudToken(AUDIENCE)).endswith(
        "; run this on Google Cloud, with a service account"
    )
