"""Errors of a credential and of its store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .base import Evidence, GrantwayError

if TYPE_CHECKING:
    from grantway._types.token import Token


class CredentialError(GrantwayError):
    """A token that could not be kept fresh."""

    code = "credential_error"


class LoginNeededError(CredentialError):
    """There is no token, and none can be had without a person: log in again."""

    code = "login_needed"


class WaitTimeoutError(CredentialError, TimeoutError):
    """The refresh under way outlasted this caller's deadline; it goes on without the caller."""

    code = "wait_timeout"


class ProviderPausedError(CredentialError):
    """The provider was not asked: it failed a moment ago, or said when to come back.

    Attributes:
        retry_after: Seconds until it is asked again.
    """

    code = "provider_paused"

    def __init__(
        self, message: str, *, retry_after: float = 0.0, evidence: Evidence | None = None
    ) -> None:
        super().__init__(message, evidence=evidence)
        self.retry_after = retry_after


class StoreError(CredentialError):
    """Where tokens rest did not do its work."""

    code = "store_failed"


class StoreUnreadableError(StoreError):
    """What is stored cannot be read, or the store cannot be reached. Nothing was removed."""

    code = "store_unreadable"


class StoreSaveError(StoreError):
    """A token could not be saved.

    Attributes:
        token: The token, which would else be lost with the error; None where a store raises it,
            which is given the token by its caller.
    """

    code = "store_save_failed"

    def __init__(
        self, message: str, *, token: Token | None = None, evidence: Evidence | None = None
    ) -> None:
        super().__init__(message, evidence=evidence)
        self.token = token


class StoreLockError(StoreError, TimeoutError):
    """The lock of a key was not to be had in time. Nothing was sent."""

    code = "store_locked"


class LeaseLostError(StoreError):
    """A newer holder of the lock has saved since; what is stored is newer than what was given."""

    code = "lease_lost"
