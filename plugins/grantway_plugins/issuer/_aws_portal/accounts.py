"""The accounts, roles and credentials that the portal gives out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from grantway._processes.copies import Value
from grantway._types.quantity import check_seconds


@dataclass(frozen=True, slots=True)
class RoleCredentials:
    """The response of GetRoleCredentials for one role.

    Attributes:
        access_key_id: An access key id.
        secret_access_key: Its secret.
        session_token: Its session token.
        seconds: Reported lifetime in seconds.

    Raises:
        ConfigurationError: ``seconds`` is no duration.
    """

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str = field(repr=False)
    seconds: float = 3600.0

    def __post_init__(self) -> None:
        """Check the duration."""
        check_seconds("seconds", self.seconds)


@dataclass(frozen=True, slots=True)
class AwsAccount(Value):
    """An account that the user can choose.

    Attributes:
        account_id: Twelve digits.
        name: What the tools show.
        email: Its owner's address, which the tools show too.
        roles: Role names to credentials.
    """

    account_id: str
    name: str
    email: str
    roles: Mapping[str, RoleCredentials]
