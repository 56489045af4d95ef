"""An issuer of workload tokens for tests, which publishes its keys like Kubernetes and GitHub."""

from __future__ import annotations

import json
import os
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from grantway._processes.copies import OneProcess
from grantway_plugins.client_auth import SigningKey

METADATA, KEYS = "/.well-known/openid-configuration", "/openid/v1/jwks"


class WorkloadIssuer(OneProcess):
    """Signs tokens for workloads, and publishes its metadata and keys on 127.0.0.1.

    It stands for a Kubernetes cluster, GitHub Actions, a SPIFFE trust domain or a cloud. ::

        with WorkloadIssuer() as cluster:
            token = cluster.token("system:serviceaccount:prod:orders", audience=server.url)

    Args:
        issuer: The ``iss`` of the tokens; by default the URL, so that the keys can be discovered.
        clock: Returns seconds since the epoch.
        port: Port to listen on; 0 picks a free one.
    """

    stays = "it listens on a socket; send its url instead"

    def __init__(
        self,
        issuer: str | None = None,
        *,
        clock: Callable[[], float] = time.time,
        port: int = 0,
    ) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", port), _handler(self))
        self._server.daemon_threads = True
        #: URL of the issuer.
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        #: The ``iss`` of its tokens.
        self.issuer = issuer or self.url
        #: URL of its keys.
        self.jwks_uri = f"{self.url}{KEYS}"
        #: Number of requests, by path.
        self.requests = Counter[str]()
        self._clock = clock
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), name="workload-issuer", daemon=True
        )
        self._published: list[dict[str, Any]] = []
        self.rotate()

    def rotate(self, *, keep: bool = False) -> None:
        """Sign further tokens with a new key.

        Args:
            keep: Whether to publish the previous keys as well, so that older tokens stay valid.
        """
        from joserfc.jwk import ECKey  # noqa: PLC0415 - loaded when needed

        made = ECKey.generate_key("P-256", {"kid": secrets.token_hex(8)})
        self._key = SigningKey(made)
        kept = self._published if keep else []
        self._published = [*kept, dict(made.as_dict(private=False))]

    def jwks(self) -> dict[str, Any]:
        """Return the published JWK Set."""
        return {"keys": list(self._published)}

    def token(
        self,
        subject: str,
        audience: str | list[str],
        *,
        lifetime: float = 600,
        header: Mapping[str, Any] | None = None,
        **claims: Any,
    ) -> str:
        """Return a signed token.

        Args:
            subject: The ``sub`` claim.
            audience: The ``aud`` claim.
            lifetime: Seconds until the token expires.
            header: Header members that replace the usual ones; None removes a member.
            **claims: Claims that replace the usual ones; None removes a claim.
        """
        now = int(self._clock())
        usual: dict[str, Any] = {
            "iss": self.issuer,
            "sub": subject,
            "aud": audience,
            "iat": now,
            "exp": int(now + lifetime),
        }
        return self._key.sign(
            _given({"kid": self._key.kid, **(header or {})}), _given({**usual, **claims})
        )

    def write_token(self, path: Path, subject: str, audience: str, **options: Any) -> None:
        """Write a new token into a file, and replace the previous one at once.

        Args:
            path: The file, which only this user can read.
            subject: As for ``token``.
            audience: As for ``token``.
            **options: Further arguments of ``token``.
        """
        new = path.with_name(f".{path.name}.new")
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "w", encoding="ascii") as file:  # noqa: PTH123 - a descriptor
            file.write(self.token(subject, audience, **options))
        new.replace(path)

    def metadata(self) -> dict[str, Any]:
        """Return the published metadata."""
        return {
            "issuer": self.issuer,
            "jwks_uri": self.jwks_uri,
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
        }

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def _given(members: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}


def _handler(issuer: WorkloadIssuer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            issuer.requests[self.path] += 1
            documents = {METADATA: issuer.metadata, KEYS: issuer.jwks}
            found = documents.get(self.path)
            body = json.dumps(found() if found else {}).encode()
            self.send_response(200 if found else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class
            pass

    return Handler
