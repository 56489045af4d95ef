"""Client authentication with the current secret of a source."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from grantway._exceptions import ConfigurationError
from grantway._log import logger
from grantway._processes.copies import OneProcess
from grantway._secrets.hidden_arguments import hides_arguments

from .cached_source import cached
from .client_auth import ClientAuth, check_client_auth

if TYPE_CHECKING:
    from grantway._types.secret_source import SecretSource

    from .outgoing_request import OutgoingRequest


class SourcedAuth(OneProcess):
    """Client authentication with the current secret of a source.

    ``Client(client_secret=source)`` creates one. Create it yourself to wrap it, for example in
    ``DPoP``, or for a secret such as a private key::

        SourcedAuth("my-client", source, lambda key: PrivateKeyJwt("my-client", key))

    Args:
        client_id: The client identifier.
        source: The source. It is read before a request, if its last secret is not fresh, and once
            more if the provider rejects the client.
        make: Creates the client authentication for a secret.
        setting: The setting in errors.

    Attributes:
        secret_sources: The settings and their sources, which grantway reads before each request.

    Raises:
        ConfigurationError: ``source`` is not a secret source, or is single-use.
    """

    stays = "it holds a secret; create it in the process that uses it"

    def __init__(
        self,
        client_id: str,
        source: SecretSource,
        make: Callable[[str], ClientAuth],
        *,
        setting: str = "auth",
    ) -> None:
        self._client_id = client_id
        self._source = cached(source, setting)
        if self._source.single_use:
            rule = "is single-use, so it can only supply a parameter of a grant"
            raise ConfigurationError(
                f"{setting}: {self._source.named} {rule}; write a client authentication method, "
                "whose authenticate is called for each send.",
                errors={setting: [rule]},
            )
        self.secret_sources = ((setting, self._source),)
        self._make = make
        self._made: _Made | None = None

    @property
    def client_id(self) -> str:
        """The client identifier."""
        return self._client_id

    def authenticate(self, request: OutgoingRequest) -> None:
        """Authenticate the request with the current secret."""
        return self.current().authenticate(request)

    def secrets(self) -> tuple[str, ...]:
        """Return the secret and the previous one, which a request in progress may contain."""
        made = self._made
        return () if made is None else (*made.auth.secrets(), *made.before)

    @hides_arguments
    def current(self) -> ClientAuth:
        """Return the client authentication with the current secret.

        Raises:
            SecretUnavailableError: The source cannot be read.
            ConfigurationError: The secret cannot be used for this method.
        """
        made, secret = self._made, self._source()
        if made is None or made.secret != secret:
            before = () if made is None else made.auth.secrets()
            if made is not None:
                logger.info("The secret of client %s has changed", self._client_id)
            made = _Made(secret, check_client_auth(self._make(secret)), before)
            self._made = made
        return made.auth

    def __repr__(self) -> str:
        return f"SourcedAuth({self._client_id!r}, {self._source!r})"


@dataclass(frozen=True, slots=True)
class _Made:
    """The client authentication for a secret, and the secrets of the previous one."""

    secret: str = field(repr=False)
    auth: ClientAuth = field(repr=False)
    before: tuple[str, ...] = field(repr=False)
