"""Secrets in the system's key ring."""

from __future__ import annotations

from dataclasses import dataclass

from grantway._exceptions import SecretUnavailableError
from grantway._types.secret_source import Secret


@dataclass(frozen=True, slots=True)
class KeyringSecret:
    """``keyring``: a password in the system's key ring. Requires the extra ``keyring``.

    The key ring is read once, and again after the provider rejects the secret.

    Attributes:
        service: The service of the entry.
        username: The user name of the entry.
    """

    service: str
    username: str

    def read(self) -> Secret:
        """Return the password.

        Raises:
            SecretUnavailableError: The key ring cannot be read, or has no such entry.
        """
        try:
            import keyring  # noqa: PLC0415 - an extra, and slow to load
            from keyring.errors import KeyringError  # noqa: PLC0415
        except ModuleNotFoundError:
            raise SecretUnavailableError(
                "it needs keyring; install it with: pip install 'grantway[keyring]'"
            ) from None
        try:
            found = keyring.get_password(self.service, self.username)
        except KeyringError as error:
            raise SecretUnavailableError(
                f"the key ring raised {type(error).__name__}; unlock it"
            ) from error
        if found:
            return Secret(found)
        raise SecretUnavailableError(
            f"the key ring has no entry {self.service} for {self.username}; to add one, run: "
            f"keyring set {self.service} {self.username}"
        )
