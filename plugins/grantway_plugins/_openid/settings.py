"""The settings of a client at an OpenID provider."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from grantway._types.secret_source import SecretSource


class OpenIDSettings(Protocol):
    """The settings of a client at an OpenID provider."""

    @property
    def issuer(self) -> str:
        """The provider's issuer identifier."""
        ...

    @property
    def client_id(self) -> str:
        """The client id at the provider."""
        ...

    @property
    def client_secret(self) -> str | SecretSource | None:
        """Its secret, or a source of it; None for a public client."""
        ...

    @property
    def auth_method(self) -> str:
        """The client's authentication at the token endpoint."""
        ...

    @property
    def scopes(self) -> tuple[str, ...]:
        """Scopes to request."""
        ...

    @property
    def userinfo(self) -> bool:
        """Whether to request further claims from the userinfo endpoint."""
        ...

    @property
    def parameters(self) -> Mapping[str, str]:
        """Further parameters of authorization requests."""
        ...

    @property
    def prompts(self) -> Mapping[str, str]:
        """Values of ``prompt`` -> values to send instead; an empty one sends none."""
        ...

    @property
    def ca_bundle(self) -> str | None:
        """Path of a PEM file with the certificates to trust."""
        ...
