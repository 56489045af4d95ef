"""The interface through which credentials request tokens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from grantway._types.grant import Grant
from grantway._types.token import Token
from grantway._wire.dialect import Dialect


class Provider(Protocol):
    """The identity of a provider; see ``grantway.Provider``."""

    @property
    def issuer(self) -> str | None:
        """The issuer identifier (RFC 8414)."""
        ...

    @property
    def token_endpoint(self) -> str:
        """The URL of the token endpoint."""
        ...

    @property
    def host(self) -> str:
        """The host of the token endpoint, for messages."""
        ...

    @property
    def resource(self) -> str | None:
        """The protected resource that tokens are for (RFC 8707)."""
        ...


class Grants(Protocol):
    """The registered grants; see ``grantway.Registry``."""

    def grant(self, grant_type: str) -> Grant:
        """Return a grant, or raise ``UnknownGrantTypeError``."""
        ...


class TokenSource(Protocol):
    """Requests tokens from one provider. ``grantway.Client`` is one."""

    @property
    def provider(self) -> Provider:
        """The provider."""
        ...

    @property
    def dialect(self) -> Dialect:
        """The provider's dialect, which has the default refresh windows."""
        ...

    @property
    def registry(self) -> Grants:
        """The registered grants."""
        ...

    @property
    def client_id(self) -> str:
        """The client identifier."""
        ...

    @property
    def auth(self) -> object:
        """The client authentication; its ``thumbprint``, if any, is the key of bound tokens."""
        ...

    @property
    def timeout(self) -> float:
        """Seconds for one request, over all attempts and waits."""
        ...

    def create_token(
        self,
        *,
        grant_type: str,
        extra: Mapping[str, str | list[str]] | None = None,
        **params: Any,
    ) -> Token:
        """Request a token; see ``grantway.Client.create_token``."""
        ...

    async def create_token_async(
        self,
        *,
        grant_type: str,
        extra: Mapping[str, str | list[str]] | None = None,
        **params: Any,
    ) -> Token:
        """Request a token without blocking the event loop.

        See ``grantway.Client.create_token_async``.
        """
        ...
