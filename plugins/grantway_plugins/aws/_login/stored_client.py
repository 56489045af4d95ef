"""A client that refreshes tokens with the registration that is stored with each of them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from grantway._exceptions import Evidence, InvalidClientException, LoginNeededError
from grantway._requests.client import Client
from grantway._secrets.params import Params
from grantway_plugins.aws._cache.times import read_time

from .registration import Registration

if TYPE_CHECKING:
    from grantway._requests.outgoing_request import OutgoingRequest
    from grantway._requests.provider import Provider
    from grantway._types.token import Token
    from grantway_plugins.aws._cache.store import AwsCliStore
    from grantway_plugins.aws._config.sso_config import SsoConfig

_REFRESH = "refresh_token"


def login_needed(
    config: SsoConfig, why: str, *, evidence: Evidence | None = None
) -> LoginNeededError:
    """Return an error with the reason and the command that logs in."""
    return LoginNeededError(
        f"{config.key}: {why}. Log in again: {config.login_command}, or grantway login "
        f"{config.option}",
        evidence=evidence,
    )


class StoredClient(Client):
    """A client that registers clients, and refreshes tokens loaded from the cache.

    Args:
        provider: The service.
        store: Store in the AWS CLI's cache.
        config: Configuration of the login.
        **options: Arguments of ``Client``.
    """

    def __init__(
        self, provider: Provider, store: AwsCliStore, config: SsoConfig, **options: Any
    ) -> None:
        auth = _StoredRegistration(store, config)
        super().__init__(provider, client_id=auth.client_id, auth=auth, **options)
        self._store = store
        self._config = config

    def create_token(self, *, grant_type: str, **options: Any) -> Token:
        """Request a token as ``Client.create_token`` does, and add its registration to ``extra``.

        Raises:
            LoginNeededError: The registration expired, or the service rejects it.
        """
        options = Params(options)  # error reports with locals must not show the values
        try:
            token = super().create_token(grant_type=grant_type, **options)
        except InvalidClientException as refused:
            evidence = refused.evidence
        else:
            # So that the token is saved with its registration even if the file was removed.
            registration = self._store.registration_of(options.get(_REFRESH, ""))
            return replace(token, extra={**token.extra, **registration})
        raise login_needed(
            self._config, "the service rejects its client registration", evidence=evidence
        )


def can_refresh(token: Token) -> bool:
    """Return whether a token from the cache has a refresh token and a valid registration."""
    registration = _as_registration(Params(token.extra))
    valid = registration is not None and registration.expires_at > time.time()
    return valid and bool(token.refresh_token)


class _StoredRegistration:
    """Client authentication with the registration that is stored with a refresh token."""

    def __init__(self, store: AwsCliStore, config: SsoConfig) -> None:
        self._store = store
        self._config = config

    @property
    def client_id(self) -> str:
        """Name of the client in errors. The real client ID changes with each registration."""
        return f"sso-session {self._config.key}"

    def authenticate(self, request: OutgoingRequest) -> None:
        """Add the registration's ID and secret to the request.

        Raises:
            LoginNeededError: The registration expired or is missing. Nothing was sent.
        """
        if request.step == "registration":
            return  # a registration request has no client ID
        registration = _as_registration(self._store.registration_of(request.fields[_REFRESH]))
        if registration is None:
            raise login_needed(self._config, "no client registration is stored with its token")
        if registration.expires_at <= time.time():
            raise login_needed(self._config, "its client registration has expired")
        request.fields["client_id"] = registration.client_id
        request.fields["client_secret"] = registration.client_secret
        request.secrets = (*request.secrets, registration.client_secret)

    def secrets(self) -> tuple[str, ...]:
        """Return nothing: ``authenticate`` adds the secret to the request."""
        return ()


def _as_registration(fields: Mapping[str, str]) -> Registration | None:
    expires_at = read_time(fields.get("registrationExpiresAt"))
    if expires_at is None or not fields.get("clientId") or not fields.get("clientSecret"):
        return None
    return Registration(fields["clientId"], fields["clientSecret"], expires_at)
