"""An OpenID provider that logs its user in without asking, and misbehaves on demand."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlencode, urlsplit

from grantway_plugins.testing import WorkloadIssuer

Answer = tuple[int, bytes]
ACCESS_TOKEN = "upstream-access-token"


class Upstream:
    """The provider. The attributes change its behaviour; ``reset`` restores the usual one.

    Attributes:
        url: Its issuer identifier.
        keys: Signs the ID tokens, and publishes the keys.
        metadata: Members that replace those of the metadata; None removes one.
        claims: Claims that replace those of the ID token; None removes one.
        header: Members that replace those of the ID token's header.
        userinfo: Response of the userinfo endpoint.
        redirect: Parameters that replace those of the redirect to the issuer; None removes one.
        token: Members that replace those of the token response; None removes one.
        answers: Complete answers by path.
        asked: Parameters of the last authorization request.
        sent: Parameters of the last token request.
        release: Set while the provider answers at all.
    """

    def __init__(self) -> None:
        self.release = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self.keys = WorkloadIssuer(self.url)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._exits = ExitStack()
        self.reset()

    def __enter__(self) -> Self:
        self._exits.enter_context(self.keys)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._exits.close()

    def reset(self) -> None:
        """Restore the usual behaviour."""
        self.metadata: dict[str, Any] = {}
        self.claims: dict[str, Any] = {}
        self.header: dict[str, Any] = {}
        self.userinfo: Any = {"sub": "ada", "email": "ada@example.com", "email_verified": True}
        self.redirect: dict[str, Any] = {}
        self.token: dict[str, Any] = {}
        self.answers: dict[str, Answer] = {}
        self.asked: dict[str, str] = {}
        self.sent: dict[str, str] = {}
        self.release.set()

    def answer(self, path: str, query: Mapping[str, str]) -> tuple[int, bytes, str]:
        """Return the status, the body and the address of a redirect."""
        if path in self.answers:
            return (*self.answers[path], "")
        if path == "/.well-known/openid-configuration":
            return 200, _json(self._metadata()), ""
        if path in {"/authorize", "/end"}:
            self.asked = dict(query)
            return 303, b"", self._back(path, query)
        if path == "/token":
            usual = {
                "access_token": ACCESS_TOKEN,
                "token_type": "Bearer",
                "refresh_token": "upstream-refresh-token",
                "id_token": self._id_token(),
            }
            return 200, _json(_given({**usual, **self.token})), ""
        if path == "/userinfo":
            return 200, _json(self.userinfo), ""
        return 404, b"", ""

    def _back(self, path: str, query: Mapping[str, str]) -> str:
        """Return where to send the browser after a login or logout."""
        if path == "/end":
            return f"{query['post_logout_redirect_uri']}?{urlencode({'state': query['state']})}"
        usual = {"code": "upstream-code", "state": query["state"], "iss": self.url}
        return f"{query['redirect_uri']}?{urlencode(_given({**usual, **self.redirect}))}"

    def _metadata(self) -> dict[str, Any]:
        usual = {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "userinfo_endpoint": f"{self.url}/userinfo",
            "end_session_endpoint": f"{self.url}/end",
            "jwks_uri": self.keys.jwks_uri,
            "authorization_response_iss_parameter_supported": True,
        }
        return _given({**usual, **self.metadata})

    def _id_token(self) -> str:
        half = hashlib.sha256(ACCESS_TOKEN.encode()).digest()[:16]
        usual = {
            "nonce": self.asked.get("nonce"),
            "at_hash": base64.urlsafe_b64encode(half).rstrip(b"=").decode(),
        }
        claims = {**usual, **self.claims}
        subject, audience = claims.pop("sub", "ada"), claims.pop("aud", "issuer")
        return self.keys.token(subject, audience, header=self.header, **claims)


def _given(members: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}


def _json(content: Any) -> bytes:
    return json.dumps(content).encode()


def _handler(upstream: Upstream) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer()

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"])).decode()
            upstream.sent = {name: values[0] for name, values in parse_qs(body).items()}
            self._answer()

        def _answer(self) -> None:
            upstream.release.wait(60)
            parts = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            status, body, location = upstream.answer(parts.path, query)
            self.send_response(status)
            if location:
                self.send_header("location", location)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - inherited name
            pass

    return Handler
