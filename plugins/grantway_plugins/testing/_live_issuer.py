"""An issuer for tests, and clients that are registered with it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from types import MappingProxyType, TracebackType
from typing import Any, Self

from grantway._exceptions import RegistryError, ResponseInvalidError
from grantway._plugins.registry import Registry
from grantway._processes.copies import OneProcess
from grantway._requests.client import Client
from grantway._requests.provider import Provider
from grantway._transport.deadline import Deadline
from grantway._transport.http import HttpRequest
from grantway._transport.transport import HttpTransport
from grantway.testing import Register
from grantway_plugins.issuer import IssuerServer, IssuerSettings
from grantway_plugins.issuer._browser_driver import BrowserDriver
from grantway_plugins.issuer._decisions.issuer import offered_grants

#: Redirect URI of the registered clients.
REDIRECT_URI = "http://127.0.0.1/callback"
#: Timeout of a registration in seconds.
TIMEOUT = 10.0
_CREATED = 201


class LiveIssuer(OneProcess):
    """The embedded issuer on a free port of 127.0.0.1, started when it is first used.

    Args:
        register: Registers the plugins of the test.
        settings: Settings of the issuer.
        clock: Returns the Unix time; by default ``time.time``.
    """

    stays = "it listens on a socket; send its url instead"

    def __init__(
        self,
        register: Register,
        settings: IssuerSettings,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._register = register
        self._settings = settings
        self._clock = clock or time.time
        self._open = ExitStack()
        self._server: IssuerServer | None = None
        self._registry: Registry | None = None

    @property
    def server(self) -> IssuerServer:
        """The server, with its store and settings.

        Raises:
            RegistryError: A plugin was registered after the issuer had started.
        """
        registry = self._register.registry
        if self._server is None:
            self._server = self._open.enter_context(
                IssuerServer(self._settings, registry=registry, clock=self._clock)
            )
            self._registry = registry
        elif registry is not self._registry:
            raise RegistryError(
                "A plugin was registered after the issuer had started, so the issuer does not "
                "know it. Register plugins before grantway_issuer is first used."
            )
        return self._server

    @property
    def url(self) -> str:
        """Address of the issuer."""
        return self.server.url

    @property
    def provider(self) -> Provider:
        """The issuer as a provider, from its metadata."""
        return Provider.discover(self.url)

    def client(
        self,
        *,
        scope: Sequence[str] = ("read", "write"),
        grant_types: Sequence[str] | None = None,
        auth: str = "client_secret_basic",
        metadata: Mapping[str, Any] = MappingProxyType({}),
        **options: Any,
    ) -> Client:
        """Register a client and return it. It is closed at the end of the test.

        Args:
            scope: Scopes that the client may request.
            grant_types: Grants that the client may use; by default all that the issuer supports.
            auth: Client authentication: ``client_secret_basic``, ``client_secret_post``, ``none``,
                or a method of a plugin.
            metadata: More metadata of the client, such as that of the method.
            **options: Arguments of ``grantway.Client``, such as ``timeout``.

        Raises:
            ResponseInvalidError: The issuer rejected the registration; gives the reason.
        """
        server = self.server
        assert self._registry is not None  # set by ``server``
        registered = _registered(
            server.url,
            {
                "client_name": "grantway.testing",
                "scope": " ".join(scope),
                "grant_types": list(grant_types or offered_grants(self._registry, self._settings)),
                "redirect_uris": [REDIRECT_URI],
                "token_endpoint_auth_method": auth,
                **metadata,
            },
        )
        client = Client(
            self.provider,
            client_id=registered["client_id"],
            client_secret=registered.get("client_secret"),
            auth=auth,
            registry=options.pop("registry", self._registry),
            **options,
        )
        return self._open.enter_context(client)

    def browser_driver(self) -> BrowserDriver:
        """Return a browser substitute for the issuer's pages, which is closed with the issuer."""
        return self._open.enter_context(BrowserDriver())

    def close(self) -> None:
        """Close the clients, and stop the issuer."""
        self._open.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _registered(url: str, metadata: dict[str, Any]) -> dict[str, Any]:
    """Register a client (RFC 7591), and return the response."""
    transport = HttpTransport(trust_env=False)
    try:
        response = transport.send(
            HttpRequest(
                "POST",
                f"{url}/register",
                {"Content-Type": "application/json"},
                json.dumps(metadata).encode(),
            ),
            Deadline(TIMEOUT),
        )
    finally:
        transport.close()
    found: dict[str, Any] = json.loads(response.body)
    if response.status != _CREATED:
        raise ResponseInvalidError(f"The issuer rejected the client: {found}")
    return found
