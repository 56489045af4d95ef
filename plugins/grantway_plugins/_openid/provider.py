"""The OpenID provider at which users log in: its endpoints, client and keys; blocks the thread."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import Any

from grantway._exceptions import GrantwayError
from grantway._plugins.registry import Registry
from grantway._processes.copies import OneProcess
from grantway._processes.driving import drive
from grantway._requests.client import Client
from grantway._requests.provider import Provider
from grantway._transport.deadline import Deadline
from grantway._transport.http import HttpRequest
from grantway._transport.transport import HttpTransport
from grantway_plugins._jose.cached_keys import CachedKeys
from grantway_plugins._jose.key_set import KeySet
from grantway_plugins._jose.reading_keys import read_keys
from grantway_plugins._jose.url_rule import url_problem

from .settings import OpenIDSettings

#: Time limit for the requests of one step of a login, in seconds.
DEADLINE = 10.0
#: Maximum size of a response, in bytes.
MAX_RESPONSE = 65_536
#: Age in seconds after which the metadata is read again.
REFRESH_AFTER = 3600.0
#: Seconds between two attempts to read metadata again while the old one is used.
_PAUSE = 60.0
#: Seconds for which a failed read is not repeated.
_FAILURE_SECONDS = 2.0
_OK = 200


class UnusableProviderError(Exception):
    """Raised if the provider publishes something that cannot be used; says what."""


@dataclass(frozen=True, slots=True)
class Connection:
    """The provider as its metadata describes it.

    Attributes:
        client: The client there.
        keys: The keys of its ID tokens.
    """

    client: Client
    keys: CachedKeys

    @property
    def provider(self) -> Provider:
        """The provider's endpoints and metadata."""
        return self.client.provider

    def current_keys(self) -> KeySet:
        """Return the keys, and read them first if that is necessary.

        Raises:
            KeysUnavailableError: they cannot be read.
        """
        return drive(self.keys.current(), Future.result)

    def newer_keys(self, known: KeySet) -> KeySet:
        """Return newer keys than the known ones, which may be the same if they were just read.

        Raises:
            KeysUnavailableError: they cannot be read.
        """
        return drive(self.keys.after(known), Future.result)


@dataclass(frozen=True, slots=True)
class _Published:
    """The place of the provider's keys."""

    issuer: str
    jwks_uri: str
    ca_bundle: str | None
    jwks_file: None = None
    token_file: None = None


class OpenIDProvider(OneProcess):
    """Reads the provider's metadata when it is needed, and again every hour.

    Args:
        settings: Settings of the client.
        registry: Registered plugins, for the client.
        owner: The client in log messages: ``issuer`` or ``gateway``.
        timer: A clock that never runs backwards, in seconds.
    """

    def __init__(
        self,
        settings: OpenIDSettings,
        registry: Registry,
        owner: str,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._registry = registry
        self._timer = timer
        self._log = logging.getLogger(f"grantway.{owner}")
        self._lock = threading.Lock()
        self._connection: Connection | None = None
        self._read_at = 0.0
        self._problem = ""
        self._transport = HttpTransport(
            connect_timeout=DEADLINE / 2,
            read_timeout=DEADLINE / 2,
            max_response=MAX_RESPONSE,
            ca_bundle=settings.ca_bundle,
        )

    def connection(self) -> Connection:
        """Return the provider; read its metadata if it is not known or an hour old.

        Metadata that cannot be read again is used further. After a failure, the callers that
        waited for the same read get the same error at once.

        Raises:
            UnusableProviderError: the metadata cannot be read, or a part of it is missing.
        """
        with self._lock:
            known, age = self._connection, self._timer() - self._read_at
            if known is not None and age < REFRESH_AFTER:
                return known
            if known is None and self._problem and age < _FAILURE_SECONDS:
                raise UnusableProviderError(self._problem)
            try:
                self._connection = self._connect(known)
            except (GrantwayError, UnusableProviderError) as error:
                self._problem = getattr(error, "message", None) or str(error)
            else:
                self._problem = ""
            self._read_at = self._timer()
            if self._problem and known is not None:
                self._log.warning(
                    "The metadata of %s cannot be read again, so the old one is used: %s",
                    self._settings.issuer,
                    self._problem,
                )
                self._read_at -= REFRESH_AFTER - _PAUSE
            if self._connection is not None:
                return self._connection
            raise UnusableProviderError(self._problem)

    def userinfo(self, connection: Connection, access_token: str) -> Mapping[str, Any] | None:
        """Return the response of the userinfo endpoint (OpenID Connect Core section 5.3).

        Returns:
            The claims; None if the provider has no such endpoint.

        Raises:
            GrantwayError: the request failed.
            UnusableProviderError: the response is not a JSON object.
        """
        if not connection.provider.metadata.get("userinfo_endpoint"):
            return None
        request = HttpRequest(
            "GET",
            connection.provider.endpoint("userinfo"),
            {"Accept": "application/json", "Authorization": f"Bearer {access_token}"},
        )
        response = self._transport.send(request, Deadline(DEADLINE))
        if response.status != _OK:
            raise UnusableProviderError(f"the userinfo endpoint returned status {response.status}")
        try:
            claims = json.loads(response.body)
        except (ValueError, RecursionError):
            claims = None
        if not isinstance(claims, dict):
            raise UnusableProviderError(
                "the response of the userinfo endpoint is not a JSON object"
            )
        return claims

    def _connect(self, known: Connection | None) -> Connection:
        settings = self._settings
        provider = Provider.discover(settings.issuer, timeout=DEADLINE, transport=self._transport)
        provider.endpoint("authorization")
        jwks_uri = provider.metadata.get("jwks_uri")
        if not isinstance(jwks_uri, str):
            raise UnusableProviderError("its metadata has no jwks_uri")
        if problem := url_problem("jwks_uri", jwks_uri):
            raise UnusableProviderError(f"the jwks_uri in its metadata {problem}")
        if known is not None and known.provider == provider:
            return known  # with its keys
        client = Client(
            provider,
            client_id=settings.client_id,
            client_secret=settings.client_secret,
            auth=settings.auth_method,
            registry=self._registry,
            transport=self._transport,
            timeout=DEADLINE,
        )
        published = _Published(settings.issuer, jwks_uri, settings.ca_bundle)
        return Connection(client, CachedKeys(settings.issuer, partial(read_keys, published)))
