"""A resource that introspects every token, and an application that uses it."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import requests

import grantway
from grantway._credentials.credential import Credential

CLIENT_CREDENTIALS = "client_credentials"
REVOKED = 'Bearer realm="things, all", error="invalid_token", error_description="say \\"please\\""'


class Application:
    """A registered client that requests, revokes and introspects tokens, and records them."""

    def __init__(self, issuer: str) -> None:
        made = requests.post(
            f"{issuer}/register",
            json={
                "scope": "read write",
                "grant_types": [CLIENT_CREDENTIALS],
                "token_endpoint_auth_method": "client_secret_basic",
            },
            timeout=10,
        )
        assert made.status_code == 201, made.text
        self.issuer = issuer
        self.secrets = (made.json()["client_id"], made.json()["client_secret"])
        self.client = grantway.Client(
            grantway.Provider.discover(issuer),
            client_id=self.secrets[0],
            client_secret=self.secrets[1],
        )
        #: Every token that the issuer has issued to it.
        self.tokens: list[str] = []

    def credential(self, **options: Any) -> Credential:
        return self.client.credential(
            grant_type=CLIENT_CREDENTIALS,
            scope=["read"],
            on_token=lambda token: self.tokens.append(token.access_token),
            **options,
        )

    def revoke(self, token: grantway.Token) -> None:
        response = requests.post(
            f"{self.issuer}/revoke",
            data={"token": token.access_token},
            auth=self.secrets,
            timeout=10,
        )
        assert response.status_code == 200, response.text

    def active(self, token: str) -> bool:
        response = requests.post(
            f"{self.issuer}/introspect", data={"token": token}, auth=self.secrets, timeout=10
        )
        assert response.status_code == 200, response.text
        return bool(response.json()["active"])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_problem: object) -> None:
        self.client.close()


class Seen:
    """One request that the resource received."""

    def __init__(self, method: str, path: str, headers: dict[str, str], body: bytes) -> None:
        self.method, self.path, self.headers, self.body = method, path, headers, body


#: Status and headers of fixed responses, by path.
Responses = dict[str, tuple[int, dict[str, str]]]


class Server(ThreadingHTTPServer):
    """A server for many threads that connect at once; closing it waits for all of them."""

    request_queue_size = 256
    daemon_threads = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Report errors, except that a client has closed its connection."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class Resource:
    """A server that responds to an active token with 200 and the body it received, else with 401.

    Args:
        active: Returns whether a token is active.
        responses: Fixed responses by path, sent without checking the token.
        header: Name of the header with the token, and the text before the token.
        tls: TLS context with the server's certificate, or None for plain HTTP.
    """

    def __init__(
        self,
        active: Callable[[str], bool],
        responses: Responses | None = None,
        header: tuple[str, str] = ("authorization", "Bearer "),
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.seen: list[Seen] = []
        self._open: set[socket.socket] = set()
        self._active, self._responses, self._header = active, responses or {}, header
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True
            timeout = 30  # seconds for a read, so that a connection left open by a client ends

            def setup(self) -> None:
                super().setup()
                outer._open.add(self.connection)

            def finish(self) -> None:
                outer._open.discard(self.connection)
                super().finish()

            def answer(self) -> None:
                seen = Seen(
                    self.command,
                    self.path,
                    {name.lower(): value for name, value in self.headers.items()},
                    b"".join(self.chunks()),
                )
                outer.seen.append(seen)
                status, headers = outer.respond_to(seen)
                content = json.dumps(outer.content(seen)).encode()
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PUT = answer  # noqa: N815 - the names of the base class

            def chunks(self) -> Iterable[bytes]:
                if "chunked" not in self.headers.get("Transfer-Encoding", ""):
                    yield self.rfile.read(int(self.headers.get("Content-Length", 0)))
                    return
                while size := int(self.rfile.readline(), 16):
                    yield self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()

            def log_message(self, format: str, *_words: Any) -> None:  # noqa: A002 - the name in the base class
                """Log nothing."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self._scheme = "http"
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
            self._scheme = "https"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    @property
    def url(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self._server.server_port}"

    def respond_to(self, seen: Seen) -> tuple[int, dict[str, str]]:
        if seen.path in self._responses:
            return self._responses[seen.path]
        name, prefix = self._header
        token = seen.headers.get(name, "")
        if token.startswith(prefix) and self._active(token.removeprefix(prefix)):
            return 200, {}
        return 401, {"WWW-Authenticate": REVOKED}

    def content(self, seen: Seen) -> dict[str, Any]:
        """Return the body of the response to a request, after ``respond_to``."""
        return {"sent": seen.body.decode("latin-1")}

    @property
    def authorizations(self) -> list[str]:
        """``Authorization`` of every request, in order."""
        return [seen.headers.get("authorization", "") for seen in self.seen]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_problem: object) -> None:
        self._server.shutdown()
        self._thread.join()
        for each in list(self._open):  # clients keep these open for further requests
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        self._server.server_close()
