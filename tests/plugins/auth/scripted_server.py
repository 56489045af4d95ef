"""A resource and its authorization server in one, whose responses a test can change."""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler
from typing import Any, NamedTuple, Self
from urllib.parse import parse_qsl, urlencode, urlsplit

from tests.plugins.auth.resource import Server

RESOURCE_METADATA = "/.well-known/oauth-protected-resource"
ISSUER_METADATA = "/.well-known/oauth-authorization-server"


class Request(NamedTuple):
    """A request, with its query or form."""

    method: str
    path: str
    fields: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def token(self) -> str:
        """The access token of the request."""
        return self.headers.get("authorization", "").removeprefix("Bearer ")


class Response(NamedTuple):
    """A response; a body that is not bytes is sent as JSON."""

    status: int = 200
    body: object = b""
    headers: Mapping[str, str] = {}


#: Returns another response, or None for the usual one. Gets the request and the usual response.
Script = Callable[[Request, Response], Response | None]


class ScriptedServer:
    """A resource at ``/mcp``, and the authorization server that it names.

    It approves every login, and accepts the tokens that it has issued until ``revoke_tokens``.

    Attributes:
        scripts: Functions that change responses, by path.
        requests: The requests, with the status of each response.
        tokens: The access tokens that the resource accepts.
    """

    def __init__(self) -> None:
        self.scripts: dict[str, Script] = {}
        self.requests: list[tuple[Request, int]] = []
        self.tokens: set[str] = set()
        self._issued = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 30

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                url = urlsplit(self.path)
                fields = dict(parse_qsl(url.query or body.decode("latin-1")))
                headers = {name.lower(): value for name, value in self.headers.items()}
                request = Request(self.command, url.path, fields, headers, body)
                response = outer.respond(request)
                outer.requests.append((request, response.status))
                content = response.body
                if not isinstance(content, bytes):
                    content = json.dumps(content).encode()
                self.send_response(response.status)
                for name, value in {
                    "Content-Type": "application/json",
                    "Connection": "close",
                    **response.headers,
                }.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = answer  # noqa: N815 - the names of the base class

            def log_message(self, format: str, *_words: Any) -> None:  # noqa: A002 - the name in the base class
                """Log nothing."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    @property
    def mcp(self) -> str:
        """URL of the resource."""
        return f"{self.url}/mcp"

    def respond(self, request: Request) -> Response:
        """Return the response to a request."""
        usual = self._usual(request)
        script = self.scripts.get(request.path)
        changed = None if script is None else script(request, usual)
        return usual if changed is None else changed

    def script(self, path: str, script: Script) -> None:
        """Change the responses of a path."""
        self.scripts[path] = script

    def change(self, path: str, **members: object) -> None:
        """Replace members of the JSON of successful responses of a path; ``...`` removes one."""

        def changed(_request: Request, usual: Response) -> Response:
            assert isinstance(usual.body, dict)
            found = {**usual.body, **members}
            return usual._replace(body={k: v for k, v in found.items() if v is not ...})

        self.script(path, changed)

    def revoke_tokens(self) -> None:
        """Reject all access tokens that were issued so far."""
        self.tokens.clear()

    def statuses(self, path: str, **fields: str) -> list[int]:
        """Return the statuses of the responses of a path to requests with these fields."""
        return [
            status
            for request, status in self.requests
            if request.path == path and fields.items() <= request.fields.items()
        ]

    def _usual(self, request: Request) -> Response:
        usual = {
            "/mcp": self._resource,
            f"{RESOURCE_METADATA}/mcp": self._resource_metadata,
            ISSUER_METADATA: self._metadata,
            "/register": self._register,
            "/authorize": self._authorize,
            "/token": self._token,
        }.get(request.path)
        if usual is None:
            return Response(404, b"<h1>Not found</h1>", {"Content-Type": "text/html"})
        return usual(request)

    def _resource(self, request: Request) -> Response:
        if request.token in self.tokens:
            return Response(200, {})
        document = f"{self.url}{RESOURCE_METADATA}/mcp"
        challenge = f'Bearer resource_metadata="{document}"'
        return Response(401, {}, {"WWW-Authenticate": challenge})

    def _resource_metadata(self, _request: Request) -> Response:
        return Response(200, {"resource": self.mcp, "authorization_servers": [self.url]})

    def _register(self, request: Request) -> Response:
        return Response(201, {"client_id": "the-client", **json.loads(request.body)})

    def _authorize(self, request: Request) -> Response:
        answer = {"code": secrets.token_hex(8), "state": request.fields["state"]}
        target = f"{request.fields['redirect_uri']}?{urlencode(answer)}"
        return Response(302, {}, {"Location": target})

    def _metadata(self, _request: Request) -> Response:
        metadata = {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "registration_endpoint": f"{self.url}/register",
            "response_types_supported": ["code"],
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["none", "client_secret_post"],
        }
        return Response(200, metadata)

    def _token(self, _request: Request) -> Response:
        self._issued += 1
        token = f"access-{self._issued}"
        self.tokens.add(token)
        members = {
            "access_token": token,
            "token_type": "Bearer",
            "expires_in": 3600,
            "refresh_token": f"refresh-{self._issued}",
        }
        return Response(200, members)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_problem: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class ExactServer(ScriptedServer):
    """A server that redirects only to the redirect URIs that were registered, with their ports.

    Attributes:
        registered: The registered redirect URIs.
        redirected: The redirect URIs of logins.
    """

    def __init__(self) -> None:
        super().__init__()
        self.registered: list[str] = []
        self.redirected: list[str] = []
        self.script("/register", self._record)
        self.script("/authorize", self._redirect)

    def _record(self, request: Request, _usual: Response) -> None:
        self.registered = json.loads(request.body)["redirect_uris"]

    def _redirect(self, request: Request, _usual: Response) -> Response | None:
        self.redirected.append(request.fields["redirect_uri"])
        if self.redirected[-1] in self.registered:
            return None
        return Response(400, {"error": "invalid_request"})
