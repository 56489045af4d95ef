"""A provider built with Authlib, for grants that oidc-provider does not support."""

from __future__ import annotations

import json
import secrets
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl

from authlib.oauth2.rfc6749 import (
    AuthorizationServer,
    ClientMixin,
    OAuth2Request,
    grants,
    list_to_scope,
    scope_to_list,
)
from authlib.oauth2.rfc6749.requests import BasicOAuth2Payload
from authlib.oauth2.rfc6750 import BearerTokenGenerator
from authlib.oauth2.rfc7523 import JWTBearerGrant
from joserfc.jwk import Key

ISSUER = "https://as.example"
SECRET = "a-secret-of-this-client"
USER = ("älice", "correct hörse")


class _Client(ClientMixin):
    def get_client_id(self) -> str:
        return "me"

    def get_allowed_scope(self, scope: str) -> str:
        asked = scope_to_list(scope) or []
        return str(list_to_scope([name for name in asked if name in {"read", "write"}]))

    def check_client_secret(self, client_secret: str) -> bool:
        return client_secret == SECRET

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return method == "client_secret_basic"

    def check_grant_type(self, grant_type: str) -> bool:
        return True


class _Password(grants.ResourceOwnerPasswordCredentialsGrant):  # type: ignore[misc]
    def authenticate_user(self, username: str, password: str) -> str | None:
        return username if (username, password) == USER else None


class _Request(OAuth2Request):  # type: ignore[misc]
    def __init__(self, form: dict[str, str], headers: dict[str, str]) -> None:
        super().__init__("POST", f"{ISSUER}/token", headers=headers)
        self.payload = BasicOAuth2Payload(form)
        self._form = form

    @property
    def form(self) -> dict[str, str]:
        return self._form


class _Server(AuthorizationServer):  # type: ignore[misc]
    def __init__(self, partner: str, key: Key) -> None:
        super().__init__(scopes_supported=["read", "write"])

        class Assertions(JWTBearerGrant):  # type: ignore[misc]
            def resolve_issuer_client(self, issuer: str) -> _Client | None:
                return _Client() if issuer == partner else None

            def resolve_client_public_key(self, client: _Client) -> Key:
                return key

            def authenticate_user(self, subject: str) -> str | None:
                return subject if subject == "user-1" else None

            def has_granted_permission(self, client: _Client, user: str) -> bool:
                return True

            def get_audiences(self) -> list[str]:
                return [ISSUER]

        for grant in (grants.ClientCredentialsGrant, _Password, Assertions):
            self.register_grant(grant)
        self.register_token_generator(
            "default", BearerTokenGenerator(lambda **_: secrets.token_urlsafe(16))
        )

    def query_client(self, client_id: str) -> _Client | None:
        return _Client() if client_id == "me" else None

    def save_token(self, token: dict[str, Any], request: OAuth2Request) -> None:
        """Store nothing: the tests do not use the token."""

    def send_signal(self, name: str, *args: Any, **options: Any) -> None:
        """Ignore signals."""

    def create_oauth2_request(self, request: _Request) -> _Request:
        return request

    def handle_response(self, status: int, body: Any, headers: Any) -> tuple[int, Any, Any]:
        return status, body, headers


class AuthlibServer:
    """A running provider with one client, ``me``.

    Args:
        partner: Trusted issuer of assertions.
        key: Public key of that issuer.
    """

    def __init__(self, partner: str, key: Key) -> None:
        server = _Server(partner, key)

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                request = _Request(dict(parse_qsl(body.decode())), dict(self.headers.items()))
                status, content, headers = server.create_token_response(request)
                response = json.dumps(content).encode()
                self.send_response(status)
                for name, value in headers:
                    self.send_header(name, value)
                self.send_header("content-length", str(len(response)))
                self.end_headers()
                self.wfile.write(response)

            def log_message(self, *_: Any) -> None:
                """Suppress the log, which would contain token requests."""

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,))
        self.token_endpoint = f"http://127.0.0.1:{self._http.server_port}/token"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()
