"""A client that refreshes each token with the registration that lies beside it in the cache."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from grantway._exceptions import Evidence, InvalidClientException, LoginNeededError
from grantway._requests.client import Client
from grantway._types.grant import Params
from grantway_plugins.aws._cache.times import read_time

from .registration import Registration

if TYPE_CHECKING:
    from grantway._requests.exchange import OutgoingRequest
    from grantway._requests.provider import Provider
    from grantway._types.token import Token
    from grantway_plugins.aws._cache.store import AwsCliStore
    from grantway_plugins.aws._config.sso_config import SsoConfig

_REFRESH = "refresh_token"


def login_needed(
    config: SsoConfig, why: str, *, evidence: Evidence | None = None
) -> LoginNeededError:
    """The error that says why, and which command logs in."""
    return LoginNeededError(
        f"{config.key}: {why}. Log in again: {config.login_command}, or grantway login "
        f"{config.option}",
        evidence=evidence,
    )


class StoredClient(Client):
    """Registers clients, and refreshes tokens that were loaded from the cache.

    Args:
        provider: Who is asked.
        store: The cache.
        config: The login.
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
        """As ``Client.create_token``; the token has its registration in ``extra``.

        Raises:
            LoginNeededError: the registration has ended, or the service does not take it.
        """
        options = Params(options)  # so that a traceback that shows locals shows no value
        try:
            token = super().create_token(grant_type=grant_type, **options)
        except InvalidClientException as refused:
            evidence = refused.evidence
        else:
            # Wherever it is saved, even where the file was removed meanwhile, it is whole.
            kept = self._store.registration_of(options.get(_REFRESH, ""))
            return replace(token, extra={**token.extra, **kept})
        raise login_needed(
            self._config, "the service does not take its client registration", evidence=evidence
        )


def can_refresh(token: Token) -> bool:
    """Return whether a token from the cache has what a refresh needs: see ``StoredClient``."""
    registration = _as_registration(Params(token.extra))
    lasts = registration is not None and registration.expires_at > time.time()
    return lasts and bool(token.refresh_token)


class _StoredRegistration:
    """Client authentication by the registration that a refresh token was stored with."""

    def __init__(self, store: AwsCliStore, config: SsoConfig) -> None:
        self._store = store
        self._config = config

    @property
    def client_id(self) -> str:
        """What errors call the client: its registration may be another tomorrow."""
        return f"sso-session {self._config.key}"

    def authenticate(self, draft: OutgoingRequest) -> None:
        """Add the registration's id and secret.

        Raises:
            LoginNeededError: it has ended, or there is none; nothing was sent.
        """
        if draft.step == "registration":
            return  # a client that registers has no name yet
        registration = _as_registration(self._store.registration_of(draft.fields[_REFRESH]))
        if registration is None:
            raise login_needed(self._config, "no client registration is stored beside its token")
        if registration.expires_at <= time.time():
            raise login_needed(self._config, "its client registration has ended")
        draft.fields["client_id"] = registration.client_id
        draft.fields["client_secret"] = registration.client_secret
        draft.secrets = (*draft.secrets, registration.client_secret)

    def secrets(self) -> tuple[str, ...]:
        """There are none that last; that of a send the draft keeps."""
        return ()


def _as_registration(fields: Mapping[str, str]) -> Registration | None:
    expires_at = read_time(fields.get("registrationExpiresAt"))
    if expires_at is None or not fields.get("clientId") or not fields.get("clientSecret"):
        return None
    return Registration(fields["clientId"], fields["clientSecret"], expires_at)
