"""Errors of a credential and of its store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .base import Evidence, GrantwayError

if TYPE_CHECKING:
    from grantway._types.token import Token


class CredentialError(GrantwayError):
    """A credential could not provide a token."""

    code = "credential_error"


class LoginNeededError(CredentialError):
    """There is no token, and a user has to log in to get one."""

    code = "login_needed"


class WaitTimeoutError(CredentialError, TimeoutError):
    """The running refresh took longer than the caller's timeout; it continues."""

    code = "wait_timeout"


class ProviderPausedError(CredentialError):
    """No request was sent: the provider failed a moment ago, or sent ``Retry-After``.

    Attributes:
        retry_after: Seconds until the next request is allowed.
    """

    code = "provider_paused"

    def __init__(
        self, message: str, *, retry_after: float = 0.0, evidence: Evidence | None = None
    ) -> None:
        super().__init__(message, evidence=evidence)
        self.retry_after = retry_after


class SecretUnavailableError(CredentialError):
    """A secret source could not be read. Nothing was sent.

    Sources raise it with a message that says where, why and what to do. The message that a caller
    gets also names the setting and the source.
    """

    code = "secret_unavailable"


class StoreError(CredentialError):
    """The store failed."""

    code = "store_failed"


class StoreUnreadableError(StoreError):
    """A stored token cannot be read, or the store cannot be reached. Nothing was removed."""

    code = "store_unreadable"


class StoreSaveError(StoreError):
    """A token could not be saved.

    Attributes:
        token: The token, so that it is not lost; None if a store raises the error, because its
            caller has the token.
    """

    code = "store_save_failed"

    def __init__(
        self, message: str, *, token: Token | None = None, evidence: Evidence | None = None
    ) -> None:
        super().__init__(message, evidence=evidence)
        self.token = token


class StoreLockError(StoreError, TimeoutError):
    """The lock of a key was not acquired in time. Nothing was sent."""

    code = "store_locked"


class LeaseLostError(StoreError):
    """A later holder of the lock has saved; the stored token is newer than the given one."""

    code = "lease_lost"
