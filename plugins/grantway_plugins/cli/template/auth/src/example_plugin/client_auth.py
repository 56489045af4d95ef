"""The client authentication: what it adds to a request, and which values are secret."""

from __future__ import annotations

from dataclasses import dataclass, field

from grantway import ConfigurationError, OutgoingRequest

HEADER = "X-Client-Secret"


@dataclass(frozen=True)
class HeaderSecret:
    """Sends the client secret in a header.

    Attributes:
        client_id: The client identifier.
        client_secret: The client secret.
    """

    client_id: str
    client_secret: str = field(repr=False)

    def authenticate(self, request: OutgoingRequest, /) -> None:
        """Add the authentication to a request; called for each send."""
        request.fields["client_id"] = self.client_id
        request.headers[HEADER] = self.client_secret

    def secrets(self) -> tuple[str, ...]:
        """Return the secret values, in every encoding that is sent."""
        return (self.client_secret,)


def header_secret(client_id: str, client_secret: str | None) -> HeaderSecret:
    """Create the client authentication from the arguments of ``grantway.Client``."""
    if not client_secret:
        message = "client_secret: is missing; this method requires it."
        raise ConfigurationError(message)
    return HeaderSecret(client_id, client_secret)
